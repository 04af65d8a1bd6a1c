"""Nadam: Adam with Nesterov momentum."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import interpolate, ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, bias_correction_ahead, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_nadam(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0):
    r"""Nadam direction: the Adam direction with the first moment extrapolated one step ahead.

    .. math:: \bar m_t = b_1 \frac{m_t}{1 - b_1^{t+1}} + (1 - b_1) \frac{g_t}{1 - b_1^t}, \quad
        u_t = \frac{\bar m_t}{\sqrt{\hat v_t + eps\_root} + eps}

    with the moments of `scale_by_adam`.

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: see `nadam`.
    """
    how_far = interpolate(chain(scale_by_ema(b1), bias_correction_ahead(b1)), bias_correction(b1), b1)
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return ratio(how_far, how_noisy, eps, eps_root)


@transformation
def nadam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
):
    r"""Nadam: Adam with Nesterov momentum.

    .. math:: u_t = -learning\_rate \frac{\bar m_t}{\sqrt{\hat v_t + eps\_root} + eps}

    with the moments of `scale_by_nadam`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: Dozat, "Incorporating Nesterov Momentum into Adam", 2016, without its momentum schedule, as in
    Optax. A schedule as `b1` is not it: that changes the average too.
    """
    return chain(scale_by_nadam(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))


@transformation
def nadamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
):
    r"""NadamW: Nadam with decoupled weight decay, which the second moment does not scale.

    .. math:: u_t = -learning\_rate \left(\frac{\bar m_t}{\sqrt{\hat v_t + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    with the moments of `scale_by_nadam`.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: see `nadam` and `adamw`.
    """
    return chain(
        scale_by_nadam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
