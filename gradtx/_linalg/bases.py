"""Eigenbases of Hermitian matrices.

Rows of zeros belong to what has had no gradient yet. They get unit vectors: as eigenvectors of 0 they could be mixed
with others of 0, and what is computed in the basis would leak into these rows.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from gradtx._base.calls import explains_calls
from gradtx._base.typing import Array
from gradtx._linalg.batches import over_batch, over_largest


@explains_calls("linalg.eigenbasis")
def eigenbasis(a: Array) -> Array:
    """The eigenvectors of Hermitian matrices, in columns, that of the largest eigenvalue first; without derivatives.

    Those of rows of zeros are the last.
    """

    def one(a: Array) -> Array:
        a, is_empty = over_largest(a), empty_rows(a)
        # An eigenvalue of their own, below all others.
        q = jnp.linalg.eigh(a - jnp.diag(is_empty.astype(a.dtype)))[1][:, ::-1]
        return _separated(q, is_empty, len(a) - jnp.sum(is_empty))

    return over_batch(one)(lax.stop_gradient(a))


@explains_calls("linalg.next_basis")
def next_basis(a: Array, q: Array) -> Array:
    """One step of orthogonal iteration from the bases `q` towards the eigenvectors of `a`; without derivatives.

    The columns are sorted by their Rayleigh quotients first, the largest first, after those of rows of zeros: what the
    QR decomposition adds for columns of zeros is then orthogonal to these.
    """

    def one(a: Array, q: Array) -> Array:
        is_empty = empty_rows(a)
        product = jnp.matmul(over_largest(a), q, precision="float32")
        quotients = jnp.sum((q.conj() * product).real, 0)
        order = jnp.roll(jnp.argsort(-quotients), jnp.sum(is_empty))
        start = _separated(jnp.take(product, order, 1), is_empty, 0)
        return _separated(jnp.linalg.qr(start)[0], is_empty, 0)

    return over_batch(one)(lax.stop_gradient(a), lax.stop_gradient(q))


def empty_rows(a: Array) -> Array:
    """Which rows of matrices are zeros."""
    return ~jnp.any(a != 0, -1)


def _separated(q: Array, is_empty: Array, start: Any) -> Array:
    """The matrix with unit vectors for empty rows, in the columns from `start` on."""
    columns = jnp.arange(len(q))[None, :]
    places = start + jnp.cumsum(is_empty)[:, None]
    is_unit = (start <= columns) & (columns < places[-1:])
    units = is_empty[:, None] & (columns == places - 1)
    return jnp.where(is_empty[:, None] | is_unit, units.astype(q.dtype), q)
