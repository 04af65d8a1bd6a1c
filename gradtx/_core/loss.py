"""The loss function of a user, with errors in words for what it returns."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.typing import Params


def checked_loss(caller: str, loss_fn: Any, has_aux: bool = False) -> Any:
    """The function, with errors in words for what it must return: one real number, or `(loss, aux)` with `has_aux`."""

    @functools.wraps(loss_fn)
    def checked(params: Params, *batch: Any) -> Any:
        result = loss_fn(params, *batch)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise GradtxTypeError(f"{caller}: expected (loss, aux) because of has_aux, got {short(result)}")
        loss = result[0] if has_aux else result
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
    """In what the loss cannot be called with the parameters and these arguments, in Python's words; None if it can."""
    try:
        inspect.signature(loss_fn).bind(params, *args)
    except TypeError as error:
        return str(error)
    except ValueError:  # some functions written in C have no signature
        pass
    return None


def _kind(x: Any) -> str:
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list, dict)) else short(x)
