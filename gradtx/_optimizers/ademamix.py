"""AdEMAMix: Adam with a second, slower moving average of the gradient."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import add, ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import add_momentum, bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def scale_by_ademamix(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Scalar = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
):
    r"""AdEMAMix direction: divides a weighted sum of a fast and a slow gradient average by the root mean square.

    .. math:: n_t = b_3 n_{t-1} + (1 - b_3) g_t, \quad
        u_t = \frac{\hat m_t + alpha \cdot n_t}{\sqrt{\hat v_t + eps\_root} + eps}

    with the moments of `scale_by_adam`; the slow average is not bias-corrected.

    Args:
        b1: decay rate of the fast average, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        b3: decay rate of the slow average, in [0, 1).
        alpha: weight of the slow average.
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: three arrays per parameter.

    Reference: see `ademamix`.
    """
    how_far = add(chain(scale_by_ema(b1), bias_correction(b1)), chain(scale_by_ema(b3), scale(alpha)))
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return ratio(how_far, how_noisy, eps, eps_root)


@transformation
def ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Scalar = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""AdEMAMix: AdamW with an additional slow moving average, which remembers old gradients.

    .. math:: u_t = -learning\_rate \left(\frac{\hat m_t + alpha \cdot n_t}{\sqrt{\hat v_t + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    with the moments of `scale_by_ademamix`.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the fast average, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        b3: decay rate of the slow average, in [0, 1); the paper increases it from `b1` by a schedule.
        alpha: weight of the slow average; the paper increases it from 0 by a schedule.
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: three arrays per parameter. Needs the parameters.

    Reference: Pagliardini, Ablin and Grangier, "The AdEMAMix Optimizer: Better, Faster, Older", 2024, algorithm 1. Its
    schedules are not built in: pass schedules for `alpha` and `b3`.
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def simplified_ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: Scalar = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""Simplified AdEMAMix: the slow average as a sum, and the current gradient in place of the fast average.

    .. math:: m_t = b_1 m_{t-1} + g_t, \quad
        u_t = -learning\_rate \left(\frac{m_t + alpha \cdot g_t}{\sqrt{\hat v_t + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    with :math:`\hat v_t` of `scale_by_adam`.

    Args:
        learning_rate: the step size; :math:`1 / (1 - b_1)` times smaller than Adam's, because the sum is that much
            larger than an average.
        b1: decay rate of the sum, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        alpha: weight of the current gradient.
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: Morwani, Vyas, Zhang and Kakade, "Connections between Schedule-Free Optimizers, AdEMAMix, and
    Accelerated SGD Variants", 2025, algorithm "Simplified-AdEMAMix".
    """
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return chain(
        ratio(add(add_momentum(b1), scale(alpha)), how_noisy, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
