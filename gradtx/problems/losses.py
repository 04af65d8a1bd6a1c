"""Test problems: small losses with a known minimum, to try transforms on.

    problem = rosenbrock()
    params, loss, gradient = problem.start, problem.loss, jax.grad(problem.loss)

Each has its minimum of 0 where all coordinates are 1. The parameters are one array of any shape, for transforms that
need matrices.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import strong
from gradtx._base.typing import Array

__all__ = [
    "Problem",
    "quadratic",
    "ravine",
    "rosenbrock",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Problem:
    """A loss to minimize.

    Attributes:
        loss: the nonnegative function of the parameters, an array with the shape of `start`.
        start: the initial parameters.
        minimum: the parameters where the loss is 0.
        tolerance: the problem counts as solved when the loss is below this.
    """

    loss: Callable[[Array], Array]
    start: Array
    minimum: Array
    tolerance: float


@explains_calls("problems.quadratic")
def quadratic(shape: Sequence[int] = (4,), condition: float = 10.0) -> Problem:
    r"""Quadratic bowl: curvatures from 1 to `condition` along the coordinates.

    .. math:: f(p) = \tfrac12 \textstyle\sum_i h_i (p_i - 1)^2, \quad h_i = condition^{i / (n - 1)}

    with i from 0 to n - 1.

    Args:
        shape: the shape of the parameters; coordinates are counted in row-major order.
        condition: the largest curvature; the smallest is 1.
    """
    curvatures = jnp.power(condition, _from_to(0.0, 1.0, shape))
    return _problem(lambda p: 0.5 * jnp.sum(curvatures * (p - 1) ** 2), _from_to(-2.0, 3.0, shape), 1e-3)


@explains_calls("problems.rosenbrock")
def rosenbrock(shape: Sequence[int] = (2,), steepness: float = 100.0) -> Problem:
    r"""Rosenbrock function: a flat, bent valley with steep walls for each pair of neighbouring coordinates.

    .. math:: f(p) = \textstyle\sum_i (1 - p_{2i})^2 + steepness (p_{2i+1} - p_{2i}^2)^2

    Args:
        shape: the shape of the parameters, with an even number of coordinates.
        steepness: the steepness of the walls.

    Raises:
        GradtxValueError: the number of coordinates is odd.

    Reference: Rosenbrock, "An Automatic Method for Finding the Greatest or Least Value of a Function", 1960.
    """

    def loss(p: Array) -> Array:
        x, y = _pairs(p)
        return jnp.sum((1 - x) ** 2 + steepness * (y - x**2) ** 2)

    return _problem(loss, jnp.stack([jnp.full(_half(shape), -1.2), jnp.ones(_half(shape))], -1).reshape(shape), 0.1)


@explains_calls("problems.ravine")
def ravine(shape: Sequence[int] = (2,), condition: float = 100.0) -> Problem:
    r"""Ravine: a straight, narrow valley at 45 degrees, which no scaling of the coordinates widens.

    .. math:: f(p) = \textstyle\sum_i \tfrac14 \left((x_i + y_i)^2 + condition (x_i - y_i)^2\right),
        \quad x_i = p_{2i} - 1, \quad y_i = p_{2i+1} - 1

    Args:
        shape: the shape of the parameters, with an even number of coordinates.
        condition: the curvature across the valley; along the valley it is 1.

    Raises:
        GradtxValueError: the number of coordinates is odd.
    """

    def loss(p: Array) -> Array:
        x, y = _pairs(p - 1)
        return 0.25 * jnp.sum((x + y) ** 2 + condition * (x - y) ** 2)

    return _problem(
        loss, jnp.stack([jnp.full(_half(shape), 3.0), jnp.full(_half(shape), 2.0)], -1).reshape(shape), 1e-3
    )


def _problem(loss: Callable[[Array], Array], start: Array, tolerance: float) -> Problem:
    start = strong(start)
    return Problem(loss, start, jnp.ones_like(start), tolerance)


def _from_to(first: float, last: float, shape: Sequence[int]) -> Array:
    return jnp.linspace(first, last, math.prod(shape)).reshape(shape)


def _pairs(p: Array) -> tuple[Array, Array]:
    """The coordinates with even index and those with odd index."""
    pairs = lax.reshape(p, (p.size // 2, 2))
    return pairs[:, 0], pairs[:, 1]


def _half(shape: Sequence[int]) -> int:
    size = math.prod(shape)
    if size % 2:
        raise GradtxValueError(f"expected an even number of coordinates, got {size} in the shape {tuple(shape)}")
    return size // 2
