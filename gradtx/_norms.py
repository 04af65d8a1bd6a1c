"""Norms and inner products of lists of arrays, safe from overflow."""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._numerics import abs_square, align, safe_divide, weak, widened
from gradtx._sharing import for_each
from gradtx._typing import Array


def norm(arrays: list[Array]) -> Array:
    """The Euclidean norm of all arrays together, 0 of none, in at least float32; for numbers from 1e-30 to 1e38."""
    return _norms((align(*arrays),), ())[0] if arrays else jnp.zeros((), jnp.float32)


def norms(arrays: list[Array]) -> list[Array]:
    """The norm of each array, as `norm`."""
    return _norms(tuple((widened(x),) for x in arrays), ()) if arrays else []


def distance(xs: list[Array], ys: list[Array]) -> Array:
    """The norm of the differences, none of which is written to memory for it."""
    arrays = align(*xs, *ys)
    return _norms((arrays[: len(xs)],), (arrays[len(xs) :],))[0] if arrays else jnp.zeros((), jnp.float32)


def inner_product(xs: list[Array], ys: list[Array]) -> Array:
    """The real part of the inner product of two lists of arrays, 0 of none, in at least float32."""
    pairs = [align(x, y) for x, y in zip(xs, ys, strict=True)]
    sums = align(*(jnp.sum((x.conj() * y).real) for x, y in pairs)) if pairs else ()
    return jnp.stack(sums).sum() if sums else jnp.zeros((), jnp.float32)


Group: TypeAlias = tuple[Array, ...]
"""Arrays of one precision, of which there is one norm."""


@jax.custom_jvp
def _norms(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    """The norm of each group, less the others if there are any.

    Squares are summed of numbers times a power of two, which is exact. With a large one they do not go under, but those
    of more than 1e7 overflow, and with a small one the reverse. On a CPU the second sum is taken only if the first
    overflows, in a second round of the same loop: as a branch of its own it would be compiled besides. Elsewhere a loop
    would wait for the host, and both are taken at once.
    """
    return lax.platform_dependent(groups, others, cpu=_norms_by_need, default=_norms_at_once)


def _norms_by_need(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    def body(carry: tuple[list[Array], Array]) -> tuple[list[Array], Array]:
        roots, round_ = carry
        # Without the barrier XLA takes the differences before the loop, and keeps them.
        (xs, ys), _ = lax.optimization_barrier(((groups, others), round_))
        now = _scaled_norms(xs, ys, lambda scales, dtype: jnp.where(round_ == 0, *scales).astype(dtype), _own_sign)
        roots = [lax.select(root == jnp.inf, new, root) for root, new in zip(roots, now, strict=True)]
        has_overflown = (jnp.stack(align(*roots)) == jnp.inf).any()
        return roots, jnp.where((round_ == 0) & has_overflown, 1, 2)

    unknown = [jnp.full((), jnp.inf, group[0].real.dtype) for group in groups]
    return lax.while_loop(lambda carry: carry[1] < 2, body, (unknown, jnp.array(0)))[0]


def _norms_at_once(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    fine, coarse = (
        _scaled_norms(groups, others, lambda scales, dtype, i=i: jnp.asarray(scales[i], dtype)) for i in (0, 1)
    )
    return [lax.select(x == jnp.inf, y, x) for x, y in zip(fine, coarse, strict=True)]


def _scales(dtype: Any) -> tuple[float, float]:
    """2**40 and 2**-63 in float32. The squares of both are finite: XLA may multiply squares instead of numbers."""
    bits = int(jnp.finfo(dtype).maxexp)
    return 2.0 ** (bits * 5 // 16), 2.0 ** (1 - bits // 2)


def _own_sign(x: Array, scale: Array) -> Array:
    """`scale` or its negative, which only `x` tells: squares do not have a sign.

    Of a number that arrays share XLA makes an array of each shape on a CPU, and keeps it.
    """
    if x.size == 0:
        return scale
    first = lax.reshape(lax.slice(x.real, (0,) * x.ndim, (1,) * x.ndim), ())
    return lax.select(first == first, scale, lax.neg(scale))


def _scaled_norms(
    groups: tuple[Group, ...],
    others: tuple[Group, ...],
    choose: Callable[..., Array],
    own: Callable[[Array, Array], Array] = lambda x, scale: scale,
) -> list[Array]:
    """The root of the sum of squares of each group times a number, divided by that number."""
    dtypes = {group[0].real.dtype for group in groups}
    scales = {dtype: choose(_scales(dtype), dtype) for dtype in dtypes}
    subtracted = others or tuple((None,) * len(group) for group in groups)
    rows = [
        (x, y, scales[x.real.dtype])
        for xs, ys in zip(groups, subtracted, strict=True)
        for x, y in zip(xs, ys, strict=True)
    ]

    def sum_of_squares(x: Array, y: Array | None, scale: Array) -> Array:
        return jnp.sum(abs_square((x if y is None else x - y) * weak(own(x, scale))))

    sums = iter(for_each(sum_of_squares, rows))
    totals = [list(islice(sums, len(group))) for group in groups]
    return [
        lax.sqrt(total[0] if len(total) == 1 else jnp.stack(total).sum()) / scales[group[0].real.dtype]
        for total, group in zip(totals, groups, strict=True)
    ]


@_norms.defjvp
def _norms_derivative(primals: tuple, tangents: tuple) -> tuple:
    """The derivative is the array over its norm, 0 where the norm is 0."""
    values = _norms(*primals)
    derivatives = []
    for value, xs, directions in zip(values, _differences(*primals), _differences(*tangents), strict=True):
        inverse = weak(safe_divide(1.0, value))
        pairs = zip(xs, directions, strict=True)
        derivatives.append(jnp.stack([jnp.sum((inverse * x.conj() * d).real) for x, d in pairs]).sum())
    return values, derivatives


def _differences(groups: tuple[Group, ...], others: tuple[Group, ...]) -> tuple[Group, ...]:
    if not others:
        return groups
    pairs = zip(groups, others, strict=True)
    return tuple(tuple(x - y for x, y in zip(xs, ys, strict=True)) for xs, ys in pairs)
