"""Updates added to parameters."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import widen
from gradtx._base.typing import Array, Updates

T = TypeVar("T")


@explains_calls("apply_updates")
def apply_updates(params: T, updates: Updates) -> T:
    r"""Adds the updates to the parameters, in the wider dtype of the two, and keeps the parameters' dtypes.

    .. math:: p \leftarrow p + u

    Args:
        params: a pytree of arrays.
        updates: a pytree of the same structure and shapes; where it has None, or the empty gradient that JAX gives for
            integers, the parameter stays as it is.

    Raises:
        GradtxValueError: structures or shapes differ.
    """
    leaves, treedef = jax.tree.flatten(params)
    try:
        parts = trees.leaves_like(params, updates, "parameters", "updates", absent=True)
    except GradtxValueError as error:
        call = "call apply_updates(params, updates), where updates, state = tx.update(grads, state, params)"
        raise GradtxValueError(f"apply_updates: {error}; {call}") from None
    return treedef.unflatten([p if u is None else _add(p, u) for p, u in zip(leaves, parts, strict=True)])


def _add(p: Any, u: Any) -> Array:
    dtypes = [jnp.result_type(p), jnp.result_type(u)]
    if dtypes[0] == dtypes[1] and dtypes[0].itemsize > 1:
        return p + u
    with jax.numpy_dtype_promotion("standard"):
        wide = jnp.promote_types(*(widen(t) if jnp.issubdtype(t, jnp.inexact) else t for t in dtypes))
    return (jnp.asarray(p, wide) + jnp.asarray(u, wide)).astype(dtypes[0])
