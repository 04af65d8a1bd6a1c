"""RAdam and AdaBound: Adam with rectified or bounded step sizes."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import product, ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.clip import clip_between
from gradtx._primitives.elementwise import add_constant, reciprocal, sqrt, square
from gradtx._primitives.rectify import radam_denominator
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Positive, PositiveDecay, Scalar
from gradtx.schedules import inverse_time_decay


@transformation
def scale_by_radam(
    b1: Decay = 0.9,
    b2: PositiveDecay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Scalar = 5.0,
):
    r"""RAdam direction: the Adam direction with variance rectification, and the first moment until that is possible.

    .. math:: u_t = \begin{cases}
            r_t \hat m_t / (\sqrt{\hat v_t + eps\_root} + eps) & \rho_t \ge threshold \\ \hat m_t \end{cases}

    with the moments of `scale_by_adam`, and :math:`r_t` and :math:`\rho_t` from `radam_denominator`.

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in (0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        threshold: minimum :math:`\rho_t`, the effective length of the average in steps, for rectification; at least 4.

    State: two arrays per parameter.

    Reference: see `radam`.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    second = chain(square(), scale_by_ema(b2), bias_correction(b2))
    return ratio(how_far, chain(second, radam_denominator(b2, eps, eps_root, threshold)))


@transformation
def radam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: PositiveDecay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Scalar = 5.0,
):
    r"""RAdam: Adam that rectifies the variance of its first step sizes, and so needs no warmup.

    .. math:: u_t = -learning\_rate \cdot r_t \frac{\hat m_t}{\sqrt{\hat v_t + eps\_root} + eps}

    with the moments of `scale_by_radam`; for the first few steps :math:`-learning\_rate \cdot \hat m_t`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in (0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        threshold: minimum :math:`\rho_t` for rectification, in steps; at least 4, the paper's value.

    State: two arrays per parameter.

    Reference: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020, algorithm 2; the threshold
    of 5 is from the authors' code.
    """
    return chain(scale_by_radam(b1, b2, eps, eps_root, threshold), scale_by_learning_rate(learning_rate))


@transformation
def adabound(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    final_lr: NonNegative = 0.1,
    gamma: Positive = 1e-3,
):
    r"""AdaBound: Adam with step sizes clipped between bounds that converge to the step size of gradient descent.

    .. math:: l_t = final\_lr \left(1 - \frac{1}{gamma \cdot t + 1}\right), \quad
        h_t = final\_lr \left(1 + \frac{1}{gamma \cdot t}\right), \quad
        u_t = -\mathrm{clip}\left(\frac{learning\_rate}{\sqrt{\hat v_t} + eps}, l_t, h_t\right) \hat m_t

    with the moments of `scale_by_adam`.

    Args:
        learning_rate: the initial step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        final_lr: the final step size, that of gradient descent with momentum; schedule it with `learning_rate`.
        gamma: convergence speed of the bounds, per step.

    State: two arrays per parameter.

    Reference: Luo, Xiong, Liu and Sun, "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", 2019, algorithm
    2, with bias-corrected moments and without the factor :math:`1 / \sqrt{t}`, as in the authors' code.
    """
    # The formulas count steps from 1, schedules from 0.
    low = final_lr * (1 - inverse_time_decay(1 / (1 + gamma), gamma / (1 + gamma)))
    high = final_lr * (1 + inverse_time_decay(1 / gamma, 1.0))
    rate = chain(add_constant(eps), reciprocal(), scale(learning_rate), clip_between(low, high))
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return chain(
        product(chain(scale_by_ema(b1), bias_correction(b1)), chain(how_noisy, rate)), scale_by_learning_rate(1.0)
    )
