"""Arithmetic on trees."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import abs_square, is_key
from gradtx._base.typing import Array
from gradtx.tree import size as size

PyTree = Any


def _map(f: Callable[..., Any], *trees: PyTree) -> PyTree:
    """`jax.tree.map` over several trees, of which the first may have None."""
    return jax.tree.map(lambda x, *rest: None if x is None else f(x, *rest), *trees, is_leaf=lambda x: x is None)


def add(tree_x: PyTree, tree_y: PyTree, *other_trees: PyTree) -> PyTree:
    """The sum of trees."""
    return jax.tree.map(lambda *xs: functools.reduce(operator.add, xs), tree_x, tree_y, *other_trees)


def sub(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The difference of two trees."""
    return jax.tree.map(operator.sub, tree_x, tree_y)


def mul(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The elementwise product."""
    return jax.tree.map(operator.mul, tree_x, tree_y)


def div(tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The elementwise quotient."""
    return jax.tree.map(operator.truediv, tree_x, tree_y)


def scale(scalar: Any, tree: PyTree) -> PyTree:
    """The tree times a number."""
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: PyTree, scalar: Any, tree_y: PyTree) -> PyTree:
    """`x + scalar * y`."""
    return _map(lambda x, y: x + scalar * y, tree_x, tree_y)


def vdot(tree_x: PyTree, tree_y: PyTree) -> Any:
    """The inner product; the first tree is conjugated."""
    dots = jax.tree.map(lambda x, y: jnp.vdot(x, y, precision=jax.lax.Precision.HIGHEST), tree_x, tree_y)
    return jax.tree.reduce(operator.add, dots, initializer=0)


def sum(tree: PyTree, associative_reduction: bool = False) -> Any:
    """The sum of all elements; with `associative_reduction` the leaves are added in pairs."""
    sums = jax.tree.map(jnp.sum, tree)
    if associative_reduction:
        return jax.tree.reduce_associative(operator.add, sums, identity=0)
    return jax.tree.reduce(operator.add, sums, initializer=0)


def max(tree: PyTree) -> Any:
    """The largest element; minus infinity without elements."""
    return _extreme(jnp.max, jnp.maximum, tree, -float("inf"))


def min(tree: PyTree) -> Any:
    """The smallest element; infinity without elements."""
    return _extreme(jnp.min, jnp.minimum, tree, float("inf"))


def _extreme(within: Callable[..., Array], of_two: Callable[..., Array], tree: PyTree, none: float) -> Any:
    return functools.reduce(of_two, [within(x) for x in jax.tree.leaves(tree) if jnp.size(x)], none)


def conj(tree: PyTree) -> PyTree:
    """The complex conjugates."""
    return jax.tree.map(jnp.conj, tree)


def real(tree: PyTree) -> PyTree:
    """The real parts."""
    return jax.tree.map(jnp.real, tree)


def norm(tree: PyTree, ord: Any = None, squared: bool = False) -> Array:
    """The norm of all elements as one vector: `ord` is None or 2, 1, or infinity."""
    if ord is None or ord == 2:
        total = sum(jax.tree.map(lambda x: abs_square(jnp.asarray(x)), tree))
        return jnp.asarray(total if squared else jnp.sqrt(total))
    if ord == 1:
        length = sum(jax.tree.map(jnp.abs, tree))
    elif ord in (jnp.inf, "inf", "infinity"):
        length = max(jax.tree.map(jnp.abs, tree))
    else:
        raise GradtxValueError(f"ord: expected None, 1, 2 or infinity, got {ord!r}")
    return jnp.square(length) if squared else jnp.asarray(length)


def global_norm(updates: PyTree) -> Array:
    """The Euclidean norm of all elements as one vector."""
    return norm(updates)


def batch_shape(tree: PyTree, shape: tuple[int, ...] = ()) -> PyTree:
    """Copies along new leading axes."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), tree)


def zeros_like(tree: PyTree, dtype: Any = None) -> PyTree:
    """Zeros of the same shapes."""
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: PyTree, dtype: Any = None) -> PyTree:
    """Ones of the same shapes."""
    return jax.tree.map(lambda x: jnp.ones_like(x, dtype=dtype), tree)


def full_like(tree: PyTree, fill_value: Any, dtype: Any = None) -> PyTree:
    """One number everywhere, of the same shapes."""
    return jax.tree.map(lambda x: jnp.full_like(x, fill_value, dtype=dtype), tree)


def clip(tree: PyTree, min_value: Any = None, max_value: Any = None) -> PyTree:
    """Each element within two bounds."""
    return jax.tree.map(lambda x: jnp.clip(x, min_value, max_value), tree)


def where(condition: Any, tree_x: PyTree, tree_y: PyTree) -> PyTree:
    """The first tree where the condition holds, else the second."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def allclose(a: PyTree, b: PyTree, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are nearly equal."""
    each = jax.tree.map(lambda x, y: jnp.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan), a, b)
    return functools.reduce(operator.and_, jax.tree.leaves(each), True)


