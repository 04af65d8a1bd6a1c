"""Utilities for pytrees of arrays."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from gradtx._base.calls import explains_calls
from gradtx._base.counterparts import no_attribute
from gradtx._base.errors import GradtxValueError, listing
from gradtx._base.numerics import align, strong
from gradtx._base.trees import difference, floating_leaves, floats_widened, is_variable, path_text, replaced_in
from gradtx._base.trees import map_with_path as map_with_path
from gradtx._base.trees import paths as paths
from gradtx._base.typing import Array
from gradtx._core.norms import norm as euclidean
from gradtx._values.registry import nameable

__all__ = [
    "cast",
    "find",
    "map_with_path",
    "nbytes",
    "norm",
    "paths",
    "random_like",
    "replace",
    "size",
    "widened",
    "zeros_like",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # a type checker would take every name for right

    def __getattr__(name: str) -> Any:
        raise AttributeError(no_attribute("gradtx.tree", name, __all__))


@nameable("tree.norm")
@explains_calls("tree.norm")
def norm(tree: Any, ord: float = 2) -> Array:
    r"""Norm: the Euclidean norm, the 1-norm or the maximum norm of all elements of all leaves together.

    .. math:: \lVert x \rVert_1 = \textstyle\sum_i |x_i|, \quad \lVert x \rVert_2 = \sqrt{\sum_i |x_i|^2}, \quad
        \lVert x \rVert_\infty = \max_i |x_i|

    Args:
        tree: a pytree of floating-point arrays.
        ord: 1, 2 or infinity.

    Returns:
        A 0-d array of at least float32, 0 for an empty tree. Squares do not overflow or underflow in any precision:
        they are scaled by exact powers of two, or summed in a wider dtype.

    Raises:
        GradtxValueError: another order.
        GradtxTypeError: a leaf is not floating point.
    """
    if ord == 2:
        return euclidean(floating_leaves(tree, "tree"))
    if ord not in (1, math.inf):
        raise GradtxValueError(f"norm: ord: expected 1, 2 or infinity, got {ord!r}")
    magnitudes = [jnp.abs(x) for x in floating_leaves(tree, "tree")]
    if not magnitudes:
        return jnp.zeros((), jnp.float32)
    reduce = jnp.sum if ord == 1 else _largest
    return reduce(jnp.stack([reduce(x) for x in align(*magnitudes)]))


def _largest(magnitudes: Array) -> Array:
    """The maximum, 0 if empty, NaN if any is NaN: jaxlib 0.10 loses NaN in a maximum on a CPU; a sum keeps it."""
    return jnp.where(jnp.isnan(jnp.sum(magnitudes)), jnp.nan, jnp.max(magnitudes, initial=0.0))


@explains_calls("tree.cast")
def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its real floating-point leaves in `dtype`; other leaves are unchanged."""
    return jax.tree.map(lambda x: strong(x, dtype) if jnp.issubdtype(jnp.result_type(x), jnp.floating) else x, tree)


@explains_calls("tree.widened")
def widened(tree: Any) -> Any:
    """The tree with its floating-point leaves in the dtype that transforms compute in: their own, or float32 if wider.

    Half precision becomes float32; complex leaves stay complex, float64 and all other leaves are unchanged.
    """
    return floats_widened(tree)


