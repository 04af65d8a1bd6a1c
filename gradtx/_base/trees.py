"""Trees of arrays: paths of leaves, leaves that may be computed with, and trees that must fit each other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_float0, is_inexact, is_traced, widen
from gradtx._base.typing import Array, Updates


def path_text(path: tuple) -> str:
    """A key path as `encoder/0/kernel`; the tree itself, when it is one array, is `(root)`."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "(root)"


def paths(tree: Any) -> list[str]:
    """The path of each leaf as `encoder/0/kernel`, in the order of `jax.tree.leaves`.

    Flax NNX shows a variable in some places, and its array in others; both have the path of the variable.
    """
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_variable)
    return [path_text(path) for path, node in nodes for _ in jax.tree.leaves(node)]


def map_with_path(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`jax.tree.map` whose function also gets the leaf's path, as `encoder/0/kernel`, first."""
    treedef = jax.tree.structure(tree)
    others = [treedef.flatten_up_to(other) for other in rest]
    return treedef.unflatten(map(function, paths(tree), jax.tree.leaves(tree), *others))


def without_variables(tree: Any) -> Any:
    """The tree with the array of each Flax NNX variable in its place: those of a model and of its optimizer differ."""

    def bare(x: Any) -> Any:
        return next(iter(jax.tree.leaves(x)), None) if is_variable(x) else x

    return jax.tree.map(bare, tree, is_leaf=is_variable)


def is_variable(x: Any) -> bool:
    return any(kind.__name__ == "Variable" and kind.__module__.startswith("flax.nnx") for kind in type(x).__mro__)


_FLOAT32 = jnp.dtype("float32")


def floating_leaves(tree: Any, what: str = "updates") -> list[Array]:
    """The leaves as arrays; an integer or boolean one is refused with its path."""
    leaves = jax.tree.leaves(tree)
    for index, leaf in enumerate(leaves):
        if getattr(leaf, "dtype", None) == _FLOAT32 and isinstance(leaf, jax.Array):
            continue  # nearly always
        if isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic)) and not is_float0(leaf):
            leaf = leaves[index] = jnp.asarray(leaf)
        if not hasattr(leaf, "dtype"):
            raise GradtxTypeError(
                f"the leaf {paths(tree)[index]!r} of the {what} is {short(leaf)} and not an array; leave such leaves "
                f"out, as eqx.filter(module, eqx.is_inexact_array) does"
            )
        if not is_inexact(leaf):
            raise GradtxTypeError(
                f"the leaf {paths(tree)[index]!r} of the {what} is {_kind(leaf)}, and only floating-point leaves can "
                f"be optimized; leave it to `set_to_zero` with `partition` or `masked`"
            )
    return leaves


def _kind(leaf: Any) -> str:
    return "the empty gradient of an integer" if is_float0(leaf) else str(leaf.dtype)


def widened(tree: Updates) -> Updates:
    """The tree with each leaf in the dtype it is computed in, at least 32 bits wide."""
    leaves = floating_leaves(tree)
    return jax.tree.structure(tree).unflatten([leaf.astype(widen(leaf.dtype)) for leaf in leaves])


def copied(tree: Any, what: str = "parameters") -> Any:
    """Copies of the leaves in the dtype that they are computed in, at least 32 bits wide, in memory of their own."""
    copies = [jnp.array(leaf, widen(leaf.dtype)) for leaf in floating_leaves(tree, what)]
    return jax.tree.structure(tree).unflatten(copies)


def leaves_like(tree: Any, other: Any, what: str, other_what: str, absent: bool = False) -> list[Any]:
    """The parts of `other` that stand where `tree` has its leaves, if the two have the same structure and shapes.

    With `absent`, `other` may have None or JAX's empty gradient of an integer there; both come back as None.
    """
    treedef = jax.tree.structure(tree)
    try:
        parts = treedef.flatten_up_to(other)
    except (ValueError, TypeError, KeyError):
        raise GradtxValueError(
            f"the structures of the {what} and the {other_what} differ: {difference(tree, other, what, other_what)}"
        ) from None
    if absent:
        parts = [None if is_float0(part) else part for part in parts]
    for index, (leaf, part) in enumerate(zip(jax.tree.leaves(tree), parts, strict=True)):
        if part is None and not absent:
            raise GradtxValueError(
                f"the structures of the {what} and the {other_what} differ: only the {what} have {paths(tree)[index]}"
            )
        shape = getattr(part, "shape", None)
        if shape is not None and shape != jnp.shape(leaf):
            raise GradtxValueError(
                f"the shapes of the {what} and the {other_what} differ at {paths(tree)[index]!r}: "
                f"{jnp.shape(leaf)} and {shape}"
            )
    return parts


def difference(tree: Any, other: Any, what: str, other_what: str) -> str:
    ours, theirs = paths(tree), paths(other)
    only_ours = [path for path in ours if path not in set(theirs)]
    only_theirs = [path for path in theirs if path not in set(ours)]
    if not only_ours and not only_theirs:
        return f"they are {jax.tree.structure(tree)} and {jax.tree.structure(other)}"
    texts = [f"only the {what} have {listing(only_ours)}"] if only_ours else []
    return "; ".join(texts + ([f"only the {other_what} have {listing(only_theirs)}"] if only_theirs else []))


def like(old: Array, new: Any, who: str) -> Array:
    """`new` in the shape, dtype and placement of `old`, so that nothing has to be compiled again."""
    dtype, shape = jnp.result_type(old), jnp.shape(old)
    try:
        fits = _rank(jnp.asarray(new).dtype) <= _rank(
            dtype
        )  # no fraction for a count, nothing complex for what is real
        moved = jnp.broadcast_to(jnp.asarray(new, dtype), shape) if fits else None
    except (TypeError, ValueError):
        moved = None
    if moved is None:
        what = "an array" if shape else "a number"
        raise GradtxValueError(f"{who} must be {what} of shape {shape}, got {short(new)}; the dtype is {dtype}")
    in_place = not is_traced(old) and getattr(old, "committed", False)
    return jax.device_put(moved, old.sharding) if in_place else moved


def _rank(dtype: Any) -> int:
    """Booleans, integers, real and complex numbers: each kind can stand for those before it."""
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    return next((rank for rank, kind in enumerate(kinds) if jnp.issubdtype(dtype, kind)), len(kinds))
