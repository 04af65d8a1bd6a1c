"""Eigenbases of Hermitian matrices."""

import jax.numpy as jnp
from jax import lax

from gradtx._base.calls import explains_calls
from gradtx._base.typing import Array
from gradtx._linalg.batches import over_batch, over_largest


@explains_calls("linalg.eigenbasis")
def eigenbasis(a: Array) -> Array:
    """The eigenvectors of Hermitian matrices, in columns, that of the largest eigenvalue first; without derivatives."""
    a = lax.stop_gradient(a)
    return over_batch(lambda a: jnp.linalg.eigh(over_largest(a))[1][:, ::-1])(a)


@explains_calls("linalg.next_basis")
def next_basis(a: Array, q: Array) -> Array:
    """One step of orthogonal iteration from the bases `q` towards the eigenvectors of `a`; without derivatives.

    The columns are sorted by their Rayleigh quotients first, the largest first.
    """

    def one(a: Array, q: Array) -> Array:
        product = jnp.matmul(over_largest(a), q, precision="float32")
        quotients = jnp.sum((q.conj() * product).real, 0)
        return jnp.linalg.qr(jnp.take(product, jnp.argsort(-quotients), 1))[0]

    return over_batch(one)(lax.stop_gradient(a), lax.stop_gradient(q))
