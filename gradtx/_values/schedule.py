"""Schedules: hyperparameters that change with the step."""

import functools
import typing
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gradtx._base.counterparts import METHODS_OF_SCHEDULES
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, short
from gradtx._base.numerics import weak
from gradtx._base.typing import Number
from gradtx._values.registry import REGISTRY, Spec
from gradtx._values.value import Value, holds_value, is_plain, is_value


class Schedule(Value):
    """A hyperparameter that changes with the step: a function of the step count, 0 at the first update.

    Made by the factories in `gradtx.schedules`, by `@schedule`, or from any function: `Schedule(lambda step: ...)`.
    Accepted for every hyperparameter of every transform.
    """

    __slots__ = ()
    _elsewhere = METHODS_OF_SCHEDULES

    def __init__(self, function: Callable[[Any], Any]):
        self._set(_FUNCTION, {"function": function})

    def _check(self) -> None:
        # The bodies of gradtx put functions together, and compute nothing that would start a backend.
        if self._spec.is_ours and is_plain(self) and not scheduled_names(self):
            with at_stage(self._spec.name):
                self._spec.call(self._spec.body, prepared(self))

    def __call__(self, count: Any) -> jax.Array:
        """The value at step `count` (an int, or an array of counts), as a float array of the shape of `count`."""
        count = jax.numpy.asarray(count, dtype=float)
        with at_stage(self._spec.name):
            function = self._spec.call(self._spec.body, prepared(self, count))
            if not callable(function):
                raise GradtxTypeError(
                    f"expected a function of the step from the body, got {short(function)}; return lambda step: ..."
                )
            try:
                result = function(count)
            except jax.errors.TracerBoolConversionError as error:
                raise GradtxTypeError(
                    "the schedule branches on the step, which is traced; use jnp.where, or schedules.join"
                ) from error
            except (TypeError, IndexError) as error:
                if self._spec is not _FUNCTION or isinstance(error, GradtxTypeError):
                    raise
                raise GradtxTypeError(
                    f"the schedule raises {type(error).__name__}: {str(error).splitlines()[0]}; it gets the step as an "
                    f"array, {count.dtype}: for a table, jnp.asarray(table)[step.astype(int) // 100]"
                ) from error
            if result is None or isinstance(result, str) or callable(result):
                raise GradtxTypeError(
                    f"expected a number for the step, got {short(result)}; is `return` missing, or one more call?"
                )
        return jax.numpy.asarray(result, dtype=float)

    def _arithmetic(self, operation: str, *operands: Any) -> "Schedule":
        return REGISTRY["schedules.arithmetic"].factory(operation, *operands)

    def __add__(self, other: Any) -> "Schedule":
        return self._arithmetic("add", self, other)

    def __radd__(self, other: Any) -> "Schedule":
        return self._arithmetic("add", other, self)

    def __sub__(self, other: Any) -> "Schedule":
        return self._arithmetic("subtract", self, other)

    def __rsub__(self, other: Any) -> "Schedule":
        return self._arithmetic("subtract", other, self)

    def __mul__(self, other: Any) -> "Schedule":
        return self._arithmetic("multiply", self, other)

    def __rmul__(self, other: Any) -> "Schedule":
        return self._arithmetic("multiply", other, self)

    def __truediv__(self, other: Any) -> "Schedule":
        return self._arithmetic("divide", self, other)

    def __rtruediv__(self, other: Any) -> "Schedule":
        return self._arithmetic("divide", other, self)

    def __pow__(self, other: Any) -> "Schedule":
        return self._arithmetic("power", self, other)

    def __rpow__(self, other: Any) -> "Schedule":
        return self._arithmetic("power", other, self)

    def __neg__(self) -> "Schedule":
        return self._arithmetic("multiply", -1.0, self)


Hyperparameter: typing.TypeAlias = (
    float | jax.Array | np.ndarray | np.number | Schedule | Callable[[Any], jax.typing.ArrayLike]
)
"""The types of a hyperparameter: a Python number, a 0-d array (traced or not), or a schedule."""

# These aliases are for the signatures of gradtx's own factories: a type checker checks their callers against the union,
# and is told in pyproject.toml that the bodies get numbers. The aliases for users are in `annotations.py`.

Scalar = typing.Annotated[Hyperparameter, Number()]
Decay = typing.Annotated[Hyperparameter, Number(0.0, 1.0)]
NonNegative = typing.Annotated[Hyperparameter, Number(0.0)]
Positive = typing.Annotated[Hyperparameter, Number(0.0, above=True)]
UnitInterval = typing.Annotated[Hyperparameter, Number(0.0, 1.0, to=True)]
Bound = typing.Annotated[Hyperparameter, Number(to=True)]
UpperBound = typing.Annotated[Hyperparameter, Number(0.0, above=True, to=True)]
Radius = typing.Annotated[Hyperparameter, Number(0.0, to=True)]
Duration = typing.Annotated[Hyperparameter, Number(0.0, fixed=True)]
PositiveDuration = typing.Annotated[Hyperparameter, Number(0.0, above=True, fixed=True)]
PositiveDecay = typing.Annotated[Hyperparameter, Number(0.0, 1.0, above=True)]


def scheduled_names(value: Value) -> list[str]:
    """The hyperparameters of `value` that follow a schedule."""
    arguments = value._arguments
    return [name for name in value._spec.numbers if type(arguments[name]) is not float and holds_value(arguments[name])]


def prepared(value: Value, count: Any = None) -> dict[str, Any]:
    """The arguments for the body of the factory: hyperparameters as floats or weakly typed 0-d arrays.

    Schedules are evaluated at `count`, or left as they are if it is None.
    """

    def prepare(name: str, x: Any) -> Any:
        if isinstance(x, Schedule):
            return x if count is None else x(count)
        if isinstance(x, (int, float)):
            return float(x)
        if np.shape(x) != ():
            raise GradtxValueError(
                f"{name}: expected a scalar, got the shape {np.shape(x)}; to run many values at once, "
                f"map over the transform: jax.vmap(run)(jax.vmap({value.factory_name})(values))"
            )
        return weak(x)

    arguments = dict(value._arguments)
    for name in value._spec.numbers:
        if type(arguments[name]) is not float:
            arguments[name] = jax.tree.map(functools.partial(prepare, name), arguments[name], is_leaf=is_value)
    return arguments


def _function(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return function


_FUNCTION = Spec("Schedule", _function, {}, Schedule, factory=Schedule)
