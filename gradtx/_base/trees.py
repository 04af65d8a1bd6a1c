"""Trees of arrays: paths of leaves, leaves in their compute dtype, and checks that trees fit each other."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import numerics
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_float0, is_inexact, is_traced
from gradtx._base.typing import Array, Updates


def path_text(path: tuple) -> str:
    """A key path as `encoder/0/kernel`; `(root)` for a tree that is one array."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "(root)"


@explains_calls("tree.paths")
def paths(tree: Any, text: Callable[[tuple], str] = path_text) -> list[str]:
    """The path of each leaf as `encoder/0/kernel`, in the order of `jax.tree.leaves`.

    In Flax NNX a leaf is a variable in some trees, and its array in others; both have the path of the variable.
    """
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_variable)
    return [text(path) for path, node in nodes for _ in jax.tree.leaves(node)]


def absent_paths(tree: Any) -> list[str]:
    """Where the tree has None."""
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: x is None)
    return [path_text(path) for path, node in nodes if node is None]


def escaped(word: str) -> str:
    """A word of a path in which a slash is not a separator: `mlp/linear` as `mlp%2Flinear`."""
    return word.replace("%", "%25").replace("/", "%2F")


def escaped_path_text(path: tuple) -> str:
    """A key path as by `path_text`, in which no two paths are alike."""
    return "/".join(escaped(path_text((key,))) for key in path)


