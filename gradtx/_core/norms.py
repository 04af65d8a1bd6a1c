"""Norms and inner products of lists of arrays, safe from overflow."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import _cpu
from gradtx._base.numerics import abs_square, align, any_traced, precision, safe_divide, strong, times, weak, widened
from gradtx._base.sharing import for_each
from gradtx._base.sums import Group, total
from gradtx._base.typing import Array


def norm(arrays: list[Array], active: Array | None = None) -> Array:
    """The Euclidean norm of all arrays together, 0 of none, in at least float32; for all numbers from 1e-30 on.

    Where it is not `active`, a 0-d boolean, it is 0, as of zeros, and so are its derivatives. Zeros in place of the
    arrays would be materialized.
    """
    return _norms([[(x, None) for x in arrays]], active)[0] if arrays else jnp.zeros((), jnp.float32)


def norms(arrays: list[Array]) -> list[Array]:
    """The norm of each array, as `norm`."""
    return _norms([[(x, None)] for x in arrays], None) if arrays else []


def distance(xs: list[Array], ys: list[Array]) -> Array:
    """The norm of the differences, none of which is materialized for it."""
    return _norms([list(zip(xs, ys, strict=True))], None)[0] if xs else jnp.zeros((), jnp.float32)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def norms_along(x: Array, axes: tuple[int, ...]) -> Array:
    """The norms along some axes of an array of 32 bits or more, which stay with the length 1; safe as `norm`."""

    def scaled(x: Array, sums: Sums = _both) -> Array:
        return jnp.expand_dims(_length(_two_sums(sums, x, None, axes)), axes)

    is_wide = precision(x.dtype) > 32
    cpu = partial(scaled, sums=_cpu.sums) if is_wide else partial(_cpu.norms_along, axes=axes)
    return _cpu.by_platform(x, cpu, scaled)


def inner_product(xs: list[Array], ys: list[Array]) -> Array:
    """The real part of the inner product of two lists of arrays, 0 of none, in at least float32."""
    pairs = [align(x, y) for x, y in zip(xs, ys, strict=True)]
    sums = align(*(jnp.sum((x.conj() * y).real) for x, y in pairs)) if pairs else ()
    return jnp.stack(sums).sum() if sums else jnp.zeros((), jnp.float32)


class Each(NamedTuple):
    """Norms and the like of each array by itself, or of each matrix in it: then with its axes, of the length 1.

    Attributes:
        of_matrices: whether the arrays are batches of matrices.
    """

    of_matrices: bool

    def norms(self, arrays: list[Array]) -> list[Array]:
        """The norm of each, safe as `norm`."""
        return [norms_along(x, (-2, -1)) for x in arrays] if self.of_matrices else norms(arrays)

    def inner_products(self, xs: list[Array], ys: list[Array]) -> list[Array]:
        """The real part of the inner product of each pair."""
        axes = (-2, -1) if self.of_matrices else None
        pairs = [align(x, y) for x, y in zip(xs, ys, strict=True)]
        return [jnp.sum((x.conj() * y).real, axes, keepdims=self.of_matrices) for x, y in pairs]

    def sizes(self, arrays: list[Array]) -> list[int]:
        """The number of elements of each, at least 1."""
        return [max(math.prod(x.shape[-2:] if self.of_matrices else x.shape), 1) for x in arrays]


def over(x: Array, length: Array) -> Array:
    """`x` divided by a norm, in the precision of `x`; zeros stay zeros."""
    return safe_divide(x, length.astype(x.real.dtype))


def scaled(by: Array, x: Array) -> Array:
    """`x` times a scalar, or one for each matrix, in the precision of `x`."""
    return weak(by) * x if jnp.ndim(by) == 0 else times(strong(by, x.real.dtype), x)


def _norms(groups: list[Group], active: Array | None) -> list[Array]:
    """The norm of each group, or 0 where it is not active."""
    # Op by op there is nothing to differentiate; a call of the other takes longer than the norm.
    return (_differentiable_norms if any_traced(groups) else _plain_norms)(groups, active)


def _plain_norms(groups: list[Group], active: Array | None) -> list[Array]:
    is_wide = any(precision(x.dtype) > 32 for x in jax.tree.leaves(groups))
    found = _cpu.by_platform(groups, partial(_scaled, sums=_cpu.sums) if is_wide else _cpu.norms, _scaled)
    return [where(active, x) for x in found]


_differentiable_norms = jax.custom_jvp(_plain_norms)


def _both(squares: list[Array], axes: tuple[int, ...]) -> Sequence[Array]:
    """The sums of two arrays along some axes, by one reduction with two results.

    Where it is fused with an update, XLA for GPUs writes that in place, and behind two reductions it copies what was
    updated (LAMB on an H100: 40 bytes per parameter and not 56; JAX 0.10.2).
    """
    zero = jnp.zeros((), squares[0].dtype)
    return lax.reduce(squares, [zero, zero], lambda a, b: [i + j for i, j in zip(a, b, strict=True)], axes)


Sums = Callable[[list[Array], tuple[int, ...]], Sequence[Array]]
"""How the sums of several arrays along some axes are taken."""


def _scaled(groups: list[Group], sums: Sums = _both) -> list[Array]:
    """From sums of numbers times a power of two, which is exact, both a large and a small one.

    With the large one squares do not go under, but those of more than 1e7 overflow, and with the small one the reverse.
    """
    groups = list(map(_aligned, groups))
    pairs = iter(for_each(partial(_two_sums, sums), list(itertools.chain.from_iterable(groups))))
    columns = [zip(*itertools.islice(pairs, len(group)), strict=True) for group in groups]
    return [_length([total(list(column)) for column in both]) for both in columns]


def _length(sums: Sequence[Array]) -> Array:
    """The root of the finer of the two sums that did not overflow."""
    fine, coarse = (lax.sqrt(x) / scale for x, scale in zip(sums, _scales(sums[0].dtype), strict=True))
    return lax.select(fine == jnp.inf, coarse, fine)


def _two_sums(sums: Sums, x: Array, y: Array | None, axes: tuple[int, ...] | None = None) -> Sequence[Array]:
    """The sums of the squares of an array, or of a difference, times each of the two scales."""
    x = widened(x) if y is None else widened(x) - widened(y)
    along = tuple(range(x.ndim)) if axes is None else tuple(axis % x.ndim for axis in axes)
    return sums([abs_square(x * scale) for scale in _scales(x.real.dtype)], along)


def where(active: Array | None, x: Array) -> Array:
    """The array where active, else zeros; None is active."""
    return x if active is None else lax.select(active, x, lax.full_like(x, 0))


def _aligned(group: Group) -> Group:
    """The arrays in the widest of their precisions."""
    arrays, treedef = jax.tree.flatten(group)
    return treedef.unflatten(align(*arrays))


def _scales(dtype: Any) -> tuple[float, float]:
    """2**40 and 2**-63 in float32. The squares of both are finite: XLA may multiply squares instead of numbers."""
    bits = int(jnp.finfo(dtype).maxexp)
    return 2.0 ** (bits * 5 // 16), 2.0 ** (1 - bits // 2)


@_differentiable_norms.defjvp
def _norms_derivative(primals: tuple, tangents: tuple) -> tuple[list[Array], list[Array]]:
    """The derivative is the array over its norm, 0 where the norm is 0."""
    (groups, active), (directions, _) = primals, tangents
    values, derivatives = _differentiable_norms(groups, active), []
    for value, *both in zip(values, groups, directions, strict=True):
        xs, ds = ([where(active, x if y is None else x - y) for x, y in _aligned(group)] for group in both)
        inverse = weak(safe_divide(1.0, value))
        parts = [jnp.sum((inverse * x.conj() * d).real) for x, d in zip(xs, ds, strict=True)]
        derivatives.append(jnp.stack(parts).sum())
    return values, derivatives


@norms_along.defjvp
def _derivative_along(axes: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """As of `_norms`."""
    (x,), (direction,) = primals, tangents
    value = norms_along(x, axes)
    parts = jnp.broadcast_to(safe_divide(1.0, value), x.shape) * (x.conj() * direction).real
    return value, jnp.sum(parts, axes, keepdims=True)
