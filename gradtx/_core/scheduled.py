"""Transforms whose hyperparameters follow schedules."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.branch import cast_like
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import increment, is_traced
from gradtx._base.states import state_class
from gradtx._core.compose import with_scalars
from gradtx._core.context import Built
from gradtx._values.schedule import Schedule, scheduled_names
from gradtx._values.value import Value, is_value


@state_class
class Scheduled(NamedTuple):
    """The state of a transform with hyperparameters that follow schedules.

    Attributes:
        count: int32, the number of updates so far.
        values: the scheduled hyperparameters as they were in the last update (as they will be in the first, before it).
        inner: the state of the transform itself.
    """

    count: Any
    values: dict[str, Any]
    inner: Any


def following_schedules(tx: Value, built_at: Callable[[dict[str, Any]], Built]) -> Built:
    """The work of `tx`, whose schedules are read at each step: at 0 for the first update.

    Args:
        tx: a transform, some of whose hyperparameters follow schedules.
        built_at: what it is built as with other values of these.
    """
    first = built_at(read_schedules(tx, 0))

    def start() -> tuple:
        values = read_schedules(tx, 0)
        _check_first(tx, values)
        return jnp.zeros((), jnp.int32), values

    def advance(own: tuple) -> tuple[tuple, tuple]:
        count, old = own
        values = jax.tree.map(cast_like, read_schedules(tx, count), old)
        return (count, values), (increment(count), values)

    work = with_scalars(Scheduled, first, start, advance, lambda own: built_at(own[1]))
    return Built(first.stages, work)


def read_schedules(tx: Value, count: Any) -> dict[str, Any]:
    """The scheduled hyperparameters of `tx` at `count`."""
    numbers = {name: tx._arguments[name] for name in scheduled_names(tx)}
    return jax.tree.map(
        lambda x: x(count) if isinstance(x, Schedule) else jnp.asarray(x, float), numbers, is_leaf=is_value
    )


def _check_first(tx: Value, values: dict[str, Any]) -> None:
    """Raises if a schedule begins outside of the range of its hyperparameter; in a trace its values are not known."""
    for name, given in values.items():
        number = tx._spec.numbers[name]
        for x in jax.tree.leaves(given):
            if is_traced(x) or jnp.ndim(x) or number.low <= x <= number.high:
                continue  # a decay may be 1, or rounded to it
            hint = "; the minus of a descent step is built in" if x < 0 and number.allows(-float(x)) else ""
            raise GradtxValueError(f"{name}: expected {number} from the schedule, got {float(x):.6g} at step 0{hint}")
