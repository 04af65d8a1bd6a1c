"""Inside `jax.shard_map` the type of an array says over which axes of the mesh its values differ.

Types must agree where programs join: the state before and after a step of `lax.scan`, the branches of `lax.switch`.
"""

from typing import Any

import jax
from jax import lax
from jax.core import Tracer

NOWHERE: frozenset[str] = frozenset()


def axes_of(x: Any) -> frozenset[str]:
    """The mesh axes over which one array varies; it may be abstract."""
    kind = jax.typeof(x) if isinstance(x, Tracer) else x
    manual = getattr(kind, "manual_axis_type", None)
    return getattr(manual, "varying", None) or getattr(kind, "vma", None) or NOWHERE  # vma: before JAX 0.9


def all_axes(tree: Any) -> frozenset[str]:
    """The mesh axes over which any array of the tree varies."""
    return NOWHERE.union(*map(axes_of, jax.tree.leaves(tree)))


def varied(x: Any, axes: frozenset[str]) -> Any:
    """The array, typed as one that varies over these axes too."""
    missing = tuple(sorted(axes - axes_of(x))) if axes else ()
    if not missing:
        return x
    if not hasattr(lax, "pcast"):  # before JAX 0.9
        return lax.pvary(x, missing)  # pyright: ignore[reportAttributeAccessIssue]
    return lax.pcast(x, missing, to="varying")
