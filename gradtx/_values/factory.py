"""The decorator that turns a function of hyperparameters and transforms into a factory of values."""

import functools
import inspect
import math
import operator
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from gradtx._base.calls import explains_calls
from gradtx._base.checks import function_of
from gradtx._base.counterparts import no_argument
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import is_key, is_real, is_traced
from gradtx._base.typing import Number
from gradtx._values.readable import readable_signature
from gradtx._values.registry import REGISTRY, Role, Spec
from gradtx._values.schedule import Schedule
from gradtx._values.value import Value, is_value

P = ParamSpec("P")
V = TypeVar("V", bound=Value)


def make_factory(body: Callable[P, Any], kind: type[V], role: Role | str | None = None) -> Callable[P, V]:
    """A function that records its arguments in a value of `kind`.

    With Python numbers the value calls `body` at once, so that mistakes are found where it is made; with arrays or
    schedules when it is first used.
    """
    if not inspect.isroutine(body):
        raise GradtxTypeError(f"expected a function of hyperparameters to decorate, got {short(body)}")
    numbers, switches, constants = _hints(body)
    spec = Spec(_public_name(body), body, numbers, kind, _role(body, role), switches=switches, constants=constants)
    for parameter in spec.signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD):
            raise GradtxTypeError(f"{spec.name}: every argument needs a name, expected none like {str(parameter)!r}")
    for name in spec.signature.parameters:
        if hasattr(kind, name):
            raise GradtxTypeError(
                f"{spec.name}: an argument cannot be named {name!r}, which is an attribute of every {kind.__name__}; "
                f"rename it, to {name}_ for instance"
            )

    @functools.wraps(body)
    def factory(*args: P.args, **kwargs: P.kwargs) -> V:
        arguments = bind(spec, args, kwargs)
        types = list(map(type, arguments.values()))
        if not _ATOMS.issuperset(types):
            value = kind._make(spec, arguments)
            value._check()
            return value
        # A memo of one value: values are immutable, and the latest one is built already. With a schedule the body is
        # called at every step, and most factories in it get the same arguments as before. Gain: an eager step of
        # `chain(clip_by_global_norm(1.0), adamw(schedule))` makes 2,000 Python calls instead of 2,500.
        key, latest = (types, repr(arguments)), spec.latest  # by text: 0.0 and -0.0 are equal, nan is not
        if latest is None or latest[0] != key:
            latest = key, kind._make(spec, arguments)
            latest[1]._check()
            spec.latest = latest
        return latest[1]

    for method in {"init", "update"} & set(dir(kind)):
        setattr(factory, method, _of_a_call(spec, method))
    spec.factory = factory
    factory.spec = spec  # type: ignore[attr-defined]
    factory.__annotations__ = body.__annotations__ | {"return": kind}
    factory.__signature__ = readable_signature(body, kind)  # type: ignore[attr-defined]
    known = REGISTRY.get(spec.name)
    if known is None or not known.is_ours:
        REGISTRY[spec.name] = spec
    return factory


_ATOMS = {str, bool, int, float, type(None)}


