"""Configs: values to and from plain data that JSON can hold. Only registered factories are looked up."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxError, GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_traced
from gradtx._values.registry import NAMED, REGISTRY, Spec, given_name
from gradtx._values.schedule import Schedule
from gradtx._values.value import Value


@explains_calls("to_config")
def to_config(value: Value) -> dict[str, Any]:
    """A transform (or schedule, or labels) as plain data: dicts, lists, strings, numbers, booleans and None.

    `{"factory": "adam", "arguments": {"learning_rate": 0.001, ...}}`; `from_config` makes an equal value from it, also
    after `json.loads(json.dumps(...))`.

    Args:
        value: a value made by factories of gradtx, or by decorated factories of your own.

    Raises:
        GradtxTypeError: a part of it has no registered name, such as a function of your own or a bare pair.
    """
    if not isinstance(value, Value):
        raise GradtxTypeError(f"to_config: expected a transform or a schedule, got {value!r}")
    return _encode(value, value.factory_name)


@explains_calls("from_config")
def from_config(config: dict[str, Any]) -> Any:
    """The value of a config, as `to_config` writes it.

    A config names factories and cannot run anything else. Factories of your own must have been imported before.

    Raises:
        GradtxValueError: a factory is unknown, it does not take the arguments, or the data do not have the form that
            `to_config` writes; the message says where.

    Example:
        >>> import json
        >>> text = json.dumps(to_config(sgd(schedules.cosine_decay(0.1, 900), momentum=0.9)))
        >>> from_config(json.loads(text))
        sgd(learning_rate=schedules.cosine_decay(init_value=0.1, steps=900, alpha=0.0), momentum=0.9, nesterov=False)
    """
    if not isinstance(config, Mapping) or "factory" not in config:
        hint = "; read it first, by json.loads(text)" if isinstance(config, (str, bytes)) else ""
        raise GradtxValueError(
            f"from_config: expected a dict with the keys 'factory' and 'arguments', got {short(config)}{hint}"
        )
    return _decode(config, "")


def _encode(x: Any, where: str) -> Any:
    if isinstance(x, Schedule) and x._spec.factory is Schedule:
        raise GradtxTypeError(
            f"to_config: a function has no name in a config, and {where} is {short(x)}; use one of gradtx.schedules, "
            f"or write a factory that returns it: @gradtx.schedule, def mine(a: gradtx.Scalar): return lambda step: ..."
        )
    if isinstance(x, Value):
        if REGISTRY.get(x.factory_name) is not x._spec:
            raise GradtxTypeError(
                f"to_config: expected a value of a registered factory as {where}, got {x!r}; decorate its factory with "
                f"@gradtx.transformation (or @gradtx.schedule), under a name that is not taken"
            )
        arguments = {name: _encode(argument, f"{x.factory_name}.{name}") for name, argument in x._arguments.items()}
        return {"factory": x.factory_name, "arguments": arguments}
    if isinstance(x, dict):  # as pairs: the order may matter, and some JSON writers sort keys
        return {"dict": [[_encode(key, where), _encode(item, f"{where}[{key!r}]")] for key, item in x.items()]}
    if type(x) in (list, tuple):
        items = [_encode(item, f"{where}[{index}]") for index, item in enumerate(x)]
        return items if isinstance(x, list) else {"tuple": items}
    if isinstance(x, (jax.Array, np.ndarray, np.generic)) and not is_traced(x):
        return {"array": np.asarray(x, np.float64).tolist(), "dtype": str(x.dtype)}
    if given_name(x):
        return {"name": given_name(x)}
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    raise GradtxTypeError(
        f"to_config: a config cannot hold {short(x)} as {where}; use a registered factory in its place: `by_path`, "
        f"or a function of yours that is decorated by @gradtx.transformation or @gradtx.schedule"
    )


def _decode(x: Any, where: str) -> Any:
    """The value of a part of a config; `where` says which one: `chain.transforms[0].learning_rate`."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (list, tuple)):
        return [_decode(item, f"{where}[{index}]") for index, item in enumerate(x)]
    marks = [mark for mark in _FORMS if isinstance(x, Mapping) and mark in x]
    if len(marks) != 1:
        wanted = f"data, or a dict with one of the keys {listing(map(repr, _FORMS))}"
        raise GradtxValueError(f"from_config: expected {wanted}{_at(where)}, got {short(x)}")
    mark = marks[0]
    form, fits = _FORMS[mark]
    if not fits(x) or len(x) > (2 if mark in ("array", "factory") else 1):
        raise GradtxValueError(f"from_config: expected {form}{_at(where)}, got {short(x)}")
    if mark == "tuple":
        return tuple(_decode(x["tuple"], where))
    if mark == "dict":
        pairs = [(_decode(key, where), _decode(item, f"{where}[{key!r}]")) for key, item in x["dict"]]
        for key, _ in pairs:
            if isinstance(key, (list, dict, jax.Array)):
                raise GradtxValueError(
                    f"from_config: expected keys that can be looked up{_at(where)}, got {short(key)}"
                )
        return dict(pairs)
    if mark == "array":
        return _array(x, where)
    if mark == "name":
        if x["name"] not in NAMED:
            raise GradtxValueError(
                f"from_config: nothing is named {x['name']!r}{_at(where)}; known names: {listing(NAMED)}"
            )
        return NAMED[x["name"]]
    return _made(x["factory"], x.get("arguments", {}), where)


_FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "factory": (
        "{'factory': a name, 'arguments': a dict}",
        lambda x: (
            isinstance(x["factory"], str)
            and set(x) <= {"factory", "arguments"}
            and isinstance(x.get("arguments", {}), Mapping)
            and all(isinstance(key, str) for key in x.get("arguments", {}))
        ),
    ),
    "dict": (
        "{'dict': a list of pairs}",
        lambda x: (
            isinstance(x["dict"], (list, tuple))
            and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in x["dict"])
        ),
    ),
    "tuple": ("{'tuple': a list}", lambda x: isinstance(x["tuple"], (list, tuple))),
    "array": ("{'array': numbers, 'dtype': a name}", lambda x: isinstance(x.get("dtype"), str)),
    "name": ("{'name': a name}", lambda x: isinstance(x["name"], str)),
}
"""The dicts that a config may hold, by the key that tells them apart: the form in words, and whether a dict has it."""


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def _array(x: Any, where: str) -> jax.Array:
    try:
        return jnp.asarray(x["array"], x["dtype"])
    except (TypeError, ValueError) as error:
        raise GradtxValueError(f"from_config: no array can be made of {short(x)}{_at(where)}: {error}") from None


def _made(name: str, arguments: Mapping[str, Any], where: str) -> Any:
    """The value that the factory of this name makes."""
    if name not in REGISTRY:
        close = difflib.get_close_matches(name, REGISTRY, n=3)
        hint = f"did you mean {listing(close)}? " if close else ""
        raise GradtxValueError(
            f"from_config: no factory is named {name!r}{_at(where)}; {hint}factories of your own must be imported first"
        )
    spec, inside = REGISTRY[name], where or name
    found = {_present(key, spec): _decode(item, f"{inside}.{key}") for key, item in arguments.items()}
    unknown = [argument for argument in found if argument not in spec.defaults]
    if unknown:
        raise GradtxValueError(
            f"from_config: {name} has no argument {unknown[0]!r}{_at(where)}; it is called as {spec.usage}"
        )
    missing = [argument for argument in spec.required if argument not in found and argument != spec.variadic]
    if missing:
        raise GradtxValueError(
            f"from_config: the argument {missing[0]!r} of {name} is missing{_at(where)}; it is called as {spec.usage}"
        )
    if spec.variadic is not None and not isinstance(found.setdefault(spec.variadic, ()), (list, tuple)):
        got = short(found[spec.variadic])
        raise GradtxValueError(f"from_config: expected a list at {inside}.{spec.variadic}, got {got}")
    try:
        return spec.call(spec.factory, {**spec.defaults, **found})
    except GradtxError as error:
        raise GradtxValueError(f"from_config: {error}{_at(where)}") from None


FORMER_ARGUMENTS = {"weight_decay_mask": "mask"}
"""The present name of each argument that was renamed, by its former name, for configs written before."""


def _present(argument: str, spec: Spec) -> str:
    return argument if argument in spec.defaults else FORMER_ARGUMENTS.get(argument, argument)
