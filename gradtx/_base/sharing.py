"""The same work on many arrays, traced once per shape and dtype."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax

from gradtx._base.numerics import any_traced


def for_each(function: Callable[..., Any], rows: Sequence[tuple]) -> list[Any]:
    """`[function(*row) for row in rows]`; inside a trace, rows of the same shapes and dtypes share one.

    A model has many arrays of few shapes: the work on those of one shape is traced and lowered once, and called. XLA
    inlines the calls before any other pass, so the compiled program is the same.

    Args:
        function: arrays to arrays, without side effects; it may close over tracers.
        rows: its arguments, pytrees of arrays.
    """
    if not any_traced(rows):
        return [function(*row) for row in rows]
    signatures = [_signature(row) for row in rows]
    frequent = {signature for signature, count in Counter(signatures).items() if count > 1}
    shared = jax.jit(function)
    return [
        (shared if signature in frequent else function)(*row) for signature, row in zip(signatures, rows, strict=True)
    ]


def _signature(row: tuple) -> tuple:
    return tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(row))
