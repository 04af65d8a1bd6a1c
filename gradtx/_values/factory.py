"""The decorator that turns a function of numbers and parts into a factory of values."""

import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import is_traced
from gradtx._base.typing import Number
from gradtx._values.schedule import Schedule
from gradtx._values.value import REGISTRY, Spec, Value, is_value

P = ParamSpec("P")
V = TypeVar("V", bound=Value)


def make_factory(body: Callable[P, Any], kind: type[V]) -> Callable[P, V]:
    """The function that records its arguments in a value of `kind`, and leaves it to the value to call `body`."""
    spec = Spec(_public_name(body), body, inspect.signature(body), _numbers(body), kind)

    @functools.wraps(body)
    def factory(*args: P.args, **kwargs: P.kwargs) -> V:
        return kind._make(spec, bind(spec, args, kwargs))

    spec.factory = factory
    factory.spec = spec  # type: ignore[attr-defined]
    known = REGISTRY.get(spec.name)
    if known is None or not _is_ours(known):
        REGISTRY[spec.name] = spec
    return factory


def schedule(body: Callable[P, Any]) -> Callable[P, Schedule]:
    """Decorates a factory of schedules: a function of numbers that returns a function of the step count.

    The function gets the count as a float array, 0 at the first update, and returns an array of its shape.
    """
    return make_factory(body, Schedule)


def bind(spec: Spec, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments by name, defaults filled in, numbers checked, containers copied."""
    parameters = spec.signature.parameters
    for name in kwargs:
        if name not in parameters:
            close = difflib.get_close_matches(name, parameters, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise GradtxTypeError(f"{spec.name} has no argument {name!r}{hint}; it is called as {spec.usage}")
    try:
        bound = spec.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise GradtxTypeError(f"{spec.name}: {error}; it is called as {spec.usage}") from None
    bound.apply_defaults()
    arguments = bound.arguments
    for name, argument in arguments.items():
        who, number = f"{spec.name}: {name}", spec.numbers.get(name)
        if number is None:
            arguments[name] = _structure(who, argument)
        elif number.many:
            if not isinstance(argument, (list, tuple)):
                raise GradtxTypeError(f"{who} must be a list or tuple of numbers, got {short(argument)}")
            arguments[name] = jax.tree.map(functools.partial(_admit, who, number), argument, is_leaf=is_value)
        elif argument is not None or parameters[name].default is not None:
            arguments[name] = _admit(who, number, argument)
    return arguments


def _structure(who: str, x: Any) -> Any:
    """An argument that is no number. Its containers are copied, so that nobody can change a value afterwards."""
    if isinstance(x, dict):
        try:
            sorted(x)  # as JAX does, with the keys of states too
        except TypeError:
            raise GradtxTypeError(f"{who} must have keys of one type with an order, got {short(list(x))}") from None
        return {key: _structure(who, item) for key, item in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_structure(who, item) for item in x)
    if is_traced(x):
        raise GradtxTypeError(
            f"{who} is traced, but it is not declared as a number; annotate it gradtx.Scalar in the factory's signature"
        )
    return x


def _admit(who: str, number: Number, x: Any) -> Any:
    """`x` as it is kept among the arguments, if it can stand for a number."""
    if isinstance(x, (np.generic, np.ndarray)) and np.ndim(x) == 0 and np.issubdtype(x.dtype, np.number):
        x = x.item()
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        if not number.allows(x):
            raise GradtxValueError(f"{who} must be {number}, got {x!r}")
        return x
    if isinstance(x, (Schedule, jax.Array, np.ndarray)):
        return x
    if callable(x) and not is_value(x):
        return Schedule(x)
    raise GradtxTypeError(f"{who} must be a number, a 0-d array or a schedule, got {short(x)}")


def _is_ours(spec: Spec) -> bool:
    return (spec.body.__module__ or "").startswith("gradtx.")


def _public_name(body: Callable[..., Any]) -> str:
    parts = (body.__module__ or "").split(".")
    public = parts[0] == "gradtx" and len(parts) > 1 and not parts[1].startswith("_")
    return f"{parts[1]}.{body.__name__}" if public else body.__name__


def _numbers(body: Callable[..., Any]) -> dict[str, Number]:
    """The arguments whose annotation holds a `Number`."""
    try:
        hints = typing.get_type_hints(body, include_extras=True)
    except NameError as error:
        raise GradtxTypeError(
            f"{body.__name__}: the annotations cannot be read ({error}); import what they name where Python can see "
            f"it, outside `if TYPE_CHECKING`"
        ) from None
    found = {name: _number_in(hint) for name, hint in hints.items() if name != "return"}
    return {name: number for name, number in found.items() if number is not None}


def _number_in(hint: Any) -> Number | None:
    if isinstance(hint, Number):
        return hint
    inner = (*getattr(hint, "__metadata__", ()), *typing.get_args(hint))
    number = next((number for number in map(_number_in, inner) if number is not None), None)
    several = typing.get_origin(hint) in (Sequence, list, tuple)
    return replace(number, many=True) if number is not None and several else number
