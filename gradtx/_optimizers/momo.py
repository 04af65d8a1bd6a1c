"""MoMo: adaptive step sizes from the value of the loss."""

from gradtx._combinators.chain import chain
from gradtx._combinators.momo_step import momo_step
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.elementwise import add_constant, sqrt, square
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def momo(
    learning_rate: NonNegative = 1.0,
    beta: Decay = 0.9,
    lower_bound: Scalar = 0.0,
    weight_decay: NonNegative = 0.0,
    adapt_lower_bound: bool = False,
):
    r"""MoMo: gradient descent with momentum, with a step size from the loss and a lower bound of it.

    .. math:: u_t = -\tau_t d_t - \frac{learning\_rate \cdot weight\_decay}{c} p_t

    with the step size from `momo_step`.

    Args:
        learning_rate: the largest step size.
        beta: decay rate of the averages, in [0, 1).
        lower_bound: a lower bound of the loss.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        adapt_lower_bound: whether to raise the bound where it is too low.

    State: one array per parameter, and four scalars. Needs the parameters and the extra argument `value`.

    Reference: Schaipp, Ohana, Eickenberg, Defazio and Gower, "MoMo: Momentum Models for Adaptive Learning Rates", 2023,
    algorithm 1; see `momo_step`.
    """
    return momo_step(learning_rate, beta, None, lower_bound, weight_decay, adapt_lower_bound, corrected=False)


@transformation
def momo_adam(
    learning_rate: NonNegative = 1e-2,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    lower_bound: Scalar = 0.0,
    weight_decay: NonNegative = 0.0,
    adapt_lower_bound: bool = False,
):
    r"""MoMo-Adam: Adam with a step size from the loss and a lower bound of it.

    .. math:: u_t = -\tau_t \frac{d_t}{\sqrt{\hat v_t} + eps} - \frac{learning\_rate \cdot weight\_decay}{c} p_t

    with the step size from `momo_step`, and :math:`\hat v_t` from `scale_by_adam`.

    Args:
        learning_rate: the largest step size.
        b1: decay rate of the averages, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        lower_bound: a lower bound of the loss.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        adapt_lower_bound: whether to raise the bound where it is too low.

    State: two arrays per parameter, and five scalars. Needs the parameters and the extra argument `value`.

    Reference: Schaipp, Ohana, Eickenberg, Defazio and Gower, "MoMo: Momentum Models for Adaptive Learning Rates", 2023,
    algorithm 3; see `momo_step`.
    """
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt(), add_constant(eps))
    return momo_step(learning_rate, b1, how_noisy, lower_bound, weight_decay, adapt_lower_bound)