@explains_calls("schedule")
def schedule(body: Callable[P, Any]) -> Callable[P, Schedule]:
    """Decorates a factory of schedules: a function of hyperparameters that returns a function of the step count.

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
        is_float = type(argument) is float
        if is_float and number and not (number.many or number.fixed) and number.low < argument < number.high:
            continue  # the common case
        arguments[name] = admitted = _admitted(spec, name, number, argument)
        if name in spec.switches and type(admitted) is not bool:
            raise GradtxTypeError(
                f"{spec.name}: {name}: expected True or False, got {short(argument)}; it is called as {spec.usage}"
            )
    return arguments


def _wrong_call(spec: Spec, args: tuple, kwargs: dict) -> GradtxTypeError:
    for name in kwargs:
        if name not in spec.defaults:
            trees = [x for x in args if jax.tree.structure(x, is_leaf=is_value).num_leaves > 1]
            hint = "; the parameters go to tx.init(params)" if trees else ""
            if spec.role is Role.SERIES and is_value(kwargs[name]):
                hint = f"; with names: {spec.name}(({name!r}, {short(kwargs[name])}), ...)"
            return GradtxTypeError(f"{no_argument(spec.name, name, spec.defaults)}; it is called as {spec.usage}{hint}")
    try:
        spec.signature.bind(*args, **kwargs)
    except TypeError as error:
        return GradtxTypeError(f"{spec.name}: {error}; it is called as {spec.usage}")
    raise AssertionError("a call that Python allows")


def _admitted(spec: Spec, name: str, number: Number | None, argument: Any) -> Any:
    """The argument as the value stores it, after checks."""
    if name in spec.constants and callable(argument):
        hint = f"are the arguments in order? it is called as {spec.usage}"
        if isinstance(argument, Schedule):
            hint = "it is structure, and cannot follow a schedule"
        raise GradtxTypeError(f"{spec.name}: {name}: expected a {spec.constants[name]}, got {short(argument)}; {hint}")
    if argument is None or (number is None and (type(argument) in _ATOMS or isinstance(argument, Value))):
        if argument is None and number is not None and not number.optional and spec.defaults[name] is not None:
            return _admit(f"{spec.name}: {name}", number, argument)
        return argument
    who = f"{spec.name}: {name}"
    if number is None:
        return _structure(who, argument)
    if not number.many:
        try:
            return _admit(who, number, argument)
        except GradtxValueError as error:
            if len(spec.defaults) == 1 or "; " in error.complaint:
                raise
            raise GradtxValueError(f"{error.complaint}; it is called as {spec.usage}") from None
        except GradtxTypeError as error:
            if isinstance(argument, bool) and spec.switches:
                by_name = " or ".join(f"{switch}={argument}" for switch in sorted(spec.switches))
                error.complaint += f"; {argument} goes by name: {by_name}"
            raise
    if not isinstance(argument, (list, tuple)):
        raise GradtxTypeError(f"{who}: expected a list or tuple of numbers, got {short(argument)}; {_documented(spec)}")
    return jax.tree.map(functools.partial(_admit, who, number), argument, is_leaf=is_value)


def _documented(spec: Spec) -> str:
    """How a factory is called, and what its docstring says of the arguments."""
    text = inspect.getdoc(spec.body) or ""
    lines = text.partition("Args:\n")[2].partition("\n\n")[0].splitlines()
    return f"it is called as {spec.usage}, with {'; '.join(line.strip().rstrip('.') for line in lines)}"


def _structure(who: str, x: Any) -> Any:
    """An argument that is not a hyperparameter, of plain Python numbers and dicts where that says the same.

    Containers and arrays are copied, because values are immutable.
    """
    if isinstance(x, Mapping) and _is_leaf_or_dict(x):
        try:
            sorted(x)  # as JAX does, with the keys of states too
        except TypeError:
            raise GradtxTypeError(f"{who}: expected keys of one sortable type, got {short(list(x))}") from None
        return {key: _structure(who, item) for key, item in x.items()}
    if type(x) in (list, tuple):
        items = [_structure(who, item) for item in x]
        return items if isinstance(x, list) else tuple(items)
    if is_traced(x):
        raise GradtxTypeError(
            f"{who}: expected a Python value, which a program is made for, got a traced array; make the transform "
            f"outside of jit, or name the argument in static_argnums; in a factory of your own, annotate a number "
            f"gradtx.Scalar"
        )
    if isinstance(x, (np.generic, np.ndarray, jax.Array)):
        return _plain(x)
    leaves, treedef = jax.tree.flatten(x, is_leaf=lambda y: isinstance(y, Value))
    plain = [_plain(leaf) for leaf in leaves]
    return x if all(map(operator.is_, plain, leaves)) else treedef.unflatten(plain)


def _is_leaf_or_dict(x: Any) -> bool:
    """Whether JAX does not know the mapping as a pytree of another type than a dict."""
    return isinstance(x, dict) or jax.tree.structure(x) == jax.tree.structure(0)


def _plain(x: Any) -> Any:
    """A Python number for an array of one, and a copy of a NumPy array that nobody can write to."""
    if isinstance(x, (np.generic, np.ndarray, jax.Array)) and np.ndim(x) == 0 and not is_traced(x):
        return x if is_key(x) else x.item()
    if isinstance(x, np.ndarray):
        x = x.copy()
        x.flags.writeable = False
    return x


def _admit(who: str, number: Number, x: Any) -> Any:
    """The hyperparameter `x` as the value stores it, after checks."""
    if isinstance(x, (np.generic, np.ndarray)):
        x = _plain(x)
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        if number.fixed and 0 < x < 1:
            raise GradtxValueError(f"{who}: expected a number of steps, got {x!r}; are the arguments in order?")
        if abs(x) > sys.float_info.max and not (abs(x) == math.inf and number.to):
            wanted = number if "finite" in str(number) else f"{number} and finite"
            raise GradtxValueError(f"{who}: expected {wanted}, got {short(x)}")
        if not number.allows(x):
            hint = ""
            # The argument with this name is a step down in every factory; a negative eps is only wrong.
            if x < 0 and number.allows(-x) and who.endswith("learning_rate"):
                hint = f"; give {-x!r}: the minus of a descent step is built in; to ascend, put scale(-1.0) in front"
            if x == 0 and number.above and number.to:  # a bound, as of a norm
                hint = "; 0 makes every update 0: for no bound leave the part out, or give math.inf"
            raise GradtxValueError(f"{who}: expected {number}, got {x!r}{hint}")
        return x
    if isinstance(x, (jax.Array, np.ndarray)) and not (is_real(x) or np.issubdtype(x.dtype, np.integer)):
        raise GradtxTypeError(f"{who}: expected a real number, got an array of {x.dtype}")
    if spec := getattr(x, "spec", None) if callable(x) else None:
        raise GradtxTypeError(f"{who}: expected a number or a schedule, got a factory; call it: {spec.usage}")
    if number.fixed and (isinstance(x, Schedule) or callable(x)):
        raise GradtxTypeError(f"{who}: expected a number of steps, got {short(x)}; are the arguments in order?")
    if isinstance(x, (Schedule, jax.Array, np.ndarray)):
        return x
    if callable(x) and not is_value(x):
        try:
            return Schedule(function_of("schedule", x, "step"))
        except GradtxTypeError as error:
            raise GradtxTypeError(f"{who}: a {error}") from None
    hint = ""
    if isinstance(x, (tuple, list)) and all(isinstance(item, (int, float)) for item in x):
        hint = "; give each to its argument; gradtx.sweep tries several, and a schedule changes it by the step"
    elif is_value(x):
        hint = "; transforms are composed: chain(...)"
    elif isinstance(x, dict) and x and all(isinstance(item, (int, float)) for item in x.values()):
        hint = "; for several: partition({'a': tx, 'b': other}, by_path({'**/kernel': 'a', '**': 'b'}))"
    elif isinstance(x, (dict, list)) or jax.tree.structure(x).num_leaves > 1:
        hint = "; if these are parameters, give them to the transform: tx.init(params)"
    elif isinstance(x, str):
        hint = "; convert it by float"
    raise GradtxTypeError(f"{who}: expected a number, a 0-d array or a schedule, got {short(x)}{hint}")


def _of_a_call(spec: Spec, method: str) -> Callable[..., Any]:
    """What a factory has in place of a method of its values: an error, also where other libraries call it."""

    def raises(*args: Any, **kwargs: Any) -> Any:
        raise GradtxTypeError(f"{spec.name} is a factory, and has no {method!r} before it is called: {spec.usage}")

    return raises


def _role(body: Callable[..., Any], role: Role | str | None) -> Role | None:
    try:
        return None if role is None else Role(role)
    except ValueError:
        roles = ", ".join(repr(role.value) for role in Role)
        raise GradtxValueError(f"{body.__name__}: expected a role of {roles}, got {short(role)}") from None


def _public_name(body: Callable[..., Any]) -> str:
    parts = (body.__module__ or "").split(".")
    public = parts[0] == "gradtx" and len(parts) > 1 and not parts[1].startswith("_")
    return f"{parts[1]}.{body.__name__}" if public else body.__name__


def _hints(body: Callable[..., Any]) -> tuple[dict[str, Number], set[str], dict[str, str]]:
    """The arguments whose annotation holds a `Number`, those that are True or False, and the other constants."""
    try:
        hints = typing.get_type_hints(body, include_extras=True)
    except NameError as error:
        raise GradtxTypeError(
            f"{body.__name__}: the annotations cannot be read ({error}); import the names in them at run time, outside "
            f"`if TYPE_CHECKING`"
        ) from None
    found = {name: _number_in(hint) for name, hint in hints.items() if name != "return"}
    numbers = {name: number for name, number in found.items() if number is not None}
    for name, parameter in inspect.signature(body).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL and name in numbers:
            numbers[name] = replace(numbers[name], many=True)
    switches = {name for name, hint in hints.items() if hint is bool and name != "return"}
    # An argument that is a float may be handed on to a factory in which it is a hyperparameter.
    constants = {name: word for name, hint in hints.items() for kind, word in _CONSTANTS if hint in (kind, kind | None)}
    constants.pop("return", None)
    return numbers, switches, constants


_CONSTANTS = ((int, "whole number"), (str, "string"))


def _number_in(hint: Any) -> Number | None:
    if isinstance(hint, Number):
        return hint
    inner = (*getattr(hint, "__metadata__", ()), *typing.get_args(hint))
    number = next((number for number in map(_number_in, inner) if number is not None), None)
    if number is None:
        return None
    several = typing.get_origin(hint) in (Sequence, list, tuple)
    return replace(number, many=number.many or several, optional=number.optional or type(None) in inner)
