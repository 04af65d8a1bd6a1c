"""One array of state per parameter: how it is made, advanced, encoded and checked."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import align, is_inexact, strong, widened
from gradtx._base.typing import Array
from gradtx._core.context import Context
from gradtx._core.leafwise import missing_params
from gradtx._cpu import AlreadyStored


def init_of_slot(init: Callable[[Array], Array], encoded: bool) -> Callable[[Context, Array], Array]:
    """The `init_slots` of one slot: the array that `init` makes for a parameter, checked and encoded."""

    def init_slot(step: Context, p: Array) -> Array:
        wide = widened(p)
        m = init(wide)
        if isinstance(m, (tuple, list, dict)):
            raise GradtxTypeError(
                f"init returned a {type(m).__name__}; it returns one array per parameter: for more, compose several "
                f"parts, or use treewise(update, init)"
            )
        if jnp.shape(m) != p.shape:
            hint = "; for scalars that are the same for all arrays: clocked_memory" if jnp.shape(m) == () else ""
            raise GradtxValueError(f"init must keep the shape {p.shape}, got {jnp.shape(m)}{hint}")
        if not is_inexact(m):
            raise GradtxTypeError(f"init: expected an array of a floating-point dtype, got {jnp.result_type(m)}")
        m = strong(m)
        return step.encoding.codec.encode(m, step.encoding.step) if encoded and step.encoding else m

    return init_slot


def update_of_slot(
    advance: Callable[..., Array],
    emit: Callable[..., Array] | None,
    needs_params: bool,
    emit_before: bool,
    encoded: bool,
) -> Callable[..., tuple[Array, Array]]:
    """The `update_leaf` of one slot."""

    def update_leaf(reading: Any, step: Context, g: Array, slot: Any, p: Array | None) -> tuple[Array, Array]:
        # On a CPU the update may be computed in a second pass, after the state: see `_cpu.by_output`.
        stored, new = slot if isinstance(slot, AlreadyStored) else (slot, None)
        encoding, p = step.encoding if encoded else None, given(p) if needs_params else None
        old = stored if encoding is None else encoding.codec.decode(stored)
        if new is None:
            try:
                new = advance(*align(g, old, p), reading)
            except (TypeError, AttributeError) as error:
                raise _about_params(error, needs_params) from None
            if not hasattr(new, "shape"):
                raise no_array("step", new)
            if new.shape != g.shape:
                raise GradtxValueError(f"step must keep the shape {g.shape}, got {new.shape}")
            if jnp.iscomplexobj(new) and not jnp.iscomplexobj(old):
                raise GradtxTypeError(
                    "expected a real state, got a complex one: the updates before it are real in `init`"
                )
            if new.dtype != old.dtype or new.weak_type:
                new = strong(new, old.dtype)
            if encoding is not None:
                new = encoding.codec.encode(new, encoding.step)
            if step.active is not None:
                new = step.keep(new, stored)
        # The output is computed from what was stored, so that the new state need not be kept in another array too.
        m = old if emit_before else new if encoding is None else encoding.codec.decode(new)
        try:
            return m if emit is None else emit(*align(g, m, p), reading), new
        except (TypeError, AttributeError) as error:
            raise _about_params(error, needs_params) from None

    return update_leaf


def _about_params(error: Exception, needs_params: bool) -> Exception:
    """The error, or a better one if the function of one array reads the parameter without having asked for it."""
    if needs_params or "NoneType" not in str(error):
        return error
    return GradtxTypeError(f"the function reads the parameter, and got None; say needs_params=True: {error}")


def no_array(name: str, x: Any) -> GradtxTypeError:
    """The error for a function of one array that returned something else."""
    hint = "; is `return` missing?" if x is None else ""
    return GradtxTypeError(f"{name}: expected one array, got {short(x)}{hint}")


def given(p: Array | None) -> Array:
    """The parameter; raises if there is none."""
    if p is None:
        raise missing_params()
    return p
