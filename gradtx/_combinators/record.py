"""Measures of the updates on their way, for logs."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short, wrong_state
from gradtx._base.numerics import is_inexact, widened
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._combinators.inject import Injected, named_numbers
from gradtx._core.constructors import combinator, required
from gradtx._core.context import Context
from gradtx._core.protocol import Scheduled, transformation


class Recorded(NamedTuple):
    """The state of `record`.

    Attributes:
        numbers: what was measured in the last update (0 before the first), 0-d float arrays by name.
    """

    numbers: dict[str, Array]


@transformation
def record(name: str, measure: Callable[..., Any]):
    """Lets the updates through as they are, and keeps a measure of them for `logs`.

    .. math:: u = g

    Args:
        name: what `logs` calls it.
        measure: a function of the updates, such as `gradtx.tree.global_norm`, or of the updates and the parameters, if
            it has two parameters without defaults. It returns a 0-d array, or a pytree of them, whose paths then come
            after the name: `norms/first`. It sees arrays of at least 32 bits.

    State: `Recorded(numbers)`: one float32 number (float64 in x64) for each measure. A measure of the parameters needs
    them.

    Raises:
        GradtxValueError: the measure has other shapes, or needs parameters that were not given.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(record("gradient", tree.global_norm), adam(schedules.linear(0.1, 0.0, 10)))
        >>> state = tx.init(jnp.zeros(2))
        >>> updates, state = tx.update(jnp.asarray([3.0, 4.0]), state)
        >>> print({name: float(x) for name, x in logs(state).items()})
        {'gradient': 5.0, 'learning_rate': 0.10000000149011612}
    """
    if not isinstance(name, str):
        raise GradtxTypeError(f"the name must be a string, got {short(name)}")
    if not callable(measure):
        raise GradtxTypeError(f"the measure must be a function of the updates, got {short(measure)}")
    reads_params = _takes_two(measure)

    def numbers(updates: Updates, params: Params) -> dict[str, Array]:
        arguments = [updates, required(params)] if reads_params else [updates]
        found = measure(*(jax.tree.map(_wide, argument) for argument in arguments))
        named = {}
        for keys, x in jax.tree_util.tree_leaves_with_path(found):
            own = "/".join([name, trees.path_text(keys)] if keys else [name])
            if jnp.shape(x) != ():
                raise GradtxValueError(f"the measure {own!r} must be a number, got the shape {jnp.shape(x)}")
            named[own] = jnp.asarray(x, float)
        return named

    def init(step: Context, params: Params) -> Recorded:
        return Recorded({name: jnp.zeros((), float) for name in jax.eval_shape(numbers, params, params)})

    def update(step: Context, updates: Updates, state: Recorded, params: Params) -> tuple[Updates, Recorded]:
        if not isinstance(state, Recorded):
            raise wrong_state("a `Recorded`", state)
        return updates, Recorded(numbers(updates, params))

    return combinator(init, update)


def logs(state: State) -> dict[str, Array]:
    """What there is to log in a state, wherever in it: the measures of `record`, and the numbers of `get_hyperparams`.

    Returns:
        Number by name. Where several parts of the state have a number of one name, the path to the part comes first:
        `1/learning_rate`. From the state of Flax NNX the numbers, not the variables that hold them for now.
    """
    kinds = (Recorded, Injected, Scheduled)
    return named_numbers(trees.without_variables(state), *kinds, among=kinds)


def _takes_two(measure: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(measure).parameters.values()
    except ValueError:  # some functions that are written in C do not say
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 2


def _wide(x: Any) -> Any:
    return widened(x) if hasattr(x, "dtype") and is_inexact(x) else x
