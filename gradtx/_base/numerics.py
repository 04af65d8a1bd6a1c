"""The dtype rules, and scalar and elementwise operations that are safe near 0 and infinity.

All arithmetic is in at least 32 bits. `align` casts arrays to the widest of their precisions; hyperparameters are
weakly typed (`weak`), so they take the precision of the array that they are combined with, and never widen it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike

from gradtx._base.errors import GradtxTypeError
from gradtx._base.typing import Array


def precision(dtype) -> int:
    """Bits of one real number of `dtype`: 16, 32 or 64."""
    return jnp.finfo(dtype).bits


def is_spread(p: Array) -> bool:
    """Whether the array is known to be sharded over devices; in a trace only its type can say so (Explicit axes)."""
    if is_traced(p):
        return any(axis is not None for axis in jax.typeof(p).sharding.spec)
    sharding = getattr(p, "sharding", None)
    return sharding is not None and not sharding.is_fully_replicated


def widen(dtype, bits: int = 32) -> jnp.dtype:
    """`dtype`, or the wider one of its kind, real or complex, with a precision of `bits`."""
    if precision(dtype) >= bits:
        return jnp.dtype(dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.dtype(f"complex{2 * bits}")
    return jnp.dtype(f"float{bits}")


def strong(x: ArrayLike, dtype=None) -> Array:
    """`x` as a strongly typed array, in `dtype` if that is given."""
    return lax.convert_element_type(x, dtype or jnp.asarray(x).dtype)


def weak(x: ArrayLike) -> Array:
    """The 0-d array `x` as a weakly typed float, which promotes as a Python float does."""
    return lax.full_like(0.0, x)


def widened(x: Array) -> Array:
    """`x` in its compute dtype, which has at least 32 bits."""
    return x if x.dtype == _FLOAT32 and not x.weak_type else strong(x, widen(x.dtype))


def align(*arrays: Any) -> tuple[Any, ...]:
    """The arrays in the widest of their precisions, at least 32 bits; complex ones stay complex, real ones real.

    None stays None.
    """
    for x in arrays:
        if x is not None and x.dtype != _FLOAT32:
            break
    else:
        return arrays  # the common case; tracing a large tree calls this often
    bits = max(32, *(precision(x.dtype) for x in arrays if x is not None))
    return tuple(None if x is None else strong(x, widen(x.dtype, bits)) for x in arrays)


_FLOAT32 = jnp.dtype("float32")


def select(condition: Array, number: float, x: Array) -> Array:
    """`jnp.where(condition, number, x)` for a condition of the shape of `x`, or a scalar."""
    if not is_traced(x):
        return jnp.where(condition, number, x)
    return lax.select(condition, lax.full_like(x, number), x)  # in a trace: one operation, not a call of `where`


def ordered(x: Array) -> Array:
    """`x`, for a comparison; raises if it is complex."""
    if jnp.iscomplexobj(x):
        raise GradtxTypeError(
            "only real numbers have an order; select leaves with `masked`, or wrap the transform: split_complex(tx)"
        )
    return x


def times(x: Array, y: Array) -> Array:
    """The product; one factor may be complex and the other real."""
    if jnp.iscomplexobj(x) == jnp.iscomplexobj(y):
        return x * y
    z, factor = (x, y) if jnp.iscomplexobj(x) else (y, x)
    return lax.complex(z.real * factor, z.imag * factor)


def abs_square(x: Array) -> Array:
    """`|x|^2`, real for complex `x` too."""
    return x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x


@jax.custom_jvp
def safe_sqrt(x: Array) -> Array:
    """The square root, with derivative 0 instead of infinity at 0."""
    return lax.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_derivative(primals: tuple, tangents: tuple) -> tuple:
    root = safe_sqrt(*primals)
    return root, safe_divide(0.5 * tangents[0], root)


def safe_divide(numerator: Any, denominator: Array) -> Array:
    """The quotient, and 0 with finite derivatives where the denominator is 0."""
    zero = denominator == 0
    safe = select(zero, 1.0, denominator)
    if jnp.iscomplexobj(numerator) and not jnp.iscomplexobj(safe):
        safe = safe.astype(jnp.result_type(numerator))
    return select(zero, 0.0, numerator / safe)


def divide_by_sum(numerator: Array, denominator: Array, eps: Any) -> Array:
    """`numerator / (denominator + eps)` for a nonnegative denominator, and 0 where the sum is 0."""
    if not isinstance(eps, float):
        return safe_divide(numerator, denominator + eps)
    if eps >= jnp.finfo(denominator.dtype).tiny:
        return numerator / (denominator + eps).astype(numerator.dtype)
    return safe_divide(numerator, denominator)


def root_of_sum(root: Array, addend: ArrayLike) -> Array:
    """`sqrt(root^2 + addend)`, exact for `addend = 0` however small or large `root` is."""
    if isinstance(addend, float) and addend == 0:
        return root  # bitwise the same, and a constant 0 costs nothing
    bounds = jnp.finfo(root.dtype)
    low, high = 2.0 ** (bounds.minexp // 2 + 2), 2.0 ** (bounds.maxexp // 2 - 2)
    inside = (root > low) & (root < high)
    squared = jnp.where(inside, root, 1.0) ** 2
    return jnp.where(inside, jnp.sqrt(squared + addend), jnp.maximum(root, safe_sqrt(jnp.asarray(addend))))


def unless_infinite(x: Array, new: Array) -> Array:
    """`new`, or `x` where it is real and infinite: there `new` may be NaN, as a difference of infinities."""
    return new if jnp.iscomplexobj(x) else lax.select(lax.is_finite(x), new, x)


def weighted_mean(weight: Any) -> Callable[[Array, Array], Array]:
    """The function `weight * x + (1 - weight) * y` of x and y, computed from the one of larger weight.

    In float32 the weights 0.999 and 0.001 do not add up to 1, and an average with them drifts by 1e-5; here only one of
    them is rounded. Infinite values stay infinite.
    """

    def mean(x: Array, y: Array) -> Array:
        heavy = weight >= 0.5
        if isinstance(weight, float):
            near, far, part = (x, y, 1 - weight) if heavy else (y, x, weight)
        else:
            near, far = lax.select(heavy, x, y), lax.select(heavy, y, x)
            part = jnp.where(heavy, 1 - weight, weight)
        return unless_infinite(near, near + part * (far - near))

    return mean


def log_of_decay(decay: Any, dtype: Any) -> Any:
    """The logarithm of a decay, finite at 0 too, where it is so low that `1 - exp` of it is exactly 1."""
    tiny = float(jnp.finfo(dtype).tiny)
    return math.log(max(decay, tiny)) if isinstance(decay, float) else jnp.log(jnp.maximum(decay, tiny))


def increment(count: Array) -> Array:
    """`count + 1`, saturating at the largest integer."""
    return jnp.where(count < jnp.iinfo(count.dtype).max, count + 1, count)


def is_traced(x: Any) -> bool:
    """Whether `x` is a tracer."""
    return isinstance(x, Tracer)


def any_traced(tree: Any) -> bool:
    """Whether any leaf of the tree is a tracer."""
    for x in jax.tree.leaves(tree):  # noqa: SIM110 - no generator: this is asked at every eager update
        if isinstance(x, Tracer):
            return True
    return False


def is_real(x: Any) -> bool:
    """Whether `x` holds real floating numbers."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def is_inexact(x) -> bool:
    """Whether `x` holds real or complex floating numbers."""
    return not is_float0(x) and jnp.issubdtype(x.dtype, jnp.inexact)


def is_key(x: Any) -> bool:
    """Whether `x` is a typed random key, or an array of them."""
    return jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key)


def is_float0(x) -> bool:
    """Whether `x` is the empty gradient (dtype float0) that JAX returns for an integer."""
    return getattr(x, "dtype", None) == jax.dtypes.float0
