"""AMSGrad, Padam and Yogi: Adam with a second moment that never decreases, or decreases slowly."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, running_max, scale_by_additive_ema, scale_by_ema
from gradtx._primitives.elementwise import power, sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    corrected: bool = True,
):
    r"""AMSGrad direction: divides the first moment by the root of the largest second moment so far.

    .. math:: n_t = \max(n_{t-1}, \hat v_t), \quad u_t = \frac{\hat m_t}{\sqrt{n_t + eps\_root} + eps}

    with the moments of `scale_by_adam`.

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        corrected: whether the maximum is taken over bias-corrected second moments (Optax), or over raw ones and then
            bias-corrected (PyTorch).

    State: three arrays per parameter.

    Reference: see `amsgrad`.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    largest = (bias_correction(b2), running_max()) if corrected else (running_max(), bias_correction(b2))
    return ratio(how_far, chain(square(), scale_by_ema(b2), *largest, sqrt()), eps, eps_root)


@transformation
def amsgrad(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    corrected: bool = True,
):
    r"""AMSGrad: Adam with the largest second moment so far in place of the current one.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{n_t + eps\_root} + eps}

    with the moments of `scale_by_amsgrad`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        corrected: whether the maximum is taken over bias-corrected second moments (Optax) or raw ones (PyTorch).

    State: three arrays per parameter.

    Reference: Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", 2018, algorithm 2, which has no bias
    correction and no eps.
    """
    return chain(scale_by_amsgrad(b1, b2, eps, eps_root, corrected), scale_by_learning_rate(learning_rate))


@transformation
def padam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    partial: NonNegative = 0.25,
):
    r"""Padam: interpolates between AMSGrad (`partial=0.5`) and gradient descent with momentum (`partial` near 0).

    .. math:: u_t = -learning\_rate \frac{m_t}{\max(v_1, \dots, v_t)^{partial} + eps}

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the power.
        partial: the exponent of the second moment, in (0, 1/2].

    State: three arrays per parameter.

    Reference: Chen, Zhou, Tang, Yang, Cao and Gu, "Closing the Generalization Gap of Adaptive Gradient Methods in
    Training Deep Neural Networks", 2018, algorithm 1, without bias correction. `eps` is not in the paper.
    """
    how_noisy = chain(square(), scale_by_ema(b2), running_max(), power(partial))
    return chain(ratio(scale_by_ema(b1), how_noisy, eps), scale_by_learning_rate(learning_rate))


@transformation
def scale_by_yogi(
    b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-3, initial_accumulator_value: NonNegative = 1e-6
):
    r"""Yogi direction: the Adam direction with an additive second moment, which decreases slowly.

    .. math:: v_t = v_{t-1} - (1 - b_2) \, \mathrm{sign}(v_{t-1} - |g_t|^2) |g_t|^2, \quad
        u_t = \frac{\hat m_t}{\sqrt{\hat v_t} + eps}

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        initial_accumulator_value: the initial second moment.

    State: two arrays per parameter.

    Reference: see `yogi`.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    second = scale_by_additive_ema(b2, initial_accumulator_value)
    return ratio(how_far, chain(square(), second, bias_correction(b2), sqrt()), eps)


@transformation
def yogi(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
    initial_accumulator_value: NonNegative = 1e-6,
):
    r"""Yogi: Adam whose step sizes do not increase abruptly when gradients become small.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{\hat v_t} + eps}

    with the moments of `scale_by_yogi`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        initial_accumulator_value: the initial second moment; Optax initializes the first moment with it too.

    State: two arrays per parameter.

    Reference: Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization", 2018, algorithm 2,
    with bias correction as in the authors' code.
    """
    return chain(scale_by_yogi(b1, b2, eps, initial_accumulator_value), scale_by_learning_rate(learning_rate))
