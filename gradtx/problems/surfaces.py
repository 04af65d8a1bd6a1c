"""Loss surfaces: losses of two parameters that can be drawn, each with a different difficulty.

    surface = surfaces.ravine
    surface(x, y)  # the height, also of arrays
    surface(p)  # the same for one array: jax.grad(surface)(p)

Each has its formula, and a domain, a start and minima for figures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Array

__all__ = [
    "Point",
    "Surface",
    "basins_and_walls",
    "beale",
    "giant_plateau",
    "hills_and_canyon",
    "himmelblau",
    "ravine",
    "ripple",
    "rosenbrock",
    "simple_quadratic",
    "two_minima",
    "wobbly",
]


def __dir__() -> list[str]:
    return __all__


Point = tuple[float, float]
"""The two coordinates of a point."""


@dataclass(frozen=True, eq=False)  # compared by identity, and so hashable: a static argument of jit
class Surface:
    """A function of two coordinates, with the domain, start and minima that figures need.

    Attributes:
        name: its name in figures and error messages.
        formula: the height, as text.
        function: `(x, y) -> height` in `jax.numpy`, for arrays of equal shapes.
        domain: the part that is drawn, `((x_min, x_max), (y_min, y_max))`.
        minimum: the lowest point, or None if it does not exist or is unknown.
        start: the default starting point.
        steps: the default number of steps.
        others: further points with the same height as `minimum`.
    """

    name: str
    formula: str
    function: Callable[[Array, Array], Array] = field(repr=False)
    domain: tuple[Point, Point]
    minimum: Point | None
    start: Point = (-2.8, -2.5)
    steps: int = 125
    others: tuple[Point, ...] = ()

    def __call__(self, x: Any, y: Any = None) -> Array:
        """The height at `(x, y)`, or at the points in `x`, with the coordinates along its last axis."""
        x = jnp.asarray(x)
        return self.function(x[..., 0], x[..., 1]) if y is None else self.function(x, jnp.asarray(y))

    @property
    def minima(self) -> tuple[Point, ...]:
        """All global minima.

        Raises:
            GradtxValueError: the surface has no minimum.
        """
        if self.minimum is None:
            raise GradtxValueError(
                f"expected a surface with a minimum, got {self.name!r} without one; if there is one, set it: "
                f"dataclasses.replace(surface, minimum=(x, y))"
            )
        return (self.minimum, *self.others)

    def distance(self, p: Any) -> Array:
        r"""The distance of points from the nearest minimum.

        .. math:: d(p) = \min_k \lVert p - m_k \rVert

        Args:
            p: an array with the coordinates along its last axis.

        Raises:
            GradtxValueError: the surface has no minimum.
        """
        p = jnp.asarray(p)
        minima = jnp.asarray(self.minima, p.dtype)
        return jnp.linalg.norm(jnp.stack([p - jnp.broadcast_to(m, p.shape) for m in minima]), axis=-1).min(axis=0)


_SQUARE = ((-3.2, 3.2), (-3.2, 3.2))


def _hill(x: Array, y: Array, at: Point, wide: Point) -> Array:
    r"""A hill of height 1: :math:`e^{-(w_x (x - x_0)^2 + w_y (y - y_0)^2)}`."""
    return jnp.exp(-(wide[0] * (x - at[0]) ** 2 + wide[1] * (y - at[1]) ** 2))


ravine = Surface("ravine", "x²/20 + 2 y²", lambda x, y: x**2 / 20 + 2 * y**2, _SQUARE, (0.0, 0.0))
"""A valley with 40 times the curvature across as along it."""

simple_quadratic = Surface("simple quadratic", "(x² + y²)/3", lambda x, y: (x**2 + y**2) / 3, _SQUARE, (0.0, 0.0))
"""A round bowl without difficulties."""

wobbly = Surface(
    "wobbly",
    "(x² + y²)/3 + |x| sqrt(|x| + 0.1) + 3 sin(x + y) + 3 + 8 exp(-2((x + 1)² + (y + 2)²))",
    lambda x, y: (
        (x**2 + y**2) / 3
        + jnp.abs(x) * jnp.sqrt(jnp.abs(x) + 0.1)
        + 3 * jnp.sin(x + y)
        + 3
        + 8 * _hill(x, y, (-1, -2), (2, 2))
    ),
    _SQUARE,
    (-0.172421, -0.906302),
)
"""A bowl with a kink, a wave and a steep hill: the path leads around the hill and past a false valley."""

basins_and_walls = Surface(
    "basins and walls",
    "(x² + y²)/2 + sin(4x)²",
    lambda x, y: (x**2 + y**2) / 2 + jnp.sin(4 * x) ** 2,
    _SQUARE,
    (0.0, 0.0),
)
"""A bowl crossed by walls, with a local minimum between each two of them."""

ripple = Surface(
    "ripple",
    "(x² + y²)/3 + (sin(20x)² + sin(20y)²)/15",
    lambda x, y: (x**2 + y**2) / 3 + (jnp.sin(20 * x) ** 2 + jnp.sin(20 * y) ** 2) / 15,
    _SQUARE,
    (0.0, 0.0),
)
"""A bowl with fine ripples, which add noise to the gradient."""

giant_plateau = Surface(
    "giant plateau",
    "4(1 - exp(-(x² + y²)))",
    lambda x, y: -4 * jnp.expm1(-(x**2 + y**2)),
    _SQUARE,
    (0.0, 0.0),
)
"""A hole in a plateau: far away the gradient is a millionth of the gradient near the hole."""

hills_and_canyon = Surface(
    "hills and canyon",
    "(x² + y²)/3 + 3 exp(-((x + 1)² + (y + 2)²)) + exp(-1.5(2(x + 2)² + (y - 0.5)²))"
    " + 3 exp(-1.5((x - 1)² + 2(y + 1.5)²)) + 1.5 exp(-((x + 1.5)² + 3(y + 0.5)²)) + 4(1 - exp(-(x + y)²))",
    lambda x, y: (
        (x**2 + y**2) / 3
        + 3 * _hill(x, y, (-1, -2), (1, 1))
        + _hill(x, y, (-2, 0.5), (3, 1.5))
        + 3 * _hill(x, y, (1, -1.5), (1.5, 3))
        + 1.5 * _hill(x, y, (-1.5, -0.5), (1, 3))
        - 4 * jnp.expm1(-((x + y) ** 2))
    ),
    _SQUARE,
    (-0.040419, 0.071974),
)
"""Four hills in front of a narrow canyon that leads to the minimum."""

two_minima = Surface(
    "two minima",
    "4 - 0.5 exp(-((x + 2.5)² + (y + 2.5)²)) - 3 exp(-(x² + y²))",
    lambda x, y: 4 - 0.5 * _hill(x, y, (-2.5, -2.5), (1, 1)) - 3 * _hill(x, y, (0, 0), (1, 1)),
    _SQUARE,
    (-0.000002, -0.000002),
)
"""A shallow hole near the start, and a deep one far away."""

rosenbrock = Surface(
    "Rosenbrock",
    "(1 - x)² + 100(y - x²)²",
    lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    ((-2.0, 2.0), (-1.0, 3.0)),
    (1.0, 1.0),
    start=(-1.2, 1.0),
    steps=500,
)
"""A flat, bent valley with steep walls, easy to find and hard to follow."""

beale = Surface(
    "Beale",
    "(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
    lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
    ((-1.0, 4.0), (-2.0, 2.0)),
    (3.0, 0.5),
    start=(1.0, 1.5),
    steps=250,
)
"""A plain with steep corners and a saddle point on the path."""

himmelblau = Surface(
    "Himmelblau",
    "(x² + y - 11)² + (x + y² - 7)²",
    lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    ((-5.0, 5.0), (-5.0, 5.0)),
    (3.0, 2.0),
    start=(0.0, -1.0),
    others=((-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)),
)
"""Four minima of equal height."""

ALL: MappingProxyType[str, Surface] = MappingProxyType(
    {
        surface.name: surface
        for surface in (
            ravine,
            simple_quadratic,
            wobbly,
            basins_and_walls,
            ripple,
            giant_plateau,
            hills_and_canyon,
            two_minima,
            rosenbrock,
            beale,
            himmelblau,
        )
    }
)
"""All surfaces by name, for loops."""
