"""Gradient descent that gives nothing away about single examples."""

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
    r"""DP-SGD: gradient descent along a mean of clipped gradients of single examples, with noise.

    .. math:: u_t = -learning\_rate \, \frac{1}{n} \left(\sum_{i=1}^n g_i \min\left(1,
        \frac{l2\_norm\_clip}{\lVert g_i \rVert}\right) + N(0, (noise\_multiplier \cdot l2\_norm\_clip)^2)\right)

    The updates that come in are the gradients of each example: see `aggregate_privately`.

    Args:
        learning_rate: the step size.
        l2_norm_clip: the largest norm of an example that is let through.
        noise_multiplier: standard deviation of the noise in the sum, in units of `l2_norm_clip`.
        seed: seed of the noise; secret, and another one for each run.
        momentum: how much of the momentum is kept, in [0, 1); None does without.
        nesterov: whether to look one step ahead.

    State: two uint32 numbers and an int32 count, and one array per parameter with momentum.

    Reference: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1; momentum, which does not
    change how private it is, is not in the paper.
    """
    return chain(aggregate_privately(l2_norm_clip, noise_multiplier, seed), sgd(learning_rate, momentum, nesterov))
