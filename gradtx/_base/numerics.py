"""The dtype rules and the few scalar and elementwise operations that need care.

Everything computes in at least 32 bits. Arrays that meet are brought to the wider of their precisions by `align`;
numbers are weakly typed (`weak`), so they take the precision of the array they meet and never widen it.
"""

import functools
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
    """Whether the array is known to be spread over several devices; in a trace its type says so, or nothing does."""
    if is_traced(p):
        return any(axis is not None for axis in jax.typeof(p).sharding.spec)
    sharding = getattr(p, "sharding", None)
    return sharding is not None and not sharding.is_fully_replicated


def widen(dtype, bits: int = 32) -> jnp.dtype:
    """The real or complex dtype of at least `bits` precision that holds what `dtype` holds."""
    if precision(dtype) >= bits:
        return jnp.dtype(dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.dtype(f"complex{2 * bits}")
    return jnp.dtype(f"float{bits}")


def strong(x: ArrayLike, dtype=None) -> Array:
    """`x` as an array whose dtype is its own (not weak), or `dtype`."""
    return lax.convert_element_type(x, dtype or jnp.asarray(x).dtype)


weak = functools.partial(lax.full_like, 0.0)
"""A 0-d array as a weakly typed float, the way a Python float would behave in its place."""


def widened(x: Array) -> Array:
    """`x` in the dtype it is computed in."""
    return x if x.dtype == _FLOAT32 and not x.weak_type else strong(x, widen(x.dtype))


def align(*arrays: Any) -> tuple[Any, ...]:
    """The arrays in the widest of their precisions, at least 32 bits; complex ones stay complex, real ones real.

    None stays None.
    """
    for x in arrays:
        if x is not None and x.dtype != _FLOAT32:
            break
    else:
        return arrays  # nearly always, and tracing a large tree comes here often
    bits = max(32, *(precision(x.dtype) for x in arrays if x is not None))
    return tuple(None if x is None else strong(x, widen(x.dtype, bits)) for x in arrays)


_FLOAT32 = jnp.dtype("float32")


def select(condition: Array, number: float, x: Array) -> Array:
    """`jnp.where(condition, number, x)` for a condition of the shape of `x`."""
    if not is_traced(x):
        return jnp.where(condition, number, x)
    return lax.select(condition, lax.full_like(x, number), x)  # in a program: one operation, and no function


def ordered(x: Array) -> Array:
    """`x`, which is about to be compared, so it may not be complex."""
    if jnp.iscomplexobj(x):
        raise GradtxTypeError(
            "only real numbers have an order; choose leaves with `masked`, or wrap the transform: split_complex(tx)"
        )
    return x


def times(x: Array, y: Array) -> Array:
    """The product, where one may be complex and the other real."""
    if jnp.iscomplexobj(x) == jnp.iscomplexobj(y):
        return x * y
    z, factor = (x, y) if jnp.iscomplexobj(x) else (y, x)
    return lax.complex(z.real * factor, z.imag * factor)


def abs_square(x: Array) -> Array:
    """`|x|^2`, real for complex `x` too."""
    return x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x


@jax.custom_jvp
def safe_sqrt(x: Array) -> Array:
    """The root, with derivative 0 instead of infinity at 0."""
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
    """`numerator / (denominator + eps)` for a denominator that is not negative, and 0 where the sum is 0."""
    if not isinstance(eps, float):
        return safe_divide(numerator, denominator + eps)
    if eps >= jnp.finfo(denominator.dtype).tiny:
        return numerator / (denominator + eps).astype(numerator.dtype)
    return safe_divide(numerator, denominator)


def root_of_sum(root: Array, addend: ArrayLike) -> Array:
    """`sqrt(root^2 + addend)`, exact for `addend = 0` however small or large `root` is."""
    if isinstance(addend, float) and addend == 0:
        return root  # the same to the last bit; a constant 0 then costs nothing
    bounds = jnp.finfo(root.dtype)
    low, high = 2.0 ** (bounds.minexp // 2 + 2), 2.0 ** (bounds.maxexp // 2 - 2)
    inside = (root > low) & (root < high)
    squared = jnp.where(inside, root, 1.0) ** 2
    return jnp.where(inside, jnp.sqrt(squared + addend), jnp.maximum(root, safe_sqrt(jnp.asarray(addend))))


def unless_infinite(x: Array, new: Array) -> Array:
    """`new`, but an infinite real `x` stays: what has overflowed must not become NaN by a difference of infinities."""
    return new if jnp.iscomplexobj(x) else lax.select(lax.is_finite(x), new, x)


def weighted_mean(weight: Any) -> Callable[[Array, Array], Array]:
    """The function `weight * x + (1 - weight) * y` of x and y, reckoned from the one that weighs more.

    In float32 the weights 0.999 and 0.001 do not add up to 1, and an average of them drifts by 1e-5; here only one of
    them is rounded. What is infinite stays so.
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
    """The logarithm, bounded so that it stays finite: `exp` of it is 0 to the last bit for a decay of 0."""
    tiny = float(jnp.finfo(dtype).tiny)
    return math.log(max(decay, tiny)) if isinstance(decay, float) else jnp.log(jnp.maximum(decay, tiny))


def increment(count: Array) -> Array:
    """`count + 1`, staying at the largest integer instead of wrapping around."""
    return jnp.where(count < jnp.iinfo(count.dtype).max, count + 1, count)


def is_traced(x: Any) -> bool:
    """Whether `x` stands for an array in a trace."""
    return isinstance(x, Tracer)


def any_traced(tree: Any) -> bool:
    """Whether any array of the tree stands for one in a trace."""
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


def is_float0(x) -> bool:
    """Whether `x` is the empty gradient that JAX gives for integers."""
    return getattr(x, "dtype", None) == jax.dtypes.float0
