"""Norms and inner products of lists of arrays, safe from overflow."""

from collections.abc import Callable
from itertools import chain, islice
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._numerics import abs_square, align, safe_divide, strong, weak, widen, widened
from gradtx._sharing import for_each
from gradtx._typing import Array


def norm(arrays: list[Array]) -> Array:
    """The Euclidean norm of all arrays together, 0 of none, in at least float32; for all numbers from 1e-30 on."""
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


_FIRST = 32
"""As many arrays of a norm, the largest, are nearly all of it in most models."""


@jax.custom_jvp
def _norms(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    """The norm of each group, less the others if there are any.

    On a CPU sums are of float64, which has the range for the square of any float32. They take twice the time of
    float32, and one norm of all arrays has no other work to hide behind: there, those of the largest arrays wait until
    they are needed. With all arrays it would compile for longer than it runs faster. Elsewhere float64 is slow or no
    wider, and a choice would wait for the host.
    """
    if any(group[0].real.dtype != jnp.float32 for group in groups):
        return _scaled(groups, others)
    return lax.platform_dependent(groups, others, cpu=_wide_by_need if len(groups) == 1 else _wide, default=_scaled)


def _wide(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    """From sums in float64."""
    with jax.enable_x64(True):
        return [strong(lax.sqrt(total), jnp.float32) for total in _totals(groups, others, _in_float64)]


def _wide_by_need(groups: tuple[Group], others: tuple[Group] | tuple[()]) -> list[Array]:
    """From sums in float64, of the largest arrays only if their squares may have left the range of float32."""
    [pairs] = _pairs(groups, others)
    pairs = sorted(pairs, key=lambda pair: pair[0].size, reverse=True)
    large, small = pairs[:_FIRST], pairs[_FIRST:]
    narrow = jnp.stack(_sums_of_squares(large)).sum()
    with jax.enable_x64(True):
        rest = jnp.stack([jnp.zeros((), jnp.float64), *_sums_of_squares(small, _in_float64)]).sum()
        total = rest + _in_float64(narrow)
        least = 2.0**-102 * sum(x.size for x, _ in large)  # what goes under is less than 2**-24 of it
        is_right = (narrow < jnp.inf) & (total > least) | jnp.isnan(total)
        total = lax.cond(
            is_right,
            lambda large: total,
            lambda large: rest + jnp.stack(_sums_of_squares(large, _in_float64)).sum(),
            large,
        )
        return [strong(lax.sqrt(total), jnp.float32)]


def _in_float64(x: Array) -> Array:
    return strong(x, widen(x.dtype, 64))


def _scaled(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[Array]:
    """From sums of numbers times a power of two, which is exact, both a large and a small one.

    With the large one squares do not go under, but those of more than 1e7 overflow, and with the small one the reverse.
    """
    fine, coarse = [], []
    for found, which in ((fine, 0), (coarse, 1)):
        totals = _totals(groups, others, lambda x, which=which: x * _scales(x.real.dtype)[which])
        found += [lax.sqrt(total) / _scales(total.dtype)[which] for total in totals]
    return [lax.select(x == jnp.inf, y, x) for x, y in zip(fine, coarse, strict=True)]


def _scales(dtype: Any) -> tuple[float, float]:
    """2**40 and 2**-63 in float32. The squares of both are finite: XLA may multiply squares instead of numbers."""
    bits = int(jnp.finfo(dtype).maxexp)
    return 2.0 ** (bits * 5 // 16), 2.0 ** (1 - bits // 2)


def _totals(groups: tuple[Group, ...], others: tuple[Group, ...], prepared: Callable[[Array], Array]) -> list[Array]:
    """The sum of the squares of each group."""
    pairs = _pairs(groups, others)
    sums = iter(_sums_of_squares(list(chain.from_iterable(pairs)), prepared))
    totals = [list(islice(sums, len(group))) for group in groups]
    return [total[0] if len(total) == 1 else jnp.stack(total).sum() for total in totals]


Pair: TypeAlias = tuple[Array, Array | None]
"""An array, and what is subtracted from it."""


def _pairs(groups: tuple[Group, ...], others: tuple[Group, ...]) -> list[list[Pair]]:
    subtracted = others or [[None] * len(group) for group in groups]
    return [list(zip(xs, ys, strict=True)) for xs, ys in zip(groups, subtracted, strict=True)]


def _sums_of_squares(pairs: list[Pair], prepared: Callable[[Array], Array] = lambda x: x) -> list[Array]:
    """The sum of the squares of each array, of its numbers once they are prepared."""
    return for_each(lambda x, y: jnp.sum(abs_square(prepared(x if y is None else x - y))), pairs)


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
