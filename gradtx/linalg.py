"""Functions of matrices: the last two axes of an array are the matrix, those before them a batch.

    polar(x)                       the nearest matrix with orthogonal rows or columns
    minimax_polynomials(steps)     the polynomials that it is computed with
    eigenbasis(a)                  the eigenvectors of a Hermitian matrix, of the largest eigenvalue first
    next_basis(a, q)               one step from a basis towards them
    cg(matvec, b)                  the solution of a system by conjugate gradients

Exact for all scales: a matrix is divided by its largest element first.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import _cpu
from gradtx._base.errors import GradtxValueError, short
from gradtx._base.numerics import abs_square, safe_divide, safe_sqrt, strong, times, weak
from gradtx._base.polynomials import Polynomials as Polynomials
from gradtx._base.polynomials import band_of
from gradtx._base.polynomials import minimax_polynomials as minimax_polynomials
from gradtx._base.typing import Array
from gradtx._base.varying import all_axes, varied
from gradtx._core.branch import like
from gradtx._core.norms import inner_product

__all__ = [
    "ConjugateGradients",
    "Polynomials",
    "cg",
    "eigenbasis",
    "minimax_polynomials",
    "next_basis",
    "polar",
]


def __dir__() -> list[str]:
    return __all__


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


def polar(x: Array, steps: int = 8, lowest: float = 1e-3, method: Any = "polynomials", precision: Any = None) -> Array:
    r"""The polar factor: the matrix with its singular values replaced by 1.

    .. math:: x = U \Sigma V^H \mapsto U V^H

    Args:
        x: matrices; those before the last two axes are a batch.
        steps: how many polynomials.
        lowest: the least singular value, beside the Frobenius norm of the matrix, that has to come into the band of
            `minimax_polynomials(steps, lowest)`.
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


def eigenbasis(a: Array) -> Array:
    """The eigenvectors of Hermitian matrices, in columns, that of the largest eigenvalue first; without derivatives."""
    a = lax.stop_gradient(a)
    return over_batch(lambda a: jnp.linalg.eigh(_over_largest(a))[1][:, ::-1])(a)


def next_basis(a: Array, q: Array) -> Array:
    """One step of orthogonal iteration from the bases `q` towards the eigenvectors of `a`; without derivatives.

    The columns are sorted by their Rayleigh quotients first, the largest first.
    """

    def one(a: Array, q: Array) -> Array:
        product = jnp.matmul(_over_largest(a), q, precision="float32")
        quotients = jnp.sum((q.conj() * product).real, 0)
        return jnp.linalg.qr(jnp.take(product, jnp.argsort(-quotients), 1))[0]

    return over_batch(one)(lax.stop_gradient(a), lax.stop_gradient(q))


class ConjugateGradients(NamedTuple):
    """The result of `cg`.

    Attributes:
        x: the solution, in the structure of b.
        residual: the norm of b - A x.
        steps: the number of steps; 0 if the curvature along b is not positive, and then x is b.
        is_positive: whether the curvature along all directions was positive.
    """

    x: Any
    residual: Any
    steps: Any
    is_positive: Any


def cg(matvec: Callable[[Any], Any], b: Any, *, max_steps: int = 100, rtol: Any = 1e-6) -> ConjugateGradients:
    """Conjugate gradients: solves A x = b for a Hermitian matrix, of which it needs products only; without derivatives.

    Ends where the residual is at most `rtol` times the norm of b, or at a direction whose curvature is not positive.

    Args:
        matvec: the product of A with a vector, a linear function of a pytree.
        b: the right-hand side, a pytree of arrays.
        max_steps: the largest number of steps, each with one product.
        rtol: the residual to reach, relative to the norm of b.

    Reference: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952.
    """
    b = lax.stop_gradient(b)
    dot = lambda xs, ys: inner_product(jax.tree.leaves(xs), jax.tree.leaves(ys))
    plus = lambda xs, by, ys: jax.tree.map(lambda x, y: x + weak(by) * y, xs, ys)

    def step(carry: _Iteration) -> _Iteration:
        product = lax.stop_gradient(matvec(carry.way))
        curvature = dot(carry.way, product)
        is_positive = curvature > 0
        by = jnp.where(is_positive, safe_divide(carry.square, curvature), 0)
        x, rest = plus(carry.x, by, carry.way), plus(carry.rest, -by, product)
        square = dot(rest, rest)
        way = plus(rest, safe_divide(square, carry.square), carry.way)
        new = _Iteration(x, rest, way, square, carry.steps + is_positive.astype(jnp.int32), is_positive)
        return jax.tree.map(like, new, carry)

    square = dot(b, b)
    limit = jnp.asarray(rtol, square.dtype) ** 2 * square
    zeros = jax.tree.map(jnp.zeros_like, b)
    none = varied(jnp.zeros((), jnp.int32), all_axes(b))
    start = _Iteration(zeros, b, b, square, none, none == 0)
    end = lax.while_loop(lambda c: c.is_positive & (c.square > limit) & (c.steps < max_steps), step, start)
    is_refused = (end.steps == 0) & ~end.is_positive
    x = jax.tree.map(lambda x, y: lax.select(is_refused, y, x), end.x, b)
    return ConjugateGradients(x, jnp.sqrt(end.square), end.steps, end.is_positive)


class _Iteration(NamedTuple):
    """What the loop of `cg` carries: the solution so far, the residual, the direction, and the residual's square."""

    x: Any
    rest: Any
    way: Any
    square: Any
    steps: Any
    is_positive: Any


def _over_largest(a: Array) -> Array:
    largest = jnp.max(jnp.abs(a))
    return a / jnp.where(largest == 0, 1, largest).astype(a.dtype)


def by_size(function: Callable[..., Any], *columns: list[Array]) -> list[Any]:
    """A function of batches of square matrices, on each row of the columns: one call for all matrices of one size.

    On a CPU they are then worked on one after the other. There jaxlib 0.10.2 has been seen to wait for ever where some
    32 batched factorizations could run at once, and under `vmap` each of them is batched.
    """
    rows = list(zip(*columns, strict=True))
    found: list[Any] = [None] * len(rows)
    for size in sorted({row[0].shape[-1] for row in rows}):
        chosen = [index for index, row in enumerate(rows) if row[0].shape[-1] == size]
        flat = [[x.reshape(-1, size, size) for x in rows[index]] for index in chosen]
        out = function(*(jnp.concatenate(column) for column in zip(*flat, strict=True)))
        start = 0
        for index, own in zip(chosen, flat, strict=True):
            batch, end = rows[index][0].shape[:-2], start + own[0].shape[0]
            found[index] = jax.tree.map(lambda x, a=start, b=end, n=batch: x[a:b].reshape(*n, *x.shape[1:]), out)
            start = end
    return found


def over_batch(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of matrices, on each of a batch: one after the other on a CPU, in batched products elsewhere.

    Gain, two CPU cores, jaxlib 0.10.2: `polar` with 5 steps of (24, 256, 512) takes 0.89 of the time of batched
    products, and 0.1 of the array in place of 1.5 for temporaries.
    """

    def run(*arrays: Any) -> Any:
        batch = jax.tree.leaves(arrays)[0].shape[:-2]
        if not batch:
            return function(*arrays)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(batch) :]), arrays)
        in_turn = lambda flat: lax.map(lambda row: function(*row), flat)
        at_once = lambda flat: jax.vmap(function)(*flat)
        out = _cpu.by_platform(flat, in_turn, at_once)
        return jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), out)

    return run
