"""Norms from sums in float64, which has the range for the square of any float32: nothing has to be scaled.

Elsewhere float64 is slow, or no wider. Gain: clipping before SGD takes 0.64 of the time of two scaled sums in float32
(the transformer of the benchmarks, jaxlib 0.10.2, two cores, `python -m benchmarks.cpu`). Test: test_cpu.py.
"""

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.numerics import abs_square, any_traced, is_spread, precision, strong, widen, widened
from gradtx._base.sums import Group, Pair, sums_of_squares, total, totals
from gradtx._base.typing import Array

_FIRST = 32
"""As many arrays of a norm, the largest, are nearly all of it in most models."""

_SMALL, _MANY = 4096, 64
"""Arrays of no more elements than this, if there are as many of them, are summed as one."""


def norms(groups: list[Group]) -> list[Array]:
    """The norm of each group of arrays of at most 32 bits.

    Sums in float64 take twice the time of those in float32, and one norm of all arrays has no other work to hide
    behind: there, those of the largest arrays wait until they are needed.
    """
    # Half precision is widened for the work that follows too: to float32 here as well, XLA would keep it for both.
    if len(groups) == 1 and any_traced(groups) and all(precision(x.dtype) == 32 for x in jax.tree.leaves(groups)):
        return [_by_need(groups[0])]
    with jax.enable_x64(True):
        return [strong(lax.sqrt(x), jnp.float32) for x in totals(list(map(_joined, groups)), _in_float64)]


def norms_along(x: Array, axes: tuple[int, ...]) -> Array:
    """The norms along some axes of an array of 32 bits, which stay with the length 1."""
    with jax.enable_x64(True):
        return strong(lax.sqrt(jnp.sum(abs_square(_in_float64(x)), axes, keepdims=True)), jnp.float32)


def sums(arrays: list[Array], axes: tuple[int, ...]) -> list[Array]:
    """The sums of arrays along some axes, each by itself.

    One reduction with several results is not vectorized: a norm of 2 million float64 takes 0.9 ms and not 2.0
    (jaxlib 0.10.2).
    """
    return [jnp.sum(x, axes) for x in arrays]


def _by_need(pairs: Group) -> Array:
    """From sums in float64, of the largest arrays only if their squares may have left the range of float32."""
    pairs = sorted(pairs, key=lambda pair: pair[0].size, reverse=True)
    large, small = pairs[:_FIRST], _joined(pairs[_FIRST:])
    narrow = total(sums_of_squares(large, widened))
    with jax.enable_x64(True):
        rest = total(sums_of_squares(small, _in_float64)) if small else jnp.zeros((), jnp.float64)
        both = rest + _in_float64(narrow)
        least = 2.0**-102 * sum(x.size for x, _ in large)  # what goes under is less than 2**-24 of it
        is_right = (narrow < jnp.inf) & (both > least) | jnp.isnan(both)
        both = lax.cond(
            is_right,
            lambda large: both,
            lambda large: rest + total(sums_of_squares(large, _in_float64)),
            large,
        )
        return strong(lax.sqrt(both), jnp.float32)


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
