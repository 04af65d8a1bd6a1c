"""Schedule-free optimizers: iterate averaging in place of a learning rate schedule."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._optimizers.gradient_descent import sgd
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.free import schedule_free_averaging
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Scalar
from gradtx.schedules import linear


@transformation
def schedule_free(inner: Transform, learning_rate: NonNegative, b1: Decay = 0.9, weight_lr_power: Scalar = 2.0):
    r"""Schedule-free: wraps any transform, and takes gradients between its iterates and their average.

    .. math:: y_t = (1 - b_1) z_t + b_1 x_t, \quad z_{t+1} = z_t + inner(\nabla f(y_t)), \quad
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}

    The parameters in training are y. Evaluate with `eval_params(state, params)`, which returns x.

    Args:
        inner: the transform, with its learning rate and without momentum, which `b1` replaces.
        learning_rate: the learning rate in `inner`, used for the weights of the average.
        b1: weight of the average in the parameters, in [0, 1).
        weight_lr_power: exponent of the largest learning rate so far, in the weights of the average.

    State: that of `inner`, one array per parameter, and three scalars. Needs the parameters. With half-precision
    parameters wrap it in `master_weights`; otherwise rounding loses the small changes of the average.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The Road Less Scheduled", 2024, equations 3 to 5.
    """
    return chain(inner, schedule_free_averaging(learning_rate, b1, weight_lr_power))


@transformation
def schedule_free_sgd(
    learning_rate: NonNegative = 1.0,
    warmup_steps: int | None = None,
    b1: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: Scalar = 2.0,
    mask: Any = None,
):
    r"""Schedule-free SGD: gradient descent with iterate averaging in place of a learning rate schedule.

    .. math:: z_{t+1} = z_t - \gamma_t (g_t + weight\_decay \cdot y_t)

    with the averaging of `schedule_free`.

    Args:
        learning_rate: the step size.
        warmup_steps: number of steps of linear warmup, from `1 / warmup_steps` of the rate; None disables warmup.
        b1: weight of the average in the parameters, in [0, 1).
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        weight_lr_power: exponent of the largest learning rate so far, in the weights of the average.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter, and a few scalars. Needs the parameters: see `schedule_free` for half-precision.

    Reference: see `schedule_free`. Differs from Optax: there the warmup starts at a learning rate of 0.
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    return schedule_free(chain(add_decayed_weights(weight_decay, mask), sgd(rate)), rate, b1, weight_lr_power)


@transformation
def schedule_free_adamw(
    learning_rate: NonNegative = 0.0025,
    warmup_steps: int | None = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: Scalar = 2.0,
    mask: Any = None,
):
    r"""Schedule-free AdamW: AdamW with iterate averaging in place of the first moment.

    .. math:: z_{t+1} = z_t - \gamma_t \left(\frac{g_t}{\sqrt{\hat v_t} + eps} + weight\_decay \cdot y_t\right)

    with the averaging of `schedule_free`.

    Args:
        learning_rate: the step size.
        warmup_steps: number of steps of linear warmup, from `1 / warmup_steps` of the rate; None disables warmup.
        b1: weight of the average in the parameters, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        weight_lr_power: exponent of the largest learning rate so far, in the weights of the average.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter, and a few scalars. Needs the parameters: see `schedule_free` for half-precision.

    Reference: see `schedule_free`; algorithm 1 there has the bias correction in the learning rate. Differs from
    Optax: there the warmup starts at a learning rate of 0.
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    how_noisy = chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt())
    direction = chain(ratio(identity(), how_noisy, eps), add_decayed_weights(weight_decay, mask))
    return schedule_free(chain(direction, scale_by_learning_rate(rate)), rate, b1, weight_lr_power)


def _warmed_up(learning_rate: Any, steps: int | None) -> Any:
    """The learning rate with a linear warmup that starts at 1 / steps of it."""
    return learning_rate if not steps else learning_rate * linear(1 / steps, 1.0, steps - 1)
