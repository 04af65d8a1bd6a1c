"""Stateful primitives: one accumulator per parameter, or one scalar for the whole tree."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx._base.numerics import abs_square, log_of_decay, ordered, safe_divide, times, unless_infinite, weighted_mean
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._core.constructors import clocked, memory, with_facts
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def scale_by_ema(decay: Decay):
    r"""Exponential moving average: replaces each update by its average over the steps, starting from 0.

    .. math:: m_t = decay \cdot m_{t-1} + (1 - decay) g_t, \quad u_t = m_t

    The average is biased towards 0 at first; put `bias_correction(decay)` after it to correct that.

    Args:
        decay: the fraction of the average kept per step, in [0, 1).

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    mean = weighted_mean(decay)
    average = memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: mean(m, g),
    )
    return with_facts(average, ema_decay=decay)


@transformation
def bias_correction(decay: Decay):
    r"""Bias correction: divides an exponential moving average that started from 0 by the sum of its weights.

    .. math:: s_t = s_{t-1} + \log decay_t, \quad u_t = g_t / (1 - e^{s_t})

    For a constant decay this is Adam's :math:`1 / (1 - decay^t)`. For a scheduled decay, the product of the decays so
    far replaces the power. The logarithms are added with compensated summation and enter through `expm1`, so the factor
    is accurate to the last bits at the first step and at the millionth.

    Args:
        decay: the decay of the preceding average, in [0, 1).

    State: `DecaySum(before, last)`, two scalars in float32 (float64 with x64).

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 3; the sum of logarithms is
    ours.
    """
    return _correction(decay, ahead=False)


@transformation
def bias_correction_ahead(decay: Decay):
    r"""Bias correction one step ahead: divides as `bias_correction` does, with this step's decay applied twice (Nadam).

    .. math:: s_t = s_{t-1} + \log decay_t, \quad u_t = g_t / (1 - e^{s_t + \log decay_t})

    Args:
        decay: the decay of the preceding average, in [0, 1).

    State: the same as `bias_correction`.

    Reference: Dozat, "Incorporating Nesterov Momentum into Adam", 2016; for the sum see `bias_correction`.
    """
    return _correction(decay, ahead=True)


@state_class
class DecaySum(NamedTuple):
    """The sum of the logarithms of all decays so far, in two parts; what their sum is rounded off is not lost.

    Attributes:
        before: the sum before the last step.
        last: what the last step adds to it: the logarithm of its decay, less the rounding error until then.
    """

    before: Array
    last: Array


def _correction(decay, ahead):
    def advance(state):
        # Each scalar is computed from those before it, so that a GPU computes all of them in one kernel. A state of the
        # sum and its error would take three.
        before, last = state
        total = before + last
        log = log_of_decay(decay, total.dtype)
        term = log - ((total - before) - last)
        new = total + term
        exponent = new + log if ahead else new
        is_empty = exponent == 0  # all decays were 1 so far: the average is still 0, so the output must be 0
        # The division comes last: XLA would fuse both operands of a final select into the loops over the arrays.
        weights = jnp.where(is_empty, jnp.inf, -jnp.expm1(jnp.where(is_empty, -1.0, exponent)))
        return 1.0 / weights, DecaySum(total, term)

    correction = clocked(
        start=lambda: DecaySum(jnp.zeros((), float), jnp.zeros((), float)),
        advance=advance,
        emit=lambda g, factor: factor * g,
    )
    return with_facts(correction, corrected_decay=decay)


@transformation
def running_sum(initial_value: Scalar = 0.0):
    r"""Running sum: replaces each update by the sum of all updates so far.

    .. math:: s_t = s_{t-1} + g_t, \quad u_t = s_t, \quad s_0 = initial\_value

    Args:
        initial_value: the sum before the first step.

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    return memory(
        init=lambda p: jnp.full_like(p, initial_value),
        step=lambda g, s, p: s + g,
    )


@transformation
def nonnegative_sum():
    r"""Nonnegative running sum: replaces each update by the sum of all updates so far, clipped at 0; for real updates.

    .. math:: s_t = \max(s_{t-1} + g_t, 0), \quad u_t = s_t

    State: one array per parameter, in its dtype or float32 if that is wider.

    Raises:
        GradtxTypeError: an update is complex; complex numbers have no order.

    Reference: the CUSUM statistic of Page, "Continuous Inspection Schemes", 1954.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, s, p: jnp.maximum(s + ordered(g), 0.0),
    )


@transformation
def running_max(decay: Scalar = 1.0):
    r"""Running maximum: replaces each update by the largest one so far, decayed by `decay` per step.

    .. math:: u_t = \max(decay \cdot u_{t-1}, g_t)

    The maximum starts from 0, so it is meant for nonnegative updates.

    Args:
        decay: 1 never forgets (AMSGrad); below 1 this is the infinity norm of AdaMax.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Raises:
        GradtxTypeError: an update is complex; complex numbers have no order.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: jnp.maximum(decay * m, ordered(g)),
    )


@transformation
def add_momentum(decay: Decay, nesterov: bool = False):
    r"""Momentum: replaces each update by a decaying sum of all updates so far.

    .. math:: m_t = decay \cdot m_{t-1} + g_t, \quad
        u_t = m_t \text{ or, with Nesterov, } u_t = g_t + decay \cdot m_t

    Args:
        decay: the fraction of the momentum kept per step, in [0, 1).
        nesterov: whether to output the momentum one step ahead.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever, Martens,
    Dahl and Hinton, "On the importance of initialization and momentum in deep learning", 2013. As in most libraries,
    the learning rate is applied after the momentum, not inside it; the two differ when the learning rate changes.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: decay * m + g,
        emit=lambda g, m, p: g + decay * m if nesterov else m,
    )


@transformation
def scale_by_additive_ema(decay: Decay, initial_value: NonNegative = 1e-6):
    r"""Additive moving average (Yogi): moves by a fraction of the update, not of the distance to it.

    .. math:: m_t = m_{t-1} - (1 - decay) \, \mathrm{sign}(m_{t-1} - g_t) \, g_t, \quad u_t = m_t

    It is meant for nonnegative updates. It rises as fast as an exponential moving average, and decays much more slowly
    when the updates become small.

    Args:
        decay: 1 minus the fraction, in [0, 1).
        initial_value: the average before the first step.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization", 2018, algorithm 2.
    """
    rest = 1 - decay
    return memory(
        init=lambda p: jnp.full_like(p, initial_value),
        step=lambda g, m, p: unless_infinite(m, m - rest * jnp.sign(m - g) * g),
    )


@transformation
def scale_by_update_rms(decay: Decay, eps: NonNegative = 1e-6, initial_value: NonNegative = 0.0):
    r"""Update RMS (Adadelta): multiplies each update by the root mean square of the past outputs, to restore its units.

    .. math:: u_t = \sqrt{d_{t-1} + eps} \, g_t, \quad d_t = decay \cdot d_{t-1} + (1 - decay) |u_t|^2

    Args:
        decay: the fraction of the mean square kept per step, in [0, 1).
        eps: added inside the root; it also makes the first output nonzero.
        initial_value: the mean square before the first step.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1.
    """
    mean, rest = weighted_mean(decay), 1 - decay

    def emit(g, d, p):
        # The old state plus eps, recomputed from the new state, so that XLA can update the buffer in place.
        return times(jnp.sqrt(safe_divide(d + decay * eps, decay + rest * abs_square(g))), g)

    return memory(
        init=lambda p: jnp.full_like(p.real, initial_value),
        step=lambda g, d, p: mean(d, (d + eps) * abs_square(g)),
        emit=emit,
    )
