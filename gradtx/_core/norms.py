"""Norms and inner products of lists of arrays, safe from overflow."""

from collections.abc import Callable
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.numerics import abs_square, align, is_spread, precision, safe_divide, strong, weak, widen, widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array


def norm(arrays: list[Array]) -> Array:
    """The Euclidean norm of all arrays together, 0 of none, in at least float32; for all numbers from 1e-30 on."""
    return _norms([[(x, None) for x in arrays]])[0] if arrays else jnp.zeros((), jnp.float32)


def norms(arrays: list[Array]) -> list[Array]:
    """The norm of each array, as `norm`."""
    return _norms([[(x, None)] for x in arrays]) if arrays else []


def distance(xs: list[Array], ys: list[Array]) -> Array:
    """The norm of the differences, none of which is written to memory for it."""
    return _norms([list(zip(xs, ys, strict=True))])[0] if xs else jnp.zeros((), jnp.float32)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def norms_along(x: Array, axes: tuple[int, ...]) -> Array:
    """The norms along some axes of an array of 32 bits or more, which stay with the length 1; safe as `norm`."""

    def wide(x: Array) -> Array:
        with jax.enable_x64(True):
            return strong(lax.sqrt(jnp.sum(abs_square(_in_float64(x)), axes, keepdims=True)), jnp.float32)

    def scaled(x: Array) -> Array:
        fine, coarse = (
            lax.sqrt(jnp.sum(abs_square(x * scale), axes, keepdims=True)) / scale for scale in _scales(x.real.dtype)
        )
        return lax.select(fine == jnp.inf, coarse, fine)

    return scaled(x) if precision(x.dtype) > 32 else lax.platform_dependent(x, cpu=wide, default=scaled)


def inner_product(xs: list[Array], ys: list[Array]) -> Array:
    """The real part of the inner product of two lists of arrays, 0 of none, in at least float32."""
    pairs = [align(x, y) for x, y in zip(xs, ys, strict=True)]
    sums = align(*(jnp.sum((x.conj() * y).real) for x, y in pairs)) if pairs else ()
    return jnp.stack(sums).sum() if sums else jnp.zeros((), jnp.float32)


Pair: TypeAlias = tuple[Array, Array | None]
"""An array, and what is subtracted from it. They are widened where they are read: before, they would be written."""

Group: TypeAlias = list[Pair]
"""Arrays of which there is one norm."""

_FIRST = 32
"""As many arrays of a norm, the largest, are nearly all of it in most models."""

_SMALL, _MANY = 4096, 64
"""Arrays of no more elements than this, if there are as many of them, are summed as one."""


@jax.custom_jvp
def _norms(groups: list[Group]) -> list[Array]:
    """The norm of each group.

    On a CPU sums are of float64, which has the range for the square of any float32. They take twice the time of
    float32, and one norm of all arrays has no other work to hide behind: there, those of the largest arrays wait until
    they are needed. With all arrays it would compile for longer than it runs faster. Elsewhere float64 is slow or no
    wider, and a choice would wait for the host.
    """
    if any(precision(x.dtype) > 32 for x in jax.tree.leaves(groups)):
        return _scaled(groups)
    # Half precision is widened for the work that follows too: to float32 here as well, XLA would keep it for both.
    is_plain = len(groups) == 1 and all(precision(x.dtype) == 32 for x in jax.tree.leaves(groups))
    return lax.platform_dependent(groups, cpu=_wide_by_need if is_plain else _wide, default=_scaled)


def _wide(groups: list[Group]) -> list[Array]:
    """From sums in float64."""
    with jax.enable_x64(True):
        totals = _totals(list(map(_joined, groups)), _in_float64)
        return [strong(lax.sqrt(total), jnp.float32) for total in totals]


def _wide_by_need(groups: list[Group]) -> list[Array]:
    """From sums in float64, of the largest arrays only if their squares may have left the range of float32."""
    [pairs] = groups
    pairs = sorted(pairs, key=lambda pair: pair[0].size, reverse=True)
    large, small = pairs[:_FIRST], _joined(pairs[_FIRST:])
    narrow = _sum(_sums_of_squares(large, widened))
    with jax.enable_x64(True):
        rest = _sum(_sums_of_squares(small, _in_float64)) if small else jnp.zeros((), jnp.float64)
        total = rest + _in_float64(narrow)
        least = 2.0**-102 * sum(x.size for x, _ in large)  # what goes under is less than 2**-24 of it
        is_right = (narrow < jnp.inf) & (total > least) | jnp.isnan(total)
        total = lax.cond(
            is_right,
            lambda large: total,
            lambda large: rest + _sum(_sums_of_squares(large, _in_float64)),
            large,
        )
        return [strong(lax.sqrt(total), jnp.float32)]


