"""MADGRAD: dual averaging with adaptive step sizes."""

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import difference, ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import running_sum
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.anchor import current_params, initial_params
from gradtx._primitives.elementwise import power, square
from gradtx._primitives.scale import scale
from gradtx._values.schedule import Decay, NonNegative
from gradtx.schedules import power as power_of_step


@transformation
def madgrad(
    learning_rate: NonNegative, momentum: Decay = 0.9, weight_decay: NonNegative = 0.0, eps: NonNegative = 1e-6
):
    r"""MADGRAD: dual averaging divided by the cube root of AdaGrad's sum, with momentum by iterate averaging.

    .. math:: \lambda_t = learning\_rate \sqrt{t}, \quad s_t = s_{t-1} + \lambda_t g_t, \quad
        v_t = v_{t-1} + \lambda_t |g_t|^2, \quad z_t = p_1 - \frac{s_t}{\sqrt[3]{v_t} + eps}, \quad
        u_t = (1 - momentum) (z_t - p_t)

    Args:
        learning_rate: the step size.
        momentum: weight of the current parameters in the average, in [0, 1).
        weight_decay: coefficient of L2 weight decay, added to the gradient; the paper warns against it.
        eps: added outside the cube root.

    State: three arrays per parameter. Needs the parameters.

    Reference: Defazio and Jelassi, "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient
    Method for Stochastic Optimization", 2021, algorithm 1. Optax adds `eps` to the learning rate too.
    """
    weight = learning_rate * power_of_step(1.0, 0.5, offset=1.0)
    gradients = chain(scale(weight), running_sum())
    squares = chain(square(), scale(weight), running_sum(), power(1 / 3))
    # p_1 - p_t first: the difference of nearby values is exact, whereas z_t itself would be rounded.
    way = difference(difference(initial_params(), current_params()), ratio(gradients, squares, eps))
    return chain(add_decayed_weights(weight_decay), way, scale(1 - momentum))
