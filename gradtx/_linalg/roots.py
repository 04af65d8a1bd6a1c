"""Inverse roots of Hermitian matrices, from products; from eigenvectors where those fail."""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.branch import one_of
from gradtx._base.calls import explains_calls
from gradtx._base.checks import whole_number
from gradtx._base.numerics import abs_square, times
from gradtx._base.polynomials import minimax_polynomials
from gradtx._base.typing import Array
from gradtx._base.varying import axes_of, varied
from gradtx._linalg.bases import empty_rows
from gradtx._linalg.batches import over_batch, product

ACCURATE = 0.25
"""The largest residual of a root from products; rounding leaves less up to condition 1e6, and what failed has more."""


class InverseRoot(NamedTuple):
    """The result of `inverse_root`.

    Attributes:
        root: the roots.
        residual: the norm of root^p (A + ridge norm(A) I) - I, over that of I, for each matrix. Where eigenvectors were
            used, those of eigenvalues below 0 count as of 0.
    """

    root: Any
    residual: Any


@explains_calls("linalg.inverse_root")
def inverse_root(a: Array, p: int, ridge: float = 1e-6) -> InverseRoot:
    r"""Inverse roots of Hermitian matrices without negative eigenvalues; without derivatives.

    .. math:: X = (A + ridge \lVert A \rVert I)^{-1/p}

    with the Frobenius norm. For p = 1, 2, 4, 8, ... they are computed from products only: by the polynomials of `polar`
    for pairs of a root and its inverse, repeatedly. In float32 that is more accurate than eigenvectors, which are used
    for other p, and where the residual is large: there eigenvalues below 0 count as 0. The root of 0 is 0.

    Args:
        a: the matrices, along the last two axes.
        p: a positive whole number.
        ridge: added to the eigenvalues, relative to the norm; positive.

    Reference: Higham, "Functions of Matrices", 2008, section 6.3, for coupled iterations; the polynomials are those of
    Amsel et al., "The Polar Express", 2025.
    """
    whole_number("p", p)
    a = lax.stop_gradient(a)
    largest = jnp.max(jnp.abs(a), (-2, -1), keepdims=True)
    unit = a / jnp.where(largest == 0, 1, largest).astype(a.dtype)
    size = jnp.sqrt(jnp.sum(abs_square(unit), (-2, -1), keepdims=True))
    eye = jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
    b = (unit / jnp.where(size == 0, 1, size).astype(a.dtype) + ridge * eye) / (1 + ridge)
    least = ridge / (1 + ridge)

    def by_eigenvectors() -> tuple[Array, Array]:
        return over_batch(partial(_from_eigenvectors, p=p, least=least))(b)

    if p.bit_count() == 1:
        found = over_batch(partial(_from_products, p=p, least=least))(b)
        is_right = found[1] <= ACCURATE  # not where it is NaN

        def mixed() -> tuple[Array, Array]:
            root, residual = by_eigenvectors()
            return jnp.where(is_right, found[0], root), jnp.where(is_right, found[1], residual)

        root, residual = one_of(jnp.all(is_right), lambda: found, mixed)
    else:
        root, residual = by_eigenvectors()
    scale = jnp.where(size == 0, 0, (size * (1 + ridge)) ** (-1 / p) * jnp.where(size == 0, 1, largest) ** (-1 / p))
    root = jnp.where(size == 0, 0, root * scale.astype(root.dtype))
    is_empty = empty_rows(a)  # eigenvectors leave rounding between them and the rest
    root = jnp.where(is_empty[..., :, None] == is_empty[..., None, :], root, 0)
    return InverseRoot(root, residual[..., 0, 0])


@partial(jax.jit, static_argnames=("p", "least"))
def _from_products(b: Array, p: int, least: float) -> tuple[Array, Array]:
    """The root of a matrix of norm 1 with eigenvalues from `least` on, and its residual, with the axes of a matrix."""
    eye = varied(jnp.eye(b.shape[-1], dtype=b.dtype), axes_of(b))

    def one(pair: tuple[Array, Array], row: Array) -> tuple[tuple[Array, Array], None]:
        y, z = pair
        square = product(z, y)
        by = row[0] * eye + product(row[1] * eye + row[2] * square, square)
        return (product(y, by), product(by, z)), None

    y, x = b, b
    for round in range(1, max(p.bit_length(), 2)):  # roots of roots
        rows = jnp.asarray(_rows(least ** (0.5**round), float(jnp.finfo(b.dtype).eps)), b.real.dtype)
        (y, x), _ = lax.scan(one, (y, eye), rows.astype(b.dtype))
    x = product(x, x) if p == 1 else x
    return x, _residual(x, b, p)


def _from_eigenvectors(b: Array, p: int, least: float) -> tuple[Array, Array]:
    """The same; smaller eigenvalues count as `least`."""
    values, vectors = jnp.linalg.eigh(b)
    values, adjoint = jnp.maximum(values, least), vectors.conj().T
    root = product(times(vectors, jnp.broadcast_to(values ** (-1 / p), vectors.shape)), adjoint)
    return root, _residual(root, product(times(vectors, jnp.broadcast_to(values, vectors.shape)), adjoint), p)


def _residual(x: Array, b: Array, p: int) -> Array:
    for _ in range(p.bit_length() - 1 if p.bit_count() == 1 else 0):
        x = product(x, x)
    power = x if p.bit_count() == 1 else product(jnp.linalg.matrix_power(x, p - 1), x)
    error = product(power, b) - jnp.eye(b.shape[-1], dtype=b.dtype)
    return jnp.sqrt(jnp.sum(abs_square(error), (-2, -1), keepdims=True) / b.shape[-1])


@lru_cache
def _rows(lowest: float, rounding: float) -> Any:
    """The fewest polynomials that bring all of `lowest` to 1 within rounding of 1."""
    steps = 4
    while steps < 40:
        low, high = minimax_polynomials(steps, lowest, 0.0, 0.0).band
        if high - low <= 4 * rounding:
            break
        steps += 1
    return minimax_polynomials(steps, lowest, 0.0, 0.0).coefficients
