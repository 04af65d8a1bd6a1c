"""The decorator that turns a function of numbers and parts into a factory of values."""

import difflib
import functools
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import is_traced
from gradtx._base.typing import Number
from gradtx._values.readable import readable_signature
from gradtx._values.schedule import Schedule
from gradtx._values.value import REGISTRY, Role, Spec, Value, is_value

P = ParamSpec("P")
V = TypeVar("V", bound=Value)


def make_factory(body: Callable[P, Any], kind: type[V], role: Role | str | None = None) -> Callable[P, V]:
    """The function that records its arguments in a value of `kind`, and leaves it to the value to call `body`."""
    spec = Spec(_public_name(body), body, _numbers(body), kind, _role(body, role))
    for name in spec.signature.parameters:
        if hasattr(kind, name):
            raise GradtxTypeError(
                f"{spec.name}: an argument cannot be called {name!r}, for that is an attribute of what it returns; "
                f"call it otherwise, {name}_ for instance"
            )

    @functools.wraps(body)
    def factory(*args: P.args, **kwargs: P.kwargs) -> V:
        arguments = bind(spec, args, kwargs)
        types = list(map(type, arguments.values()))
        if not _ATOMS.issuperset(types):
            return kind._make(spec, arguments)
        # A value never changes, and the latest one is built already. A body with a schedule is called at each step, and
        # most of the factories in it with the same numbers as before. Gain: an eager step of
        # `chain(clip_by_global_norm(1.0), adamw(schedule))` makes 2,000 Python calls instead of 2,500.
        if spec.latest is None or spec.latest[:2] != (types, arguments):
            spec.latest = types, arguments, kind._make(spec, arguments)
        return spec.latest[2]

    spec.factory = factory
    factory.spec = spec  # type: ignore[attr-defined]
    factory.__annotations__ = body.__annotations__ | {"return": kind}
    factory.__signature__ = readable_signature(body, kind)  # type: ignore[attr-defined]
    known = REGISTRY.get(spec.name)
    if known is None or not _is_ours(known):
        REGISTRY[spec.name] = spec
    return factory


_ATOMS = {str, bool, int, float, type(None)}


def schedule(body: Callable[P, Any]) -> Callable[P, Schedule]:
    """Decorates a factory of schedules: a function of numbers that returns a function of the step count.

    The function gets the count as a float array, 0 at the first update, and returns an array of its shape.
    """
    return make_factory(body, Schedule)


def bind(spec: Spec, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments by name, defaults filled in, hyperparameters checked, containers copied."""
    arguments = spec.bind(args, kwargs)
    if arguments is None:
        raise _wrong_call(spec, args, kwargs)
    for name, argument in arguments.items():
        number = spec.numbers.get(name)
        if type(argument) is float and number and not number.many and number.low < argument < number.high:
            continue  # nearly always
        arguments[name] = _admitted(spec, name, number, argument)
    return arguments


def _wrong_call(spec: Spec, args: tuple, kwargs: dict) -> GradtxTypeError:
    for name in kwargs:
        if name not in spec.defaults:
            close = difflib.get_close_matches(name, spec.defaults, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            return GradtxTypeError(f"{spec.name} has no argument {name!r}{hint}; it is called as {spec.usage}")
    try:
        spec.signature.bind(*args, **kwargs)
    except TypeError as error:
        return GradtxTypeError(f"{spec.name}: {error}; it is called as {spec.usage}")
    raise AssertionError("a call that Python allows")


def _admitted(spec: Spec, name: str, number: Number | None, argument: Any) -> Any:
    """The argument as it is kept, if it can stand there."""
    if argument is None or (number is None and isinstance(argument, (str, bool, int, float, Value))):
        if argument is None and number is not None and spec.defaults[name] is not None:
            return _admit(f"{spec.name}: {name}", number, argument)
        return argument
    who = f"{spec.name}: {name}"
    if number is None:
        return _structure(who, argument)
    if not number.many:
        return _admit(who, number, argument)
    if not isinstance(argument, (list, tuple)):
        raise GradtxTypeError(f"{who} must be a list or tuple of numbers, got {short(argument)}")
    return jax.tree.map(functools.partial(_admit, who, number), argument, is_leaf=is_value)


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
    if isinstance(x, np.generic):
        return x.item()
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


def _role(body: Callable[..., Any], role: Role | str | None) -> Role | None:
    try:
        return None if role is None else Role(role)
    except ValueError:
        roles = ", ".join(repr(role.value) for role in Role)
        raise GradtxValueError(f"{body.__name__}: expected a role of {roles}, got {short(role)}") from None


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