def _joined(group: Group) -> Group:
    """The group with its small arrays one after the other, if they are many: each alone would be some kernels."""
    small, rest = [], []
    for pair in group:
        is_small = pair[0].size <= _SMALL and not any(map(is_spread, jax.tree.leaves(pair)))
        (small if is_small else rest).append(pair)
    if len(small) < _MANY:
        return group
    alike: dict[tuple, list[Pair]] = {}
    for x, y in small:
        alike.setdefault((x.dtype, None if y is None else y.dtype), []).append((x, y))
    joined: Group = []
    for pairs in alike.values():
        xs, ys = [x for x, _ in pairs], [y for _, y in pairs if y is not None]
        joined.append((_concatenated(xs), _concatenated(ys) if ys else None))
    return joined + rest


def _concatenated(arrays: list[Array]) -> Array:
    return jnp.concatenate([jnp.ravel(x) for x in arrays])


def _in_float64(x: Array) -> Array:
    return strong(x, widen(x.dtype, 64))


def _scaled(groups: list[Group]) -> list[Array]:
    """From sums of numbers times a power of two, which is exact, both a large and a small one.

    With the large one squares do not go under, but those of more than 1e7 overflow, and with the small one the reverse.
    """
    groups, fine, coarse = list(map(_aligned, groups)), [], []
    for found, which in ((fine, 0), (coarse, 1)):
        totals = _totals(groups, widened, lambda x, which=which: x * _scales(x.real.dtype)[which])
        found += [lax.sqrt(total) / _scales(total.dtype)[which] for total in totals]
    return [lax.select(x == jnp.inf, y, x) for x, y in zip(fine, coarse, strict=True)]


def _aligned(group: Group) -> Group:
    """The arrays in the widest of their precisions."""
    arrays, treedef = jax.tree.flatten(group)
    return treedef.unflatten(align(*arrays))


def _scales(dtype: Any) -> tuple[float, float]:
    """2**40 and 2**-63 in float32. The squares of both are finite: XLA may multiply squares instead of numbers."""
    bits = int(jnp.finfo(dtype).maxexp)
    return 2.0 ** (bits * 5 // 16), 2.0 ** (1 - bits // 2)


def _same(x: Array) -> Array:
    return x


def _totals(
    groups: list[Group], widening: Callable[[Array], Array], scaling: Callable[[Array], Array] = _same
) -> list[Array]:
    """The sum of the squares of each group."""
    sums = iter(_sums_of_squares(list(chain.from_iterable(groups)), widening, scaling))
    return [_sum(list(islice(sums, len(group)))) for group in groups]


def _sum(squares: list[Array]) -> Array:
    """The sum of numbers that are not negative.

    Of a sum over a stack XLA makes one addition after the other, and of thousands of them programs that take ten
    seconds to compile; magnitudes in between keep it from that, and cost nothing.
    """
    return squares[0] if len(squares) == 1 else jnp.abs(jnp.stack(squares)).sum()


def _sums_of_squares(
    pairs: list[Pair], widening: Callable[[Array], Array], scaling: Callable[[Array], Array] = _same
) -> list[Array]:
    """The sum of the squares of each array."""

    def sum_of_squares(x: Array, y: Array | None) -> Array:
        difference = widening(x) if y is None else widening(x) - widening(y)
        return jnp.sum(abs_square(scaling(difference)))

    return for_each(sum_of_squares, pairs)


@_norms.defjvp
def _norms_derivative(primals: tuple[list[Group]], tangents: tuple[list[Group]]) -> tuple[list[Array], list[Array]]:
    """The derivative is the array over its norm, 0 where the norm is 0."""
    values, derivatives = _norms(*primals), []
    for value, *both in zip(values, *primals, *tangents, strict=True):
        xs, directions = ([x if y is None else x - y for x, y in _aligned(group)] for group in both)
        inverse = weak(safe_divide(1.0, value))
        pairs = zip(xs, directions, strict=True)
        derivatives.append(jnp.stack([jnp.sum((inverse * x.conj() * d).real) for x, d in pairs]).sum())
    return values, derivatives


@norms_along.defjvp
def _derivative_along(axes: tuple[int, ...], primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """As of `_norms`."""
    (x,), (direction,) = primals, tangents
    value = norms_along(x, axes)
    parts = jnp.broadcast_to(safe_divide(1.0, value), x.shape) * (x.conj() * direction).real
    return value, jnp.sum(parts, axes, keepdims=True)
