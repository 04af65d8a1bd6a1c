"""AdaBelief: Adam with the squared deviation from the first moment as its second moment."""

from gradtx._combinators.chain import chain
from gradtx._combinators.let import let, use
from gradtx._combinators.parallel import difference, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_belief(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-16, eps_root: NonNegative = 1e-16):
    r"""AdaBelief direction: divides the first moment by the root mean square deviation of the gradient from it.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2, \quad
        u_t = \frac{m_t / (1 - b_1^t)}{\sqrt{s_t / (1 - b_2^t) + eps\_root} + eps}

    Args:
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the mean squared deviation, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: see `adabelief`.
    """
    how_far = chain(use("mean"), bias_correction(b1))
    deviation = difference(identity(), use("mean"))
    how_noisy = chain(deviation, square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    return let("mean", scale_by_ema(b1), ratio(how_far, how_noisy, eps, eps_root))


@transformation
def adabelief(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
):
    r"""AdaBelief: Adam with large steps where the gradient is near its moving average, and small steps elsewhere.

    .. math:: u_t = -learning\_rate \frac{\hat m_t}{\sqrt{\hat s_t + eps\_root} + eps}

    with the moments of `scale_by_belief`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the mean squared deviation, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: two arrays per parameter.

    Reference: Zhuang et al., "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients", 2020,
    algorithm 2. Differs from the paper: the paper adds eps to :math:`s_t` at every step, so that it accumulates.
    """
    return chain(scale_by_belief(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))
