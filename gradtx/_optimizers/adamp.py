"""AdamP: Adam without radial updates of scale-invariant weights."""

from gradtx._combinators.chain import chain
from gradtx._combinators.remove_radial import remove_radial
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import scale_by_adam
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def adamp(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    delta: NonNegative = 0.1,
    wd_ratio: NonNegative = 0.1,
):
    r"""AdamP: Adam that removes the radial part of the updates of scale-invariant weights.

    .. math:: u_t = -learning\_rate \left(\Pi(d_t) + r_t \cdot weight\_decay \cdot p_t\right)

    with :math:`d_t` from `scale_by_adam` and the projection :math:`\Pi` from `remove_radial`; :math:`r_t` is
    :math:`wd\_ratio` where the projection applies, and 1 elsewhere.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        delta: threshold on the cosine between gradient and weights, times the square root of their size.
        wd_ratio: factor of the weight decay where the projection applies.

    State: two arrays per parameter. Needs the parameters.

    Reference: Heo et al., "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights", 2021,
    algorithm 2; see `remove_radial`.
    """
    direction = remove_radial(scale_by_adam(b1, b2, eps), delta, weight_decay, wd_ratio)
    return chain(direction, scale_by_learning_rate(learning_rate))