@explains_calls("tree.zeros_like")
def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros with the structure, shapes and (unless `dtype` is given) dtypes of the tree."""
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


@explains_calls("tree.random_like")
def random_like(key: Array, tree: Any, sampler: Callable[..., Array] = jax.random.normal, dtype: Any = None) -> Any:
    """Random arrays with the structure, shapes and (unless `dtype` is given) dtypes of the tree.

    Args:
        key: a random key; it is split into one key per leaf, so that leaves are independent.
        tree: a pytree of arrays, which may be abstract.
        sampler: `(key, shape, dtype) -> array`, such as those of `jax.random`.
        dtype: the dtype of all leaves.
    """
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves)) if leaves else []
    dtypes = [jnp.result_type(leaf) if dtype is None else dtype for leaf in leaves]
    return treedef.unflatten([sampler(k, jnp.shape(x), d) for k, x, d in zip(keys, leaves, dtypes, strict=True)])


@explains_calls("tree.find")
def find(tree: Any, name: str) -> Any:
    """The one part of a nested tree whose path ends in `name`: `find(state, "mu")`, `find(state, "0/inner/count")`.

    Paths are written as by `paths`: keys, indices and attribute names from the root, separated by slashes. The part may
    be a leaf or a whole subtree; None is not a part.

    Args:
        tree: any pytree, such as a state.
        name: the end of the path, of one component or more; or the whole path, which selects a part over others further
            down.

    Raises:
        GradtxValueError: no path ends in `name`, or several do.

    Example:
        >>> import jax.numpy as jnp
        >>> state = adam(schedules.linear(0.1, 0.0, 10)).init({"w": jnp.zeros(2)})
        >>> print(tree.find(state, "count"), tree.find(state, "learning_rate"))
        0 0.1
    """
    return _place("find", tree, name)[1]


@explains_calls("tree.replace")
def replace(tree: Any, changes: Mapping[str, Any] = {}, /, **named: Any) -> Any:
    """The tree with new parts at some paths: `replace(state, count=0)`, `replace(state, {"0/mu": zeros})`.

    The replacement of an array gets its shape and dtype; that of a subtree must have its structure. So the tree still
    fits programs compiled for it.

    Args:
        tree: any pytree, such as a state.
        changes: new part by the end of its path, as in `find`; for ends that are not Python names.
        **named: the same, by keyword.

    Raises:
        GradtxValueError: no path ends in a name, or several do; or the new part does not fit.
    """
    for name, new in {**changes, **named}.items():
        place, old = _place("replace", tree, name)
        new = _in_place_of(old, new, f"replace: {name}")

        def at_place(keys: tuple, _: Any, place: tuple = place) -> bool:
            return keys == place

        def put(keys: tuple, x: Any, place: tuple = place, new: Any = new) -> Any:
            return new if keys == place else x

        tree = jax.tree_util.tree_map_with_path(put, tree, is_leaf=at_place, is_leaf_takes_path=True)
    return tree


_OF_OPTAX = {
    "count": "a step count is stored only where a schedule or a wrapper reads it",
    **dict.fromkeys(("mu", "nu", "trace"), "here state_dict(tx, state) names every array"),
}
"""Fields of states of Optax that people look for."""


def _place(who: str, tree: Any, name: str) -> tuple[tuple, Any]:
    """The keys of the one part whose path ends in `name`, and the part."""
    found = []

    def note(keys: tuple, node: Any) -> bool:
        if keys and node is not None:
            found.append((path_text(keys), keys, node))
        return is_variable(node)

    jax.tree_util.tree_leaves_with_path(tree, is_leaf=note, is_leaf_takes_path=True)
    fitting = [place for place in found if f"/{place[0]}".endswith(f"/{name}")]
    fitting = [place for place in fitting if place[0] == name] or fitting
    if len(fitting) == 1:
        return fitting[0][1:]
    if fitting:
        several = listing(path for path, *_ in fitting)
        raise GradtxValueError(f"{who}: several paths end in {name!r}: {several}; give more of the path")
    close = difflib.get_close_matches(name, {path.split("/")[-1] for path, *_ in found}, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    if name in _OF_OPTAX:
        hint = f"; {_OF_OPTAX[name]}, and the states of gradtx.optax have {name!r}"
    raise GradtxValueError(f"{who}: no path ends in {name!r}{hint}; known paths: {listing(paths(tree)) or 'none'}")


def _in_place_of(old: Any, new: Any, who: str) -> Any:
    """`new` in the structure, shapes and dtypes of `old`."""
    if is_variable(old) and not is_variable(new):  # a wrapped array is replaced by an array
        return jax.tree.map(lambda x: replaced_in(x, new, who), old)
    if jax.tree.structure(old) == jax.tree.structure(0):
        return replaced_in(old, new, who)
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise GradtxValueError(
            f"{who}: expected the structure of the old part: {difference(old, new, 'old part', 'new part')}"
        )
    return jax.tree.map(lambda x, y: replaced_in(x, y, who), old, new)


@nameable("tree.size")
@explains_calls("tree.size")
def size(tree: Any) -> int:
    """The number of elements in all leaves; leaves may be abstract."""
    return sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(tree))


@explains_calls("tree.nbytes")
def nbytes(tree: Any) -> int:
    """The bytes of all leaves; leaves may be abstract."""
    return sum(math.prod(jnp.shape(leaf)) * jnp.result_type(leaf).itemsize for leaf in jax.tree.leaves(tree))
