"""Pairs, and types for annotations."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax

from gradtx._core.protocol import GradientTransformation as Native
from gradtx.optax._installed import as_in_optax

PyTree: TypeAlias = Any
ArrayTree: TypeAlias = Any
OptState: TypeAlias = Any
Params: TypeAlias = Any
Updates: TypeAlias = Any
ScheduleState: TypeAlias = Any
Schedule: TypeAlias = Callable[[Any], Any]
ScalarOrSchedule: TypeAlias = float | jax.Array | Schedule
MaskOrFn: TypeAlias = Any
PRNGKey: TypeAlias = jax.Array
Shape: TypeAlias = Any
Labels: TypeAlias = Any
Transforms: TypeAlias = Mapping[Hashable, "GradientTransformation"]
StaticArgs: TypeAlias = str | Iterable[str]


class TransformInitFn(Protocol):
    """`init(params) -> state`."""

    def __call__(self, params: Params) -> OptState: ...


class TransformUpdateFn(Protocol):
    """`update(updates, state, params=None) -> (updates, state)`."""

    def __call__(self, updates: Updates, state: OptState, params: Params = None) -> tuple[Updates, OptState]: ...


class TransformUpdateExtraArgsFn(Protocol):
    """`update(updates, state, params=None, **extra_args) -> (updates, state)`."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params = None, **extra_args: Any
    ) -> tuple[Updates, OptState]: ...


@runtime_checkable
class StatefulSchedule(Protocol):
    """A schedule with a state of its own, for `inject_hyperparams`."""

    def init(self) -> ScheduleState: ...

    def update(self, state: ScheduleState, **extra_args: Any) -> ScheduleState: ...

    def __call__(self, state: ScheduleState, **extra_args: Any) -> Any: ...


class _Pair(NamedTuple):
    init: Any
    update: Any


@as_in_optax
class GradientTransformation(_Pair):
    """A pair `(init, update)`; Optax's own class where Optax is installed."""


@as_in_optax
class GradientTransformationExtraArgs(GradientTransformation):
    """A pair whose `update` takes extra arguments by keyword, and ignores those that it does not know."""


def with_extra_args_support(tx: Any) -> GradientTransformationExtraArgs:
    """The transform with an `update` that ignores extra arguments, unless it takes them already."""
    if isinstance(tx, (GradientTransformationExtraArgs, Native)):
        return tx  # pyright: ignore[reportReturnType]

    def update(updates: Updates, state: OptState, params: Params = None, **extra_args: Any) -> Any:
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)
