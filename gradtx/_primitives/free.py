"""The averaging that takes the place of a schedule."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx._base.numerics import safe_divide, times
from gradtx._base.typing import Params
from gradtx._core.averages import averages_of
from gradtx._core.constructors import clocked_memory
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Scalar


class Weights(NamedTuple):
    """The numbers of `schedule_free_averaging`.

    Attributes:
        total: the sum of the weights so far.
        largest: the largest learning rate so far.
        b1: the part of the average in the parameters.
    """

    total: Any
    largest: Any
    b1: Any


class AheadOfAverage(NamedTuple):
    """The state of `schedule_free_averaging`.

    Attributes:
        ahead: the point that the updates move, one array per parameter.
        weights: the numbers.
    """

    ahead: Any
    weights: Any

    def eval_params(self, params: Params) -> Any:
        """The average, reckoned from the parameters and the point ahead of it."""
        b1 = self.weights.b1
        part = jnp.where(b1 == 0, 1.0, b1)

        def average(p, ahead):
            wide = p.astype(ahead.dtype)
            return jnp.where(b1 == 0, wide, ahead + times(wide - ahead, 1 / part.astype(ahead.real.dtype)))

        return averages_of(params, self.ahead, average)


@transformation
def schedule_free_averaging(learning_rate: NonNegative, b1: Decay = 0.9, weight_lr_power: Scalar = 2.0):
    r"""Moves a point z by the updates, and the parameters to between z and the average of all z.

    .. math:: z_{t+1} = z_t + g_t, \quad w_t = \max(\gamma_1, \dots, \gamma_t)^{weight\_lr\_power}, \quad
        c_t = w_t / \textstyle\sum_{i \le t} w_i, \quad x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}, \quad
        u_t = (1 - b_1) z_{t+1} + b_1 x_{t+1} - p_t

    with :math:`\gamma` the learning rate, and z and x at the parameters in the beginning. It comes last, after the
    learning rate: the gradients are taken between z and x, and `eval_params` gives x.

    Args:
        learning_rate: the learning rate of the updates, for the weights.
        b1: the part of the average in the parameters, in [0, 1); at 0 there is no average to give.
        weight_lr_power: the exponent of the largest learning rate in the weights; 0 weighs all steps alike.

    State: `AheadOfAverage`: one array per parameter, z, and three numbers. Needs the parameters.

    Reference: see `schedule_free`.
    """

    def advance(old):
        largest = jnp.maximum(old.largest, learning_rate)
        weight = jnp.where(largest == 0, 0.0, jnp.power(jnp.where(largest == 0, 1.0, largest), weight_lr_power))
        total = old.total + weight
        return safe_divide(weight, total), Weights(total, largest, jnp.full_like(old.b1, b1))

    return clocked_memory(
        init=lambda p: p,
        start=lambda: Weights(jnp.zeros((), float), jnp.zeros((), float), jnp.full((), b1, float)),
        advance=advance,
        step=lambda g, z, p, c: z + g,
        emit=lambda g, z, p, c: c * (z - p) + (1 - b1) * (1 - c) * g,
        state=AheadOfAverage,
        needs_params=True,
    )
