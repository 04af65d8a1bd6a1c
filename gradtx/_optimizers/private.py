"""DP-SGD: gradient descent with differential privacy for single examples."""

from gradtx._combinators.chain import chain
from gradtx._core.protocol import transformation
from gradtx._optimizers.gradient_descent import sgd
from gradtx._primitives.private import aggregate_privately
from gradtx._values.schedule import Decay, NonNegative


@transformation
def dpsgd(
    learning_rate: NonNegative,
    l2_norm_clip: NonNegative,
    noise_multiplier: NonNegative,
    seed: int = 0,
    momentum: Decay | None = None,
    nesterov: bool = False,
):
    r"""DP-SGD: averages clipped per-example gradients and adds Gaussian noise.

    .. math:: u_t = -learning\_rate \, \frac{1}{n} \left(\sum_{i=1}^n g_i \min\left(1,
        \frac{l2\_norm\_clip}{\lVert g_i \rVert}\right) + N(0, (noise\_multiplier \cdot l2\_norm\_clip)^2)\right)

    The incoming updates are per-example gradients; see `aggregate_privately`.

    Args:
        learning_rate: the step size.
        l2_norm_clip: per-example gradients are clipped to this norm.
        noise_multiplier: standard deviation of the noise in the sum, in units of `l2_norm_clip`.
        seed: seed of the noise; keep it secret, and use a new one for each run.
        momentum: momentum coefficient, in [0, 1); None disables momentum.
        nesterov: whether to use Nesterov momentum.

    State: a random key (two uint32) and a step count (int32); one array per parameter with momentum.

    Reference: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1. Momentum is not in the
    paper; it does not change the privacy guarantee.
    """
    return chain(aggregate_privately(l2_norm_clip, noise_multiplier, seed), sgd(learning_rate, momentum, nesterov))
