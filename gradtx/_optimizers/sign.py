"""Sign-based optimizers: every coordinate moves by the same step size, with the sign of a gradient or an average."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import interpolate
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import sign
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, PositiveDecay


@transformation
def sign_sgd(learning_rate: NonNegative):
    r"""Sign SGD: replaces the gradient by its sign.

    .. math:: u_t = -learning\_rate \cdot \mathrm{sign}(g_t)

    Args:
        learning_rate: the step size of every coordinate.

    State: none.

    Reference: Bernstein, Wang, Azizzadenesheli and Anandkumar, "signSGD: Compressed Optimisation for Non-Convex
    Problems", 2018, algorithm 1.
    """
    return chain(sign(), scale_by_learning_rate(learning_rate))


@transformation
def signum(learning_rate: NonNegative, momentum: Decay = 0.9):
    r"""Signum: replaces the gradient by the sign of its moving average.

    .. math:: m_t = momentum \cdot m_{t-1} + (1 - momentum) g_t, \quad u_t = -learning\_rate \cdot \mathrm{sign}(m_t)

    Args:
        learning_rate: the step size of every coordinate.
        momentum: decay rate of the moving average, in [0, 1).

    State: one array per parameter.

    Reference: Bernstein, Wang, Azizzadenesheli and Anandkumar, "signSGD: Compressed Optimisation for Non-Convex
    Problems", 2018, algorithm 2.
    """
    return chain(scale_by_ema(momentum), sign(), scale_by_learning_rate(learning_rate))


@transformation
def scale_by_lion(b1: Decay = 0.9, b2: PositiveDecay = 0.99):
    r"""Lion direction: the sign of an interpolation of moving average and gradient.

    .. math:: u_t = \mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t), \quad m_t = b_2 m_{t-1} + (1 - b_2) g_t

    With :math:`b_1 < b_2` the gradient has more weight in the update than in the state. In terms of the new average the
    sum is :math:`a m_t + (1 - a) g_t` with :math:`a = b_1 / b_2`, so the average is updated in place; the usual form
    needs a temporary buffer for the old one.

    Args:
        b1: weight of the old average in the update, in [0, 1).
        b2: decay rate of the average, in (0, 1).

    State: one array per parameter.

    Reference: see `lion`.
    """
    return chain(interpolate(scale_by_ema(b2), identity(), b1 / b2), sign())


@transformation
def lion(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: PositiveDecay = 0.99,
    weight_decay: NonNegative = 1e-3,
    mask: Any = None,
):
    r"""Lion: the sign of an interpolated momentum, with decoupled weight decay.

    .. math:: u_t = -learning\_rate \left(\mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t) + weight\_decay \cdot p_t\right)

    Args:
        learning_rate: the step size of every coordinate; 3 to 10 times smaller than Adam's.
        b1: weight of the old average in the update, in [0, 1).
        b2: decay rate of the average, in (0, 1).
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter. Needs the parameters.

    Reference: Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2.
    """
    return chain(scale_by_lion(b1, b2), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))


@transformation
def tiger(learning_rate: NonNegative, b1: Decay = 0.965, weight_decay: NonNegative = 0.01, mask: Any = None):
    r"""Tiger: Lion with a single decay rate: the sign of the averaged gradient, with decoupled weight decay.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        u_t = -learning\_rate \left(\mathrm{sign}(m_t) + weight\_decay \cdot p_t\right)

    Args:
        learning_rate: the step size of every coordinate.
        b1: decay rate of the average, in [0, 1).
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter. Needs the parameters.

    Reference: Su, "Tiger: A Tight-fisted Optimizer", 2023, without its learning rates per type of parameter; use
    `partition` for those.
    """
    return chain(
        scale_by_ema(b1), sign(), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )
