"""The loss function of a user, with errors in words for what it returns."""

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.typing import Params


def checked_loss(caller: str, loss_fn: Any, has_aux: bool = False) -> Any:
    """The function, with errors in words for what it must return: one real number, or `(loss, aux)` with `has_aux`."""

    @functools.wraps(loss_fn)
    def checked(params: Params, *batch: Any) -> Any:
        with reading_noted("loss"):
            result = loss_fn(params, *batch)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise GradtxTypeError(
                f"{caller}: expected (loss, aux) because of has_aux, got {_kind(result)}; return both, or leave "
                f"has_aux out"
            )
        loss = result[0] if has_aux else result
        if has_aux and not _is_number(loss) and _is_number(result[1]):
            raise GradtxTypeError(f"{caller}: expected (loss, aux), got (aux, loss), swapped: return (loss, aux)")
        if isinstance(loss, (tuple, list, dict)) or loss is None:
            form = jax.tree.structure(params)
            if form in [jax.tree.structure(x) for x in (loss, *(loss[-1:] if isinstance(loss, tuple) else ()))]:
                hint = f"; give the loss itself, not its gradient: {caller} takes that"
            elif isinstance(loss, tuple):
                hint = "; for (loss, aux) pass has_aux=True"
            elif isinstance(loss, dict):
                hint = "; give one entry, or (loss, aux) with has_aux=True"
            else:
                hint = "; is `return` missing?"
            raise GradtxTypeError(f"{caller}: expected one number from the loss, got {_kind(loss)}{hint}")
        dtype = jnp.result_type(loss)
        if jnp.shape(loss) == () and not jnp.issubdtype(dtype, jnp.floating):
            raise GradtxTypeError(f"{caller}: expected a loss of a real floating-point dtype, got {dtype}")
        if jnp.shape(loss) != ():
            raise GradtxTypeError(
                f"{caller}: expected one real number from the loss, got {dtype} of the shape "
                f"{jnp.shape(loss)}; take its sum or mean"
            )
        return result

    return checked


def misfit(loss_fn: Any, params: Params, args: tuple) -> str | None:
    """Why the loss cannot be called with the parameters and these arguments, in Python's words; None if it can."""
    try:
        inspect.signature(loss_fn).bind(params, *args)
    except TypeError as error:
        return str(error)
    except ValueError:  # some functions written in C have no signature
        pass
    return None


@contextmanager
def reading_noted(what: str) -> Iterator[None]:
    """Adds a note to JAX's error about a value that is read while it is traced, as `float(loss)` does."""
    try:
        yield
    except jax.errors.TracerBoolConversionError as error:
        error.add_note(f"the {what} is traced: use jnp.where(condition, x, y) in place of `if`")
        raise
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        error.add_note(f"the {what} is traced: return the array itself, without float(...), .item() or NumPy")
        raise


def _is_number(x: Any) -> bool:
    return hasattr(x, "dtype") and x.shape == () and jnp.issubdtype(x.dtype, jnp.floating)


def _kind(x: Any) -> str:
    if hasattr(x, "dtype"):  # the text of a tracer says nothing to most people
        return f"one array, {x.dtype} of the shape {x.shape}"
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list, dict)) else short(x)
