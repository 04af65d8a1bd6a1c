"""Configs: values to and from plain data that JSON can hold. Only registered factories are looked up."""

import difflib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_traced
from gradtx._values.value import NAMED, REGISTRY, Spec, Value, given_name

_MARKS = ("factory", "dict", "tuple", "array", "name")


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


def from_config(config: dict[str, Any]) -> Any:
    """The value of a config, as `to_config` writes it.

    A config names factories and cannot run anything else. Factories of your own must have been imported before.

    Raises:
        GradtxValueError: a factory is unknown, or the data do not have the form that `to_config` writes.
    """
    if not isinstance(config, dict) or "factory" not in config:
        raise GradtxValueError(
            f"from_config: expected a dict with the keys 'factory' and 'arguments', got {short(config)}"
        )
    return _decode(config)


def _encode(x: Any, where: str) -> Any:
    if isinstance(x, Value):
        if REGISTRY.get(x.factory_name) is not x._spec:
            raise GradtxTypeError(
                f"to_config: expected a value of a registered factory as {where}, got {x!r}; decorate its factory with "
                f"@gradtx.transformation (or @gradtx.schedule), under a name that is not taken"
            )
        arguments = {name: _encode(argument, f"{x.factory_name}.{name}") for name, argument in x.arguments.items()}
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
    raise GradtxTypeError(f"to_config: a config cannot hold {x!r} as {where}; use a registered factory in its place")


def _decode(x: Any) -> Any:
    if isinstance(x, list):
        return [_decode(item) for item in x]
    if not isinstance(x, dict):
        return x
    if "tuple" in x:
        return tuple(_decode(x["tuple"]))
    if "array" in x:
        return jnp.asarray(x["array"], x["dtype"])
    if "dict" in x:
        return {_decode(key): _decode(item) for key, item in x["dict"]}
    if "name" in x:
        if x["name"] not in NAMED:
            raise GradtxValueError(f"from_config: nothing is named {x['name']!r}; known names: {listing(NAMED)}")
        return NAMED[x["name"]]
    if "factory" not in x:
        raise GradtxValueError(f"from_config: expected a dict with one of {listing(_MARKS)}, got {short(x)}")
    name = x["factory"]
    if name not in REGISTRY:
        close = difflib.get_close_matches(str(name), REGISTRY, n=3)
        hint = f"did you mean {listing(close)}? " if close else ""
        raise GradtxValueError(
            f"from_config: no factory is named {name!r}; {hint}factories of your own must be imported first"
        )
    spec = REGISTRY[name]
    arguments = {_present(key, spec): _decode(item) for key, item in x.get("arguments", {}).items()}
    unknown = [argument for argument in arguments if argument not in spec.signature.parameters]
    if unknown:
        raise GradtxValueError(f"from_config: {name} has no argument {unknown[0]!r}; it is called as {spec.usage}")
    return spec.call(spec.factory, arguments)


FORMER_ARGUMENTS = {"weight_decay_mask": "mask"}
"""The present name of each argument that was renamed, by its former name, for configs written before."""


def _present(argument: str, spec: Spec) -> str:
    return argument if argument in spec.defaults else FORMER_ARGUMENTS.get(argument, argument)
