"""LaProp and QHAdam: Adam with its moments in sequence, or interpolated with the current gradient."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import interpolate, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def laprop(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-15,
    eps_root: NonNegative = 0.0,
):
    r"""LaProp: divides the gradient by its root mean square before the momentum, where Adam divides the momentum.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) \frac{g_t}{\sqrt{\hat v_t + eps\_root} + eps}, \quad
        u_t = -learning\_rate \frac{m_t}{1 - b_1^t}

    Args:
        learning_rate: the step size.
        b1: decay rate of the momentum, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: Ziyin, Wang and Ueda, "LaProp: Separating Momentum and Adaptivity in Adam", 2020, algorithm 1. Differs
    from the paper: the paper applies the learning rate before the momentum, which matters if the rate changes.
    """
    normalized = ratio(identity(), chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt()), eps, eps_root)
    return chain(normalized, scale_by_ema(b1), bias_correction(b1), scale_by_learning_rate(learning_rate))


@transformation
def qhadam(
    learning_rate: NonNegative,
    b1: Decay = 0.995,
    b2: Decay = 0.999,
    nu1: Scalar = 0.7,
    nu2: Scalar = 1.0,
    eps: NonNegative = 1e-8,
):
    r"""QHAdam: Adam with both moments interpolated with the current gradient.

    .. math:: u_t = -learning\_rate \frac{(1 - \nu_1) g_t + \nu_1 \hat m_t}
        {\sqrt{(1 - \nu_2) |g_t|^2 + \nu_2 \hat v_t} + eps}

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        nu1: weight of the first moment; 1 is Adam.
        nu2: weight of the second moment; 1 is Adam.
        eps: added outside the square root.

    State: two arrays per parameter.

    Reference: Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", 2019.
    """
    first = interpolate(chain(scale_by_ema(b1), bias_correction(b1)), identity(), nu1)
    second = chain(square(), interpolate(chain(scale_by_ema(b2), bias_correction(b2)), identity(), nu2), sqrt())
    return chain(ratio(first, second, eps), scale_by_learning_rate(learning_rate))
