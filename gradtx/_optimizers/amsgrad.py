"""Adam with a second moment that never shrinks, or shrinks slowly."""

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
    r"""The direction of AMSGrad: Adam's, over the largest second moment so far.

    .. math:: n_t = \max(n_{t-1}, \hat v_t), \quad u_t = \frac{\hat m_t}{\sqrt{n_t + eps\_root} + eps}

    with the moments of `scale_by_adam`.

    Args:
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        eps_root: added inside the root.
        corrected: whether the maximum is over corrected second moments, as in Optax, or over raw ones and is corrected
            itself, as in PyTorch.

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
    r"""AMSGrad: Adam whose step sizes never grow.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{n_t + eps\_root} + eps}

    with the moments of `scale_by_amsgrad`.

    Args:
        learning_rate: the step size.
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        eps_root: added inside the root.
        corrected: whether the maximum is over corrected second moments (Optax) or raw ones (PyTorch).

    State: three arrays per parameter.

    Reference: Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", 2018, algorithm 2, which has neither bias
    correction nor constants.
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
    r"""Padam: partially adaptive, between AMSGrad (`partial=0.5`) and gradient descent with momentum (towards 0).

    .. math:: u_t = -learning\_rate \frac{m_t}{\max(v_1, \dots, v_t)^{partial} + eps}

    Args:
        learning_rate: the step size.
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the power.
        partial: the exponent of the second moment, in (0, 1/2].

    State: three arrays per parameter.

    Reference: Chen, Zhou, Tang, Yang, Cao and Gu, "Closing the Generalization Gap of Adaptive Gradient Methods in
    Training Deep Neural Networks", 2018, algorithm 1; the constant is ours. There is no bias correction.
    """
    how_noisy = chain(square(), scale_by_ema(b2), running_max(), power(partial))
    return chain(ratio(scale_by_ema(b1), how_noisy, eps), scale_by_learning_rate(learning_rate))


@transformation
def scale_by_yogi(
    b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-3, initial_accumulator_value: NonNegative = 1e-6
):
    r"""The direction of Yogi: Adam's, with a second moment that falls slowly.

    .. math:: v_t = v_{t-1} - (1 - b_2) \, \mathrm{sign}(v_{t-1} - |g_t|^2) |g_t|^2, \quad
        u_t = \frac{\hat m_t}{\sqrt{\hat v_t} + eps}

    Args:
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        initial_accumulator_value: the second moment before the first step.

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
    r"""Yogi: Adam whose step sizes do not jump up when gradients become small.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{\hat v_t} + eps}

    with the moments of `scale_by_yogi`.

    Args:
        learning_rate: the step size.
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        initial_accumulator_value: the second moment before the first step; Optax starts the first moment there too.

    State: two arrays per parameter.

    Reference: Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization", 2018, algorithm 2,
    with bias correction as in its code.
    """
    return chain(scale_by_yogi(b1, b2, eps, initial_accumulator_value), scale_by_learning_rate(learning_rate))
