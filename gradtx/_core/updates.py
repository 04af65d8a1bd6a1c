"""Updates added to parameters."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.typing import Array, Updates

T = TypeVar("T")


def apply_updates(params: T, updates: Updates) -> T:
    r"""Adds the updates to the parameters, in the wider dtype of the two, and returns the parameters' dtypes.

    .. math:: p \leftarrow p + u

    Args:
        params: a pytree of arrays.
        updates: a pytree of the same structure and shapes; where it has None, or the empty gradient that JAX gives for
            integers, the parameter stays as it is.

    Raises:
        GradtxValueError: structures or shapes differ.
    """
    leaves, treedef = jax.tree.flatten(params)
    parts = trees.leaves_like(params, updates, "parameters", "updates", absent=True)
    return treedef.unflatten([p if u is None else _add(p, u) for p, u in zip(leaves, parts, strict=True)])


def _add(p: Any, u: Any) -> Array:
    dtype = jnp.result_type(p)
    if dtype == jnp.result_type(u):
        return p + u
    wide = _wider(dtype, jnp.result_type(u))
    return (jnp.asarray(p, wide) + jnp.asarray(u, wide)).astype(dtype)


def _wider(*dtypes: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(*dtypes)
