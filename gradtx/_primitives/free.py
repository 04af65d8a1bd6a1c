"""Schedule-free averaging: an average of the iterates replaces the learning rate schedule."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx._base.numerics import safe_divide, times
from gradtx._base.states import state_class
from gradtx._base.typing import Params
from gradtx._core.averages import averages_of
from gradtx._core.constructors import clocked_memory, with_facts
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Scalar


@state_class
class Weights(NamedTuple):
    """The scalars of `schedule_free_averaging`.

    Attributes:
        total: the sum of the weights so far.
        largest: the largest learning rate so far.
        b1: the weight of the average in the parameters.
    """

    total: Any
    largest: Any
    b1: Any


@state_class
class AheadOfAverage(NamedTuple):
    """The state of `schedule_free_averaging`.

    Attributes:
        ahead: the iterate z that the updates move, one array per parameter.
        weights: the scalars.
    """

    ahead: Any
    weights: Any

    def eval_params(self, params: Params) -> Any:
        """The average, recomputed from the parameters and the iterate z."""
        b1 = self.weights.b1
        part = jnp.where(b1 == 0, 1.0, b1)

        def average(p, ahead):
            wide = p.astype(ahead.dtype)
            return jnp.where(b1 == 0, wide, ahead + times(wide - ahead, 1 / part.astype(ahead.real.dtype)))

        return averages_of(params, self.ahead, average)


@transformation
def schedule_free_averaging(learning_rate: NonNegative, b1: Decay = 0.9, weight_lr_power: Scalar = 2.0):
    r"""Schedule-free averaging: moves an iterate z by the updates, and the parameters to between z and its average.

    .. math:: z_{t+1} = z_t + g_t, \quad w_t = \max(\gamma_1, \dots, \gamma_t)^{weight\_lr\_power}, \quad
        c_t = w_t / \textstyle\sum_{i \le t} w_i, \quad x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}, \quad
        u_t = (1 - b_1) z_{t+1} + b_1 x_{t+1} - p_t

    where :math:`\gamma` is the learning rate, and z and x start at the parameters. Put it last, after the learning
    rate. The gradients are taken at the parameters, between z and x; `eval_params` returns x.

    Args:
        learning_rate: the learning rate of the updates, for the weights.
        b1: the weight of the average in the parameters, in [0, 1); at 0 the average cannot be recomputed.
        weight_lr_power: the exponent of the largest learning rate in the weights; 0 weights all steps equally.

    State: `AheadOfAverage`: one array per parameter, z, and three scalars. Needs the parameters.

    Reference: see `schedule_free`.
    """

    def advance(old):
        largest = jnp.maximum(old.largest, learning_rate)
        weight = jnp.where(largest == 0, 0.0, jnp.power(jnp.where(largest == 0, 1.0, largest), weight_lr_power))
        total = old.total + weight
        return safe_divide(weight, total), Weights(total, largest, jnp.full_like(old.b1, b1))

    work = clocked_memory(
        init=lambda p: p,
        start=lambda: Weights(jnp.zeros((), float), jnp.zeros((), float), jnp.full((), b1, float)),
        advance=advance,
        step=lambda g, z, p, c: z + g,
        emit=lambda g, z, p, c: c * (z - p) + (1 - b1) * (1 - c) * g,
        state=AheadOfAverage,
        needs_params=True,
        encoded=False,
    )
    return with_facts(work, keeps_params=True)