@explains_calls("tree.map_with_path")
def map_with_path(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`jax.tree.map` of a function that gets the path of the leaf, as `encoder/0/kernel`, as its first argument."""
    treedef = jax.tree.structure(tree)
    others = [treedef.flatten_up_to(other) for other in rest]
    return treedef.unflatten(map(function, paths(tree), jax.tree.leaves(tree), *others))


def without_variables(tree: Any) -> Any:
    """The tree with each Flax NNX variable replaced by its array: a model and its optimizer have different ones."""

    def bare(x: Any) -> Any:
        return next(iter(jax.tree.leaves(x)), None) if is_variable(x) else x

    return jax.tree.map(bare, tree, is_leaf=is_variable)


def is_variable(x: Any) -> bool:
    return any(kind.__name__ == "Variable" and kind.__module__.startswith("flax.nnx") for kind in type(x).__mro__)


def is_nnx_module(x: Any) -> bool:
    return any(kind.__name__ == "Module" and kind.__module__.startswith("flax.nnx") for kind in type(x).__mro__)


_FLOAT32 = jnp.dtype("float32")


def floating_leaves(tree: Any, what: str = "updates") -> list[Array]:
    """The leaves as arrays; an integer or boolean one raises, with its path."""
    leaves = jax.tree.leaves(tree)
    for index, leaf in enumerate(leaves):
        if getattr(leaf, "dtype", None) == _FLOAT32 and isinstance(leaf, jax.Array):
            continue  # the common case
        if isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic)) and not is_float0(leaf):
            leaf = leaves[index] = jnp.asarray(leaf)
        if not hasattr(leaf, "dtype"):
            raise _no_array(tree, index, what)
        try:
            can_move = is_inexact(leaf)
        except TypeError:  # a dtype of another library
            raise _no_array(tree, index, what) from None
        if not can_move:
            remedy = "; cast it by x.astype(float)"
            if what != "tree":
                remedy = "; cast it, or freeze it by `set_to_zero` in a `partition` or `masked`"
            only = "only floating-point leaves can be updated" if what != "tree" else "it has to be floating point"
            raise GradtxTypeError(f"the leaf {paths(tree)[index]!r} of the {what} is {_kind(leaf)}, and {only}{remedy}")
    return leaves


def _no_array(tree: Any, index: int, what: str) -> GradtxTypeError:
    leaf, path = jax.tree.leaves(tree)[index], paths(tree)[index]
    if path == "(root)":
        return GradtxTypeError(
            f"the {what} are {short(leaf)}, expected a pytree of arrays; of a Flax or Haiku model these are the "
            f"parameters that `init` returns, of an NNX model nnx.state(model, nnx.Param)"
        )
    if hasattr(leaf, "__array__"):
        return GradtxTypeError(
            f"the leaf {path!r} of the {what} is of {type(leaf).__module__}.{type(leaf).__name__}; convert it by "
            f"jnp.asarray"
        )
    return GradtxTypeError(
        f"the leaf {path!r} of the {what} is {short(leaf)}, not an array; leave such leaves out, as "
        f"eqx.filter(module, eqx.is_inexact_array) does"
    )


def _kind(leaf: Any) -> str:
    return "the empty gradient of an integer" if is_float0(leaf) else str(leaf.dtype)


def widened(tree: Updates, what: str = "updates") -> Updates:
    """The tree with each leaf in its compute dtype, which has at least 32 bits."""
    return jax.tree.structure(tree).unflatten(map(numerics.widened, floating_leaves(tree, what)))


def floats_widened(tree: Any) -> Any:
    """The tree with its floating-point arrays in their compute dtype; all else stays as it is."""
    leaves, treedef = jax.tree.flatten(tree)
    wide = [numerics.widened(x) if hasattr(x, "dtype") and is_inexact(x) else x for x in leaves]
    return tree if all(map(operator.is_, wide, leaves)) else treedef.unflatten(wide)


def leaves_like(
    tree: Any, other: Any, what: str, other_what: str, absent: bool = False, shapes: bool = True
) -> list[Any]:
    """The arrays of `other` at the leaves of `tree`; raises if their structures, or with `shapes` their shapes, differ.

    Where `tree` has None, `other` may have anything. With `absent`, `other` may have None or JAX's empty gradient of an
    integer where `tree` has a leaf; both are returned as None.
    """
    parts = subtrees_like(tree, other, what, other_what)
    if absent:
        parts = [None if is_float0(part) else part for part in parts]
    for index, (leaf, part) in enumerate(zip(jax.tree.leaves(tree), parts, strict=True)):
        shape = getattr(part, "shape", None)
        if shape is None:
            if part is None and absent:
                continue
            if not isinstance(part, (bool, int, float, complex)):
                raise _unlike(tree, other, what, other_what)
            shape = ()
        if shapes and shape != jnp.shape(leaf):
            raise GradtxValueError(
                f"the shapes of the {what} and the {other_what} differ at {paths(tree)[index]!r}: "
                f"{jnp.shape(leaf)} and {shape}{_remedy(what, other_what, jnp.shape(leaf), shape)}"
            )
    return parts


def _remedy(what: str, other_what: str, shape: tuple[int, ...], other: tuple[int, ...]) -> str:
    if (what, other_what) != ("updates", "state"):
        return ""
    if shape[1:] == other and shape:
        return (
            f"; the updates have one axis more, of {shape[0]}: if they are gradients of examples, take the mean, or "
            f"put aggregate_privately in front"
        )
    return "; the state was made for parameters of its shapes: is this the gradient of others, or transposed?"


def subtrees_like(tree: Any, other: Any, what: str, other_what: str) -> list[Any]:
    """The parts of `other` at the leaves of `tree`; raises if it does not have its structure up to there.

    Where `tree` has None, `other` may have anything.
    """
    try:
        return jax.tree.structure(tree).flatten_up_to(other)
    except (ValueError, TypeError, KeyError):
        pass
    leaves, treedef = jax.tree.flatten(tree, is_leaf=lambda x: x is None)
    try:
        parts = treedef.flatten_up_to(other)
    except (ValueError, TypeError, KeyError):
        raise _unlike(tree, other, what, other_what) from None
    return [part for leaf, part in zip(leaves, parts, strict=True) if leaf is not None]


def is_slot(node: Any) -> bool:
    """Whether it stands for one array: it is one, or what a codec has made of one."""
    return hasattr(node, "shape")


def nodes(tree: Any) -> list[Any]:
    """All nodes of the tree, leaves included."""
    found: list[Any] = []
    jax.tree.leaves(tree, is_leaf=lambda node: bool(found.append(node)))
    return found


def _unlike(tree: Any, other: Any, what: str, other_what: str) -> GradtxValueError:
    error = GradtxValueError(
        f"the structures of the {what} and the {other_what} differ: {difference(tree, other, what, other_what)}"
    )
    error.is_about_state = what == "updates" and other_what in ("state", "parameters")
    return error


def difference(tree: Any, other: Any, what: str, other_what: str) -> str:
    """How the structures of two trees differ, in words."""
    ours, theirs = paths(tree), paths(other)
    if ours == ["(root)"] and jnp.shape(tree) == () and what == "updates":
        return f"the {what} are one number; did you pass the loss instead of the gradients?"
    for it, its, one, another in ((what, tree, other_what, other), (other_what, other, what, tree)):
        if (hint := _as_item(its, another)) is not None:
            return f"the {it} are a pair, whose {hint} item has the structure of the {one}; unpack it"
    only_ours = [path for path in ours if path not in set(theirs)]
    only_theirs = [path for path in theirs if path not in set(ours)]
    if not only_ours and not only_theirs:
        place, kinds = _other_containers(tree, other)
        hint = ""
        if any(map(_is_nnx, (tree, other))):
            hint = "; of a Flax NNX model give nnx.state(model, nnx.Param)"
        elif ours == theirs and "updates" in (what, other_what):
            hint = (
                "; give gradients the containers of the parameters: "
                "jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(grads))"
            )
        return f"the paths are the same, and the containers are not: at {place!r} {kinds}{hint}"
    outer = {path.split("/")[0] for path in only_theirs}
    if len(outer) == 1 and [path.partition("/")[2] for path in only_theirs] == only_ours:
        return f"that of the {other_what} is one level deeper, in {outer.pop()!r}"
    outer = {path.split("/")[0] for path in only_ours}
    if len(outer) == 1 and [path.partition("/")[2] for path in only_ours] == only_theirs:
        return f"that of the {what} is one level deeper, in {(key := outer.pop())!r}; give what is in it: [{key!r}]"
    texts = [f"only the {what} {_have(what)} {listing(only_ours)}"] if only_ours else []
    if only_theirs:
        texts.append(f"only the {other_what} {_have(other_what)} {listing(only_theirs)}")
        if (what, other_what) == ("updates", "parameters") and not only_ours:
            texts.append("give zeros for what shall stay, or freeze it")
    return "; ".join(texts)


def _other_containers(tree: Any, other: Any) -> tuple[str, str]:
    """The first place at which two trees with the same paths have different containers, and which these are."""
    kinds = [_containers(x) for x in (tree, other)]
    place = next((path for path in kinds[0] if kinds[0][path] is not kinds[1].get(path)), "(root)")
    return place, " and ".join(f"a {found[place].__name__}" for found in kinds)


def _containers(tree: Any) -> dict[str, type]:
    """The type of each node by its path, from the root on."""
    found: dict[str, type] = {}

    def note(path: tuple, node: Any) -> bool:
        found[path_text(path)] = type(node)
        return False

    jax.tree_util.tree_leaves_with_path(tree, is_leaf=note, is_leaf_takes_path=True)
    return found


def _have(what: str) -> str:
    return "has" if what.endswith("state") else "have"


def _is_nnx(x: Any) -> bool:
    return type(x).__name__ == "State" or any(kind.__module__.startswith("flax.nnx") for kind in type(x).__mro__)


def _as_item(pair: Any, wanted: Any) -> str | None:
    """Which item of the pair has the structure that was wanted for all of it: it was not unpacked."""
    if type(pair) is not tuple or len(pair) != 2 or not jax.tree.leaves(wanted):
        return None
    forms = [jax.tree.structure(item) for item in pair]
    return next(
        (which for form, which in zip(forms, ("first", "second"), strict=True) if form == jax.tree.structure(wanted)),
        None,
    )


def replaced_in(old: Array, new: Any, who: str) -> Array:
    """A copy of `new` in the shape, dtype and placement of `old`, so that nothing is recompiled."""
    dtype, shape = jnp.result_type(old), jnp.shape(old)
    try:
        # No fraction for a count, and no complex number for a real one.
        fits = not isinstance(new, str) and _rank(jnp.asarray(new).dtype) <= _rank(dtype)
        moved = jnp.broadcast_to(jnp.array(new, dtype), shape) if fits else None
    except (TypeError, ValueError):
        moved = None
    if moved is None:
        what = "an array" if shape else "a number"
        raise GradtxValueError(f"{who}: expected {what} of shape {shape}, got {short(new)}; the dtype is {dtype}")
    in_place = not is_traced(old) and getattr(old, "committed", False)
    return jax.device_put(moved, old.sharding) if in_place else moved


def _rank(dtype: Any) -> int:
    """Booleans, integers, real and complex numbers: each kind includes those before it."""
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    return next((rank for rank, kind in enumerate(kinds) if jnp.issubdtype(dtype, kind)), len(kinds))
