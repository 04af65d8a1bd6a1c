"""Records of scalars measured on the updates, for logs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.branch import cast_like
from gradtx._base.calls import explains_calls
from gradtx._base.checks import arguments_needed
from gradtx._base.errors import GradtxTypeError, GradtxValueError, check_state, short
from gradtx._base.states import Logged, state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._combinators.inject import Injected, named_numbers
from gradtx._core.constructors import required_params
from gradtx._core.context import Context, Work
from gradtx._core.facts import Facts
from gradtx._core.hyperparams import places, shortest
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._core.scheduled import Scheduled
from gradtx._values.schedule import Schedule


@state_class
class Recorded(NamedTuple):
    """The state of `record`.

    Attributes:
        numbers: the measures of the last update (0 before the first), 0-d float arrays by name.
    """

    numbers: dict[str, Array]


@transformation
def record(name: str, measure: Callable[..., Any]):
    """Record: passes the updates through unchanged, and stores a measure of them for `logs`.

    .. math:: u = g

    Args:
        name: the name in `logs`.
        measure: a function of the updates, such as `gradtx.tree.norm`, or of the updates and the parameters, if
            it has two parameters without defaults. It returns a 0-d array, or a pytree of them, whose paths are
            appended to the name: `norms/first`. Its inputs have at least 32 bits.

    State: `Recorded(numbers)`: one float32 scalar (float64 with x64) per measure. A measure of the parameters needs
    them.

    Raises:
        GradtxValueError: the measure does not return scalars, or needs parameters that are missing.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(record("gradient", tree.norm), adam(schedules.linear(0.1, 0.0, 10)))
        >>> state = tx.init(jnp.zeros(2))
        >>> updates, state = tx.update(jnp.asarray([3.0, 4.0]), state)
        >>> print({name: float(x) for name, x in logs(state).items()})
        {'gradient': 5.0, 'learning_rate': 0.10000000149011612}
    """
    if not isinstance(name, str):
        raise GradtxTypeError(f"name: expected a string, got {short(name)}")
    if not callable(measure):
        raise GradtxTypeError(f"measure: expected a function of the updates, got {short(measure)}")
    reads_params = arguments_needed(measure) == 2

    def numbers(updates: Updates, params: Params) -> dict[str, Array]:
        arguments = [updates, required_params(params, updates)] if reads_params else [updates]
        found = measure(*map(trees.floats_widened, arguments))
        named = {}
        for keys, x in jax.tree_util.tree_leaves_with_path(found):
            own = "/".join([name, trees.path_text(keys)] if keys else [name])
            if jnp.shape(x) != ():
                raise GradtxValueError(f"the measure {own!r}: expected a scalar, got the shape {jnp.shape(x)}")
            named[own] = jnp.asarray(x, float)
        return named

    def init(step: Context, params: Params) -> Recorded:
        return Recorded({name: jnp.zeros((), float) for name in jax.eval_shape(numbers, params, params)})

    def update(step: Context, updates: Updates, state: Recorded, params: Params) -> tuple[Updates, Recorded]:
        check_state(Recorded, state)
        return updates, Recorded(jax.tree.map(cast_like, numbers(updates, params), state.numbers))

    # No combinator, which would widen what goes through.
    return GradientTransformation._of(Work(init, update, facts=Facts(is_identity=True)))


@explains_calls("logs")
def logs(state: State, tx: Transform | None = None) -> dict[str, Array]:
    """The scalars to log in a state, at any depth: measures of `record`, hyperparameters, the scale of a plateau.

    Args:
        state: the state.
        tx: the transform of the state, for the hyperparameters that are constant too: they are not in the state.

    Returns:
        Scalar by name, copies of those in the state. Where several parts of the state have a scalar of the same name,
        it is prefixed with the names around it, `decoder/learning_rate`, or with its place
        where names are not enough: `1/learning_rate`. For a state of Flax NNX these are the arrays, not
        the variables that hold them.
    """
    kinds = (Recorded, Injected, Scheduled, Logged)
    found = named_numbers("logs", trees.without_variables(state), *kinds, among=kinds)
    if tx is None:
        return found
    known = list(places(as_transformation(tx), schedules=False))
    names = zip(shortest([place.path for place in known]), known, strict=True)
    constant = {name: jnp.array(place.value, float) for name, place in names if not isinstance(place.value, Schedule)}
    return constant | found
