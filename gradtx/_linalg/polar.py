"""Polar factors, by polynomials of products or exactly."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError, short
from gradtx._base.numerics import abs_square, safe_divide, safe_sqrt, strong, times
from gradtx._base.polynomials import Polynomials, band_of, minimax_polynomials
from gradtx._base.typing import Array
from gradtx._linalg.batches import over_batch

CUSHION = 0.02407327424182761  # that of the Polar Express
KELLER = (3.4445, -4.7750, 2.0315)
CUBIC = (1.5, -0.5, 0.0)
HALVES = {"bfloat16": 0.01, "float16": 0.001}
"""Precisions of products below float32, and by how much their rounding may lift a singular value above 1."""
PRECISIONS = ("float32", "tensorfloat32", *HALVES)


def polynomials_of(steps: int, lowest: float, method: Any, precision: str | None) -> Polynomials | str:
    """The polynomials of a method, or its name if it has none."""
    if precision is not None and precision not in PRECISIONS:
        raise GradtxValueError(f"precision: expected None or one of {', '.join(PRECISIONS)}, got {short(precision)}")
    if method == "polynomials":
        return minimax_polynomials(steps, lowest, CUSHION, HALVES.get(precision or "", 0.0))
    if method in ("svd", "qdwh"):
        return method
    named = {"keller": (KELLER,) * steps, "cubic": (CUBIC,) * steps}
    table = named.get(method) if isinstance(method, str) else method
    try:
        rows = tuple((float(a), float(b), float(c)) for a, b, c in table)  # pyright: ignore[reportOptionalIterable]
    except (TypeError, ValueError):
        raise GradtxValueError(
            f"method: expected 'polynomials', 'keller', 'cubic', 'svd', 'qdwh' or rows (a, b, c), got {short(method)}"
        ) from None
    if len(rows) != steps:
        raise GradtxValueError(f"method: the table has {len(rows)} rows, and steps is {steps}; say steps={len(rows)}")
    return Polynomials(rows, band_of(rows, lowest))


@explains_calls("linalg.polar")
def polar(x: Array, steps: int = 8, lowest: float = 1e-3, method: Any = "polynomials", precision: Any = None) -> Array:
    r"""The polar factor: the matrix with its singular values replaced by 1.

    .. math:: x = U \Sigma V^H \mapsto U V^H

    Args:
        x: matrices; those before the last two axes are a batch.
        steps: how many polynomials.
        lowest: the smallest singular value, as a part of the Frobenius norm, that is brought into the band of
            `minimax_polynomials(steps, lowest, cushion=0.0241)`.
        method: "polynomials" for those; "keller" and "cubic" for fixed ones; rows `(a, b, c)`; or "svd" and "qdwh",
            which are exact, cost more, and have derivatives of 0.
        precision: of the products: None for that of JAX on the platform, or "float32", "tensorfloat32", "bfloat16",
            "float16".

    Returns:
        Matrices in the dtype of `x`. Zero stays zero, and NaN stays NaN.
    """
    table = polynomials_of(steps, lowest, method, precision)
    if x.size == 0:
        return x
    x = unit_norm(x)
    if isinstance(table, Polynomials):
        return newton_schulz(x, table, precision)
    return lax.stop_gradient(_by_svd(x) if table == "svd" else _by_qdwh(x))


def unit_norm(x: Array) -> Array:
    """Each matrix divided by its Frobenius norm, whatever its scale; zeros stay."""
    size = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag)) if jnp.iscomplexobj(x) else jnp.abs(x)
    largest = lax.stop_gradient(jnp.max(size, (-2, -1), keepdims=True))  # the norm divides it out again
    largest = jnp.where(largest == 0, 1, largest)
    x = lax.complex(x.real / largest, x.imag / largest) if jnp.iscomplexobj(x) else x / largest
    return times(x, safe_divide(1.0, safe_sqrt(jnp.sum(abs_square(x), (-2, -1), keepdims=True))))


@partial(jax.jit, static_argnames=("table", "precision"))
def newton_schulz(x: Array, table: Polynomials, precision: str | None) -> Array:
    """The polynomials of matrices whose singular values are at most 1."""
    dtype, half = x.dtype, precision in HALVES and not jnp.iscomplexobj(x)
    stored = jnp.dtype(precision) if half else dtype
    product = partial(_half_product, dtype) if half else partial(jnp.matmul, precision=None if half else precision)
    is_wide = x.shape[-2] <= x.shape[-1]

    def one(x: Array, row: Array) -> tuple[Array, None]:
        a, b, c = row
        other = jnp.swapaxes(x.conj(), -2, -1)
        gram = product(x, other) if is_wide else product(other, x)
        rounded = gram.astype(stored)
        factor = (times(b, gram) + times(c, product(rounded, rounded))).astype(stored)
        moved = product(factor, x) if is_wide else product(x, factor)
        return (times(a, x.astype(dtype)) + moved).astype(stored), None

    rows = jnp.asarray(table.coefficients, x.real.dtype)
    # A loop: unrolled it takes no less time, and twice as long to compile.
    return strong(lax.scan(one, x.astype(stored), rows)[0], dtype)


def _half_product(dtype: Any, x: Array, y: Array) -> Array:
    """Summed in the wider dtype."""
    return jnp.matmul(x, y, preferred_element_type=dtype)


def _by_svd(x: Array) -> Array:
    u, s, v = jnp.linalg.svd(x, full_matrices=False)
    return jnp.matmul(times(u, _nonzero(s)[..., None, :]), v, precision="float32")


def _nonzero(s: Array) -> Array:
    """1 for singular values that are more than rounding, else 0; NaN stays."""
    rounding = 4 * jnp.finfo(s.dtype).eps
    return jnp.where(jnp.isnan(s), s, (s > rounding * jnp.max(s, -1, keepdims=True)).astype(s.dtype))


def _by_qdwh(x: Array) -> Array:
    is_tall = x.shape[-2] >= x.shape[-1]

    def one(x: Array) -> Array:
        x = x if is_tall else x.conj().T
        is_zero = ~jnp.any(x != 0)
        u = lax.linalg.qdwh(jnp.where(is_zero, jnp.eye(*x.shape, dtype=x.dtype), x))[0]
        u = jnp.where(is_zero, 0, u).astype(x.dtype)
        return u if is_tall else u.conj().T

    return over_batch(one)(x)
