"""Adan and MARS: moments that include the change of the gradient since the previous step."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.let import let, use
from gradtx._combinators.parallel import add, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import scale_by_adam
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip_by_block_norm
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.lag import gradient_difference
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_adan(
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
):
    r"""Adan direction: extrapolates the gradient one step ahead and divides it by its root mean square.

    .. math:: c_t = g_t - g_{t-1}, \quad m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) c_t, \quad n_t = b_3 n_{t-1} + (1 - b_3) |g_t + b_2 c_t|^2, \quad
        u_t = \frac{\hat m_t + b_2 \hat v_t}{\sqrt{\hat n_t + eps\_root} + eps}

    with all three moments bias-corrected, and :math:`c_1 = 0`.

    Args:
        b1: decay rate of the averaged gradient, in [0, 1).
        b2: decay rate of the averaged change, in [0, 1).
        b3: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: four arrays per parameter.

    Reference: see `adan`.
    """
    mean_change = chain(use("change"), scale_by_ema(b2), bias_correction(b2), scale(b2))
    how_far = add(chain(scale_by_ema(b1), bias_correction(b1)), mean_change)
    ahead = add(identity(), chain(use("change"), scale(b2)))
    how_noisy = chain(ahead, square(), scale_by_ema(b3), bias_correction(b3), sqrt())
    return let("change", gradient_difference(), ratio(how_far, how_noisy, eps, eps_root))


@transformation
def adan(
    learning_rate: NonNegative,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""Adan: adaptive Nesterov momentum from the averaged change of the gradient.

    .. math:: u_t = -learning\_rate \left(\frac{\hat m_t + b_2 \hat v_t}{\sqrt{\hat n_t + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    with the moments of `scale_by_adan`.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the averaged gradient, in [0, 1); 1 minus the paper's.
        b2: decay rate of the averaged change, in [0, 1); 1 minus the paper's.
        b3: decay rate of the second moment, in [0, 1); 1 minus the paper's.
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: four arrays per parameter. Needs the parameters.

    Reference: Xie, Zhou, Li, Lin and Yan, "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep
    Models", 2022, algorithm 1. Differs from the paper: the weight decay there divides the new parameters by
    :math:`1 + weight\_decay \cdot learning\_rate`. Differs from Optax: Optax weighs the changes by :math:`1 - b_2`
    instead of :math:`b_2`.
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def mars(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: NonNegative = 0.025,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""MARS: AdamW on variance-reduced gradients, corrected by their change since the previous step.

    .. math:: c_t = g_t + gamma \frac{b_1}{1 - b_1} (g_t - g_{t-1}), \quad
        \tilde c_t = c_t \min(1, 1 / \lVert c_t \rVert), \quad
        u_t = -learning\_rate \left(\mathrm{adam}(\tilde c)_t + weight\_decay \cdot p_t\right)

    with the norm of each array, and :math:`c_1 = g_1`.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        gamma: weight of the correction; 0 is AdamW with clipped gradients.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: three arrays per parameter. Needs the parameters.

    Reference: Yuan, Liu, Wu, Zhou and Gu, "MARS: Unleashing the Power of Variance Reduction for Training Large
    Models", 2024, algorithm 2 in its approximate form, which uses the previous step's gradient in place of the current
    examples' gradient at the previous parameters.
    """
    corrected = add(identity(), chain(gradient_difference(), scale(gamma * b1 / (1 - b1))))
    return chain(
        corrected,
        clip_by_block_norm(1.0),
        scale_by_adam(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
