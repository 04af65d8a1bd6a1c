"""Primitives that remember: one array per parameter, or one number for all."""

import jax.numpy as jnp

from gradtx._base.numerics import abs_square, log_of_decay, ordered, safe_divide, times, unless_infinite, weighted_mean
from gradtx._core.constructors import clocked, memory
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def scale_by_ema(decay: Decay):
    r"""Exponential moving average, from 0.

    .. math:: m_t = decay \cdot m_{t-1} + (1 - decay) g_t, \quad u_t = m_t

    It is too small at first; `bias_correction(decay)` after it mends that.

    Args:
        decay: how much of the average is kept at each step, in [0, 1).

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    mean = weighted_mean(decay)
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: mean(m, g),
    )


@transformation
def bias_correction(decay: Decay):
    r"""Correction of an exponential moving average that began at 0: divides by the sum of its weights.

    .. math:: s_t = s_{t-1} + \log decay_t, \quad u_t = g_t / (1 - e^{s_t})

    For a constant decay this is Adam's :math:`1 / (1 - decay^t)`; for a scheduled one the product of the decays so
    far takes the place of the power. The logarithms are added up with compensation and enter through `expm1`, so the
    factor is right to the last bits at the first step and at the millionth.

    Args:
        decay: the decay of the average before it, in [0, 1).

    State: one array of two numbers, the sum of logarithms and its rounding error, in float32 (float64 in x64).

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 3; the sum of logarithms is
    ours.
    """
    return _correction(decay, ahead=False)


@transformation
def bias_correction_ahead(decay: Decay):
    r"""Bias correction for the average as it will be one step ahead, with this step's decay once again (Nadam).

    .. math:: s_t = s_{t-1} + \log decay_t, \quad u_t = g_t / (1 - e^{s_t + \log decay_t})

    Args:
        decay: the decay of the average before it, in [0, 1).

    State: as `bias_correction`.

    Reference: Dozat, "Incorporating Nesterov Momentum into Adam", 2016; for the sum see `bias_correction`.
    """
    return _correction(decay, ahead=True)


def _correction(decay, ahead):
    def advance(clock):
        # One array of two numbers instead of two: XLA then computes them in one kernel.
        total, error = clock
        log = log_of_decay(decay, clock.dtype)
        term = log - error
        new = total + term
        exponent = new + log if ahead else new
        nothing = exponent == 0  # only decays of 1 so far: the average is still 0, and so shall be what comes out
        # The division comes last: of a selection between numbers each would go into the loops over the arrays.
        weights = jnp.where(nothing, jnp.inf, -jnp.expm1(jnp.where(nothing, -1.0, exponent)))
        return 1.0 / weights, jnp.stack([new, (new - total) - term])

    return clocked(start=lambda: jnp.zeros(2, float), advance=advance, emit=lambda g, factor: factor * g)


@transformation
def running_sum(initial_value: Scalar = 0.0):
    r"""Sum of all updates so far.

    .. math:: s_t = s_{t-1} + g_t, \quad u_t = s_t, \quad s_0 = initial\_value

    Args:
        initial_value: what the sum begins with.

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    return memory(
        init=lambda p: jnp.full_like(p, initial_value),
        step=lambda g, s, p: s + g,
    )


@transformation
def nonnegative_sum():
    r"""Sum of all updates so far that does not fall below 0, for real updates.

    .. math:: s_t = \max(s_{t-1} + g_t, 0), \quad u_t = s_t

    State: one array per parameter, in its dtype or float32 if that is wider.

    Raises:
        GradtxTypeError: an update is complex, and complex numbers have no order.

    Reference: the CUSUM statistic of Page, "Continuous Inspection Schemes", 1954.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, s, p: jnp.maximum(s + ordered(g), 0.0),
    )


@transformation
def running_max(decay: Scalar = 1.0):
    r"""Largest update so far, forgotten at the rate `decay`; from 0, so it is for updates that are not negative.

    .. math:: u_t = \max(decay \cdot u_{t-1}, g_t)

    Args:
        decay: 1 never forgets (AMSGrad); below 1 it is the infinity norm of AdaMax.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Raises:
        GradtxTypeError: an update is complex, and complex numbers have no order.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: jnp.maximum(decay * m, ordered(g)),
    )


@transformation
def add_momentum(decay: Decay, nesterov: bool = False):
    r"""Momentum: each update goes on acting, less by `decay` at each step.

    .. math:: m_t = decay \cdot m_{t-1} + g_t, \quad
        u_t = m_t \text{ or, with Nesterov, } u_t = g_t + decay \cdot m_t

    Args:
        decay: how much of the momentum is kept, in [0, 1).
        nesterov: whether to emit the momentum as it will be one step ahead.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever, Martens,
    Dahl and Hinton, "On the importance of initialization and momentum in deep learning", 2013. As in most libraries
    the learning rate comes after the momentum, not inside it; the two differ when it changes.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: decay * m + g,
        emit=lambda g, m, p: g + decay * m if nesterov else m,
    )


@transformation
def scale_by_additive_ema(decay: Decay, initial_value: NonNegative = 1e-6):
    r"""Average that moves by a part of the update itself, and not of its distance: for updates that are not negative.

    .. math:: m_t = m_{t-1} - (1 - decay) \, \mathrm{sign}(m_{t-1} - g_t) \, g_t, \quad u_t = m_t

    It rises as fast as an exponential moving average, and falls much more slowly when the updates become small.

    Args:
        decay: 1 minus the part, in [0, 1).
        initial_value: what the average begins with.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization", 2018, algorithm 2.
    """
    part = 1 - decay
    return memory(
        init=lambda p: jnp.full_like(p, initial_value),
        step=lambda g, m, p: unless_infinite(m, m - part * jnp.sign(m - g) * g),
    )


@transformation
def scale_by_update_rms(decay: Decay, eps: NonNegative = 1e-6, initial_value: NonNegative = 0.0):
    r"""Multiplication by the root mean square of what came out before: gives the units back that a quotient took.

    .. math:: u_t = \sqrt{d_{t-1} + eps} \, g_t, \quad d_t = decay \cdot d_{t-1} + (1 - decay) |u_t|^2

    Args:
        decay: how much of the mean square is kept at each step, in [0, 1).
        eps: added inside the root; it also starts the movement.
        initial_value: the mean square before the first step.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1.
    """
    mean, rest = weighted_mean(decay), 1 - decay

    def emit(g, d, p):
        # What stood in the memory before, reckoned from what stands in it now: so it can be overwritten in place.
        return times(jnp.sqrt(safe_divide(d + decay * eps, decay + rest * abs_square(g))), g)

    return memory(
        init=lambda p: jnp.full_like(p.real, initial_value),
        step=lambda g, d, p: mean(d, (d + eps) * abs_square(g)),
        emit=emit,
    )
