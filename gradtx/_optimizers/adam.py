"""The Adam family: a first moment divided by the root of a second moment."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, running_max, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import absolute, sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_adam(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0):
    r"""Adam direction: divides the first moment by the root of the second moment, both bias-corrected.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad
        u_t = \frac{m_t / (1 - b_1^t)}{\sqrt{v_t / (1 - b_2^t) + eps\_root} + eps}

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: see `adam`.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return ratio(how_far, how_noisy, eps, eps_root)


@transformation
def adam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
):
    r"""Adam: steps of about the learning rate along the averaged gradient, smaller where gradients are noisy.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{\hat v_t + eps\_root} + eps}

    with the bias-corrected moments of `scale_by_adam`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1; `eps_root` is not in the
    paper.
    """
    return chain(scale_by_adam(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))


@transformation
def adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
):
    r"""AdamW: Adam with decoupled weight decay, which the second moment does not scale.

    .. math:: u_t = -learning\_rate \left(\frac{\hat m_t}{\sqrt{\hat v_t + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter, in float32 also for bfloat16 parameters: 8 bytes for each element, where Optax has
    4; `store(adamw(...), codecs.bfloat16)` has 4 too. Needs the parameters.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2; the paper's
    schedule multiplier is the learning rate here.

    Example:
        >>> import jax.numpy as jnp
        >>> schedule = schedules.cosine_decay(0.1, 1000)
        >>> tx = adamw(schedule, weight_decay=0.1, mask=by_path({"**/bias": False, "**": True}))
        >>> params = {"dense": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}}
        >>> updates, state = tx.update(tree.zeros_like(params), tx.init(params), params)  # nothing but the decay
        >>> print(updates["dense"]["kernel"], updates["dense"]["bias"])
        [-0.01 -0.01] [-0. -0.]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def scale_by_adamax(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8):
    r"""AdaMax direction: divides the first moment by the decaying maximum of the gradient's magnitude.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad n_t = \max(b_2 n_{t-1}, |g_t|), \quad
        u_t = \frac{m_t / (1 - b_1^t)}{n_t + eps}

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the maximum magnitude, in [0, 1).
        eps: added to the maximum magnitude.

    State: two arrays per parameter.

    Reference: see `adamax`.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    return ratio(how_far, chain(absolute(), running_max(b2)), eps)


@transformation
def adamax(learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8):
    r"""AdaMax: Adam with the exponentially weighted infinity norm of the gradients in place of their root mean square.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{n_t + eps}

    with the moments of `scale_by_adamax`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the maximum magnitude, in [0, 1).
        eps: added to the maximum magnitude; Optax adds it to the magnitude of each gradient instead.

    State: two arrays per parameter.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 2, which has no eps.
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@transformation
def adamaxw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
):
    r"""AdaMaxW: AdaMax with decoupled weight decay, which the maximum magnitude does not scale.

    .. math:: u_t = -learning\_rate \left(\frac{\hat m_t}{n_t + eps} + weight\_decay \cdot p_t\right)

    with the moments of `scale_by_adamax`.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the maximum magnitude, in [0, 1).
        eps: added to the maximum magnitude.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: see `adamax` and `adamw`.
    """
    return chain(
        scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )
