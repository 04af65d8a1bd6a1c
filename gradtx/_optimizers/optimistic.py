"""Optimistic gradient methods for games: they predict the next gradient from the difference of the last two."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import difference
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import scale_by_adam
from gradtx._primitives.lag import delay
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Scalar


@transformation
def optimistic_gradient_descent(learning_rate: NonNegative, alpha: Scalar = 1.0, beta: Scalar = 1.0):
    r"""Optimistic gradient descent: adds to the gradient its change since the previous step.

    .. math:: u_t = -learning\_rate \left((\alpha + \beta) g_t - \beta g_{t-1}\right), \quad g_0 = 0

    Args:
        learning_rate: the step size.
        alpha: weight of the gradient.
        beta: weight of its change; 0 is gradient descent.

    State: one array per parameter.

    Reference: Mokhtari, Ozdaglar and Pattathil, "A Unified Analysis of Extra-gradient and Optimistic Gradient Methods
    for Saddle Point Problems", 2020, generalized OGDA. Differs from Optax: there the change is
    0 at the first step.
    """
    changed = difference(scale(alpha + beta), chain(delay(), scale(beta)))
    return chain(changed, scale_by_learning_rate(learning_rate))


@transformation
def optimistic_adam(
    learning_rate: NonNegative,
    alpha: Scalar = 1.0,
    beta: Scalar = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
):
    r"""Optimistic Adam: adds to the Adam direction its change since the previous step.

    .. math:: u_t = -learning\_rate \left((\alpha + \beta) d_t - \beta d_{t-1}\right), \quad d_0 = 0

    with :math:`d_t` from `scale_by_adam`.

    Args:
        learning_rate: the step size.
        alpha: weight of the direction.
        beta: weight of its change; 0 is Adam.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: three arrays per parameter.

    Reference: Daskalakis, Ilyas, Syrgkanis and Zeng, "Training GANs with Optimism", 2018, algorithm 1, where
    :math:`\alpha = \beta = 1`. Differs from Optax: there the change is 0 at the first step, and the default is
    Nadam's direction.
    """
    changed = difference(scale(alpha + beta), chain(delay(), scale(beta)))
    return chain(scale_by_adam(b1, b2, eps, eps_root), changed, scale_by_learning_rate(learning_rate))
