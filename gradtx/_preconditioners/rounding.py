"""Coordinates in a basis that are only rounding errors of the rotation."""

import jax.numpy as jnp
from jax import lax

from gradtx._base.typing import Array
from gradtx._core.norms import norms_along

ERRORS = 16
"""The largest rounding error of a coordinate, in eps of the Frobenius norm of its matrix, with a margin."""


def without_rounding(*views: list[Array]) -> list[list[Array]]:
    """Rotated matrices, with zeros for the coordinates that are rounding errors in all views.

    A gradient of low rank has coordinates that are 0, and rounding of the rotation leaves some eps of the norm there.
    Adam divides each coordinate by its own size, and would make a whole step of it.

    A coordinate that is more than rounding in one view stays in all: where the gradient is 0 for once, its momentum is
    not, and a momentum without its second moment would be divided by 0.

    Args:
        views: the gradients, and the values that are named; each a list with one matrix, or batch, for each parameter.
    """
    rows = [_cleaned(row) for row in zip(*views, strict=True)]
    return [[row[index] for row in rows] for index in range(len(views))]


def _cleaned(row: tuple[Array, ...]) -> list[Array]:
    is_rounding = True
    for x in map(lax.stop_gradient, row):
        size = jnp.abs(x)
        is_rounding &= size <= ERRORS * float(jnp.finfo(size.dtype).eps) * norms_along(x, (-2, -1))
    return [jnp.where(is_rounding, 0, x) for x in row]
