"""RMSProp: step sizes from a moving average of squared gradients."""

from gradtx._base.errors import GradtxValueError
from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import difference, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import add_momentum, scale_by_ema
from gradtx._primitives.accumulate import bias_correction as corrected
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, PositiveDecay


@transformation
def scale_by_rms(decay: Decay = 0.9, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0):
    r"""RMSProp direction: divides the gradient by the root of its mean square.

    .. math:: v_t = decay \cdot v_{t-1} + (1 - decay) |g_t|^2, \quad
        u_t = \frac{g_t}{\sqrt{v_t + eps\_root} + eps}

    Args:
        decay: decay rate of the mean square, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: one array per parameter.

    Reference: see `rmsprop`.
    """
    return ratio(identity(), chain(square(), scale_by_ema(decay), sqrt()), eps, eps_root)


@transformation
def scale_by_stddev(decay: PositiveDecay = 0.9, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0):
    r"""Centred RMSProp direction: divides the gradient by its running standard deviation.

    .. math:: a_t = decay \cdot a_{t-1} + (1 - decay) g_t, \quad
        w_t = decay \cdot w_{t-1} + (1 - decay) |g_t - a_t|^2, \quad
        u_t = \frac{g_t}{\sqrt{w_t / decay + eps\_root} + eps}

    The variance :math:`w_t / decay` equals :math:`E[|g|^2] - |E[g]|^2` of the same averages, the difference in the
    literature; this form has no cancellation and is never negative.

    Args:
        decay: decay rate of both averages, in (0, 1); at 0 there is no variance.
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: see `rmsprop`.
    """
    deviation = difference(identity(), scale_by_ema(decay))
    variance = chain(deviation, square(), scale_by_ema(decay), scale(1 / decay))
    return ratio(identity(), chain(variance, sqrt()), eps, eps_root)


@transformation
def rmsprop(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    centered: bool = False,
    momentum: Decay | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
):
    r"""RMSProp: divides each coordinate of the gradient by the root of its recent mean square.

    .. math:: v_t = decay \cdot v_{t-1} + (1 - decay) |g_t|^2, \quad
        u_t = -learning\_rate \frac{g_t}{\sqrt{v_t + eps\_root} + eps}

    For Optax's numbers, give its `eps` as `eps_root`, with `eps=0.0`: in Optax it is inside the root, and a gradient
    far below its root makes a far smaller step.

    Args:
        learning_rate: the step size.
        decay: decay rate of the mean square, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root; the same as Optax's `eps` by default.
        centered: whether to divide by the standard deviation instead of the root mean square; see `scale_by_stddev`.
        momentum: momentum coefficient, applied before the learning rate; None disables momentum.
        nesterov: whether to use Nesterov momentum.
        bias_correction: whether to bias-correct the mean square; without it the first steps are larger by a factor of
            :math:`1 / \sqrt{1 - decay}`.

    State: one array per parameter, one more if centred, one more with momentum.

    Raises:
        GradtxValueError: both `centered` and `bias_correction`; the corrected variance of the first gradient is 0.

    Reference: Tieleman and Hinton, "Lecture 6.5: RMSProp", Coursera, 2012, which has no eps; centred: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013, equations 38 to 41, with `eps_root` as its constant
    and the learning rate after the momentum. Optax applies it before, which matters if the rate changes.
    """
    if centered and bias_correction:
        raise GradtxValueError(
            "expected centered=True or bias_correction=True, got both; the bias-corrected variance of the first "
            "gradient is 0, so the first step would be divided by 0"
        )
    direction = (scale_by_stddev if centered else scale_by_rms)(decay, eps, eps_root)
    if bias_correction:
        direction = ratio(identity(), chain(square(), scale_by_ema(decay), corrected(decay), sqrt()), eps, eps_root)
    if momentum is None:
        return chain(direction, scale_by_learning_rate(learning_rate))
    return chain(direction, add_momentum(momentum, nesterov), scale_by_learning_rate(learning_rate))
