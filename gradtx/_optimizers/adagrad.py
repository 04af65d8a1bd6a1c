"""AdaGrad and AdaDelta: step sizes from sums or averages of all squared gradients."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import running_sum, scale_by_ema, scale_by_update_rms
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_rss(initial_accumulator_value: NonNegative = 0.1, eps: NonNegative = 1e-7, eps_root: NonNegative = 0.0):
    r"""AdaGrad direction: divides the gradient by the root of the sum of its squares so far (RSS).

    .. math:: s_t = s_{t-1} + |g_t|^2, \quad u_t = \frac{g_t}{\sqrt{s_t + eps\_root} + eps}

    Args:
        initial_accumulator_value: the initial sum of squares.
        eps: added outside the square root.
        eps_root: added inside the square root.

    State: one array per parameter.

    Reference: see `adagrad`.
    """
    return ratio(identity(), chain(square(), running_sum(initial_accumulator_value), sqrt()), eps, eps_root)


@transformation
def adagrad(
    learning_rate: NonNegative,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
    eps_root: NonNegative = 0.0,
):
    r"""AdaGrad: divides each coordinate by the root of the sum of all its squared gradients so far.

    .. math:: s_t = s_{t-1} + |g_t|^2, \quad u_t = -learning\_rate \frac{g_t}{\sqrt{s_t + eps\_root} + eps}

    For Optax's numbers, give its `eps` as `eps_root`, with `eps=0.0`: in Optax it is inside the root.

    Args:
        learning_rate: the step size.
        initial_accumulator_value: the initial sum of squares.
        eps: added outside the square root.
        eps_root: added inside the square root; the same as Optax's `eps`.

    State: one array per parameter.

    Reference: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011, the diagonal form without projection. The paper starts from 0 and adds its constant outside the root.
    """
    return chain(scale_by_rss(initial_accumulator_value, eps, eps_root), scale_by_learning_rate(learning_rate))


@transformation
def adadelta(
    learning_rate: NonNegative = 1.0,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-6,
    initial_delta: NonNegative = 0.0,
):
    r"""AdaDelta: divides the gradient by its root mean square and multiplies it by that of the previous updates.

    .. math:: v_t = decay \cdot v_{t-1} + (1 - decay) |g_t|^2, \quad
        x_t = \sqrt{\frac{d_{t-1} + eps}{v_t + eps}} g_t, \quad
        d_t = decay \cdot d_{t-1} + (1 - decay) |x_t|^2, \quad u_t = -learning\_rate \cdot x_t

    Args:
        learning_rate: the step size; the paper has none.
        decay: decay rate of both mean squares, in [0, 1).
        eps: added inside both square roots; it also makes the first updates nonzero.
        initial_delta: the initial mean square of the updates.

    State: two arrays per parameter.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1.
    """
    normalized = ratio(identity(), chain(square(), scale_by_ema(decay), sqrt()), eps_root=eps)
    return chain(normalized, scale_by_update_rms(decay, eps, initial_delta), scale_by_learning_rate(learning_rate))
