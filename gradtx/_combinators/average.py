"""Parameter averaging."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.branch import one_of
from gradtx._base.checks import whole_number
from gradtx._base.errors import check_state
from gradtx._base.numerics import align, strong, weak, weighted_mean
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, Transform, Updates
from gradtx._core.averages import averages_of
from gradtx._core.constructors import combinator, required_params, with_facts
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation
from gradtx._core.updates import apply_updates
from gradtx._values.schedule import UnitInterval


@state_class
class Averaged(NamedTuple):
    """The state of `average_params`.

    Attributes:
        count: int32, the number of updates since the last one whose parameters were averaged; negative before `start`.
        weight: the weight of the average in units of the next parameters' weight, and its rounding error.
        average: the averaged parameters, in at least float32; the parameters themselves before the first average.
        inner: the state of the inner transform.
    """

    count: Any
    weight: Any
    average: Any
    inner: Any

    def eval_params(self, params: Params) -> Params:
        return averages_of(params, self.average)


@transformation(role="wrapper")
def average_params(inner: Transform, decay: UnitInterval = 1.0, every: int = 1, start: int = 0):
    r"""Parameter averaging: passes on the updates of `inner`, and averages the updated parameters for `eval_params`.

    .. math:: w_t = decay \cdot w_{t-1} + 1, \quad a_t = a_{t-1} + (p_t - a_{t-1}) / w_t, \quad p_t = p_{t-1} + u_t,
        \quad w_0 = 0

    With `decay=1` this is the mean of all parameters so far (Polyak-Ruppert averaging; with `every`, stochastic weight
    averaging). Below 1 it is their exponential moving average with Adam's bias correction. In both cases the weights
    add up to 1, so the first average equals the first parameters. Wrap the whole optimizer: the averaged parameters are
    those passed to `update` plus the returned updates.

    Args:
        inner: a transform whose updates are steps, such as a named optimizer.
        decay: the factor on the weight of earlier parameters per average, in [0, 1].
        every: the number of steps between averages; other steps leave the average unchanged.
        start: the number of steps before the averaging begins; until then the average is the parameters.

    State: `Averaged(count, weight, average, inner)`: one array per parameter, in its dtype or float32 if that is wider;
    two scalars and one int32. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing, or `every` or `start` is not a whole number, positive or from 0.

    Reference: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; Izmailov,
    Podoprikhin, Garipov, Vetrov and Wilson, "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, params = average_params(sgd(1.0)), jnp.zeros(())
        >>> state = tx.init(params)
        >>> for g in (-1.0, -1.0, -4.0):
        ...     updates, state = tx.update(jnp.float32(g), state, params)
        ...     params = apply_updates(params, updates)
        >>> print(params, eval_params(state, params))  # at 1, 2 and 6
        6.0 3.0
    """
    inner, every = as_transformation(inner), whole_number("every", every)
    if start != 0:
        whole_number("start", start)

    def init(step: Context, params: Params) -> Averaged:
        return Averaged(
            jnp.full((), -start, jnp.int32),
            jnp.zeros(2, float),
            trees.widened(params, "parameters"),
            step.init(inner, params),
        )

    def update(step: Context, updates: Updates, state: Averaged, params: Params) -> tuple[Updates, Averaged]:
        check_state(Averaged, state)
        updates, new = step.update(inner, updates, state.inner, required_params(params, updates))
        params = apply_updates(params, updates)
        trees.leaves_like(params, state.average, "parameters", "state")
        is_due = state.count + 1 >= every
        count = jnp.where(is_due, 0, state.count + 1)
        weight = jnp.where(is_due, _heavier(state.weight, 1 - decay), state.weight)
        first = weight[0] == 0  # no average yet: the state holds the parameters
        mean = weighted_mean(weak(1 / jnp.where(first, 1.0, weight[0])))

        def moved() -> Params:
            return jax.tree.map(lambda p, a: strong(mean(*align(p, a)), a.dtype), params, state.average)

        average = moved() if every == 1 else one_of(first | is_due, moved, lambda: state.average)
        return updates, Averaged(count, weight, average, new)

    return with_facts(combinator(init, update), keeps_params=True)


def _heavier(weight: Array, rest: Any) -> Array:
    """`(1 - rest) * weight + 1` with compensated summation: accurate to the last bits after a million steps."""
    total, error = weight
    term = 1 - rest * total - error
    new = total + term
    return jnp.stack([new, (new - total) - term])
