"""Checks of arguments that several transforms share."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.typing import Array


def whole_number(name: str, x: Any, hint: str = "") -> int:
    """`x`, if it is a positive whole number; `hint` ends the message if not."""
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 1:
        raise GradtxValueError(f"{name}: expected a positive whole number, got {short(x)}{hint}")
    return int(x)


def seed_number(name: str, x: Any) -> int:
    """`x`, if it is a whole number, as `jax.random.key` takes it."""
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)):
        raise GradtxTypeError(f"{name}: expected a whole number, from which the keys are made, got {short(x)}")
    return int(x)


def one_number(name: str, x: Any) -> Array:
    """`x`, if it is one real number (a loss, for instance), as a 0-d array in the default precision."""
    if not isinstance(x, (int, float, np.generic, np.ndarray, jax.Array)) or not jnp.issubdtype(
        jnp.result_type(x), jnp.number
    ):
        raise GradtxTypeError(f"{name}: expected a number, got {short(x)}")
    if jnp.shape(x) != () or jnp.iscomplexobj(x):
        hint = "; take its mean" if jnp.shape(x) != () else ""
        raise GradtxValueError(
            f"{name}: expected a single real number, got {jnp.result_type(x)} of the shape {jnp.shape(x)}{hint}"
        )
    return jnp.asarray(x, float)


def random_key(name: str, x: Any) -> Array:
    """`x`, if it is one random key: typed, or raw (uint32)."""
    dtype, shape = getattr(x, "dtype", None), np.shape(x)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    if not typed and not (dtype == jnp.uint32 and len(shape) == 1):
        raise GradtxTypeError(f"{name}: expected a key of jax.random.key, a new one per step, got {short(x)}")
    return x


def function_of(name: str, function: Any, *arguments: str, hint: str = "") -> Any:
    """The function, if it can be called with these arguments by position; `hint` ends the message if not."""
    code: Any = getattr(function, "__code__", None)
    counts = None if code is None or inspect.ismethod(function) else (code.co_argcount, code.co_kwonlyargcount)
    if counts == (len(arguments), 0):
        return function  # the common case: factories are called at every eager step with a schedule
    call = f"{name}({', '.join(arguments)})"
    if not callable(function):
        raise GradtxTypeError(f"{name}: expected a function that is called as {call}, got {short(function)}")
    if hasattr(function, "init") and hasattr(function, "update"):
        raise GradtxTypeError(
            f"{name}: expected a function that is called as {call}, got the transform {short(function)}; transforms "
            f"are composed: chain(...), ratio(...), let(...)"
        )
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise GradtxTypeError(f"{name} is called as {call}, and {short(function)} is not: {error}{hint}") from None
    except ValueError:  # some functions written in C have no signature
        pass
    return function


def arguments_needed(function: Callable[..., Any]) -> int:
    """How many arguments a function must be given by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some functions written in C have no signature
        return 0
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
