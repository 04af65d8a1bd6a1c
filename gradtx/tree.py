"""Helpers for trees of arrays: the ones that users of optimizers reach for."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._numerics import is_float0, is_inexact, is_real, norm, widen
from gradtx._typing import Array, Updates


def path_text(path: tuple) -> str:
    """A key path as `encoder/0/kernel`; the tree itself, when it is one array, is `(root)`."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "(root)"


def paths(tree: Any) -> list[str]:
    """The path of each leaf as `encoder/0/kernel`, in the order of `jax.tree.leaves`.

    Flax NNX shows a variable in some places, and its array in others; both have the path of the variable.
    """
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_variable)
    return [path_text(path) for path, node in nodes for _ in jax.tree.leaves(node)]


def map_with_path(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`jax.tree.map` whose function also gets the leaf's path, as `encoder/0/kernel`, first."""
    treedef = jax.tree.structure(tree)
    others = [treedef.flatten_up_to(other) for other in rest]
    return treedef.unflatten(map(function, paths(tree), jax.tree.leaves(tree), *others))


def _is_variable(x: Any) -> bool:
    return any(kind.__name__ == "Variable" and kind.__module__.startswith("flax.nnx") for kind in type(x).__mro__)


def global_norm(tree: Updates) -> Array:
    r"""The Euclidean norm of all elements of all leaves.

    .. math:: \lVert x \rVert = \sqrt{\textstyle\sum_{i} |x_i|^2}

    Returns a 0-d array of at least float32, 0 for an empty tree. Squares are summed in that precision, and again after
    exact scaling where the first sum leaves its range, so half-precision leaves neither overflow nor underflow.
    Raises `GradtxTypeError` for leaves that are not floating point.
    """
    return norm(floating_leaves(tree))


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its real floating leaves in `dtype`; other leaves as they are."""
    return jax.tree.map(lambda x: x.astype(dtype) if is_real(x) else x, tree)


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros with the structure, shapes and (unless `dtype` is given) dtypes of the tree."""
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def size(tree: Any) -> int:
    """The number of elements in all leaves; leaves may be abstract."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def nbytes(tree: Any) -> int:
    """The bytes of all leaves; leaves may be abstract."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def floating_leaves(tree: Any, what: str = "updates") -> list[Array]:
    """The leaves as arrays; an integer or boolean one is refused with its path."""
    leaves = jax.tree.leaves(tree)
    for index, leaf in enumerate(leaves):
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


def leaves_like(tree: Any, other: Any, what: str, other_what: str, absent: bool = False) -> list[Any]:
    """The parts of `other` that stand where `tree` has its leaves, if the two have the same structure and shapes.

    With `absent`, `other` may have None or JAX's empty gradient of an integer there; both come back as None.
    """
    treedef = jax.tree.structure(tree)
    try:
        parts = treedef.flatten_up_to(other)
    except (ValueError, TypeError, KeyError):
        raise GradtxValueError(
            f"the structures of the {what} and the {other_what} differ: {_difference(tree, other, what, other_what)}"
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


def _difference(tree: Any, other: Any, what: str, other_what: str) -> str:
    ours, theirs = paths(tree), paths(other)
    only_ours = [path for path in ours if path not in set(theirs)]
    only_theirs = [path for path in theirs if path not in set(ours)]
    if not only_ours and not only_theirs:
        return f"they are {jax.tree.structure(tree)} and {jax.tree.structure(other)}"
    texts = [f"only the {what} have {listing(only_ours)}"] if only_ours else []
    return "; ".join(texts + ([f"only the {other_what} have {listing(only_theirs)}"] if only_theirs else []))
