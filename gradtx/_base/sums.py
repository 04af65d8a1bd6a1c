"""Sums of squares of arrays, traced once for all arrays of one shape."""

from collections.abc import Callable
from itertools import chain, islice
from typing import TypeAlias

import jax.numpy as jnp

from gradtx._base.numerics import abs_square
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array

Pair: TypeAlias = tuple[Array, Array | None]
"""An array, and the array to subtract from it, or None. Both are widened where they are read: widened before, they
would be materialized."""

Group: TypeAlias = list[Pair]
"""The arrays of one norm."""


def totals(groups: list[Group], prepare: Callable[[Array], Array]) -> list[Array]:
    """The sum of the squares of each group."""
    sums = iter(sums_of_squares(list(chain.from_iterable(groups)), prepare))
    return [total(list(islice(sums, len(group)))) for group in groups]


def total(squares: list[Array]) -> Array:
    """The sum of nonnegative scalars.

    XLA rewrites a sum over a stack as one addition per row, and thousands of them take ten seconds to compile. The
    `abs`, which changes nothing, prevents that at no cost.
    """
    return squares[0] if len(squares) == 1 else jnp.abs(jnp.stack(squares)).sum()


def sums_of_squares(pairs: list[Pair], prepare: Callable[[Array], Array]) -> list[Array]:
    """The sum of the squares of each array, after `prepare`, which may widen or scale it."""

    def sum_of_squares(x: Array, y: Array | None) -> Array:
        return jnp.sum(abs_square(prepare(x) if y is None else prepare(x) - prepare(y)))

    return for_each(sum_of_squares, pairs)