def update_moment(updates: PyTree, moments: PyTree, decay: Any, order: Any) -> PyTree:
    """`decay * moment + (1 - decay) * update**order`."""
    return _map(lambda g, m: (1 - decay) * g**order + decay * m, updates, moments)


def update_moment_per_elem_norm(updates: PyTree, moments: PyTree, decay: Any, order: Any) -> PyTree:
    """`decay * moment + (1 - decay) * |update|**order`."""

    def power(g: Array) -> Array:
        if not jnp.iscomplexobj(g):
            return g**order
        return abs_square(g) ** (order // 2 if order % 2 == 0 else order / 2)

    return _map(lambda g, m: (1 - decay) * power(g) + decay * m, updates, moments)


def update_infinity_moment(updates: PyTree, moments: PyTree, decay: Any, eps: Any) -> PyTree:
    """`max(decay * moment, |update| + eps)`."""
    return _map(lambda g, m: jnp.maximum(jnp.abs(g) + eps, decay * m), updates, moments)


def bias_correction(moment: PyTree, decay: Any, count: Any) -> PyTree:
    """The moment divided by `1 - decay**count`, the sum of its weights."""
    weights = 1 - jnp.asarray(decay) ** count
    return jax.tree.map(lambda m: m / weights.astype(m.dtype), moment)


def cast(tree: PyTree, dtype: Any) -> PyTree:
    """The tree in another dtype; None changes nothing."""
    return tree if dtype is None else jax.tree.map(lambda x: x.astype(dtype), tree)


def cast_like(tree: PyTree, other_tree: PyTree) -> PyTree:
    """The tree in the dtypes of another."""
    return jax.tree.map(lambda x, like: x.astype(like.dtype) if hasattr(like, "dtype") else x, tree, other_tree)


def dtype(tree: PyTree, mixed_dtype_handler: str | None = None) -> Any:
    """The dtype of the leaves; of different ones, that to which they are promoted, the highest or the lowest."""
    dtypes = [jnp.asarray(x).dtype for x in jax.tree.leaves(tree)]
    if not dtypes:
        return jnp.zeros(()).dtype
    if mixed_dtype_handler is None:
        if len(set(dtypes)) > 1:
            raise GradtxValueError(f"expected one dtype, got {', '.join(sorted({str(d) for d in dtypes}))}")
        return dtypes[0]
    if mixed_dtype_handler not in _OF_MIXED:
        raise GradtxValueError(
            f"mixed_dtype_handler: expected None or one of {', '.join(_OF_MIXED)}, got {mixed_dtype_handler!r}"
        )
    return functools.reduce(_OF_MIXED[mixed_dtype_handler], dtypes)


def _higher(a: Any, b: Any) -> Any:
    both = jnp.promote_types(a, b)
    if both not in (a, b):
        raise GradtxValueError(f"neither of the dtypes {a} and {b} is higher")
    return both


def _lower(a: Any, b: Any) -> Any:
    return b if _higher(a, b) == a else a


_OF_MIXED = {"promote": jnp.promote_types, "highest": _higher, "lowest": _lower}


def split_key_like(rng_key: Array, target_tree: PyTree) -> PyTree:
    """A key for each leaf."""
    treedef = jax.tree.structure(target_tree)
    return treedef.unflatten(jax.random.split(rng_key, treedef.num_leaves))


def random_like(
    rng_key: Array, target_tree: PyTree, sampler: Callable[..., Array] = jax.random.normal, dtype: Any = None
) -> PyTree:
    """Random numbers of the same shapes; `sampler(key, shape, dtype)` draws those of one leaf."""
    has_sharding = "out_sharding" in inspect.signature(sampler).parameters

    def draw(leaf: Array, key: Array) -> Array:
        placed = {"out_sharding": jax.typeof(leaf).sharding} if has_sharding else {}
        return sampler(key, leaf.shape, dtype or leaf.dtype, **placed)

    return jax.tree.map(draw, target_tree, split_key_like(rng_key, target_tree))


def unwrap_random_key_data(input_tree: PyTree) -> PyTree:
    """The tree with its random keys as arrays of integers."""

    def one(x: Any) -> Any:
        return jax.random.key_data(x) if isinstance(x, jax.Array) and is_key(x) else x

    return jax.tree.map(one, input_tree)
