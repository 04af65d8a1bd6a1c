"""Trajectories of transforms on a surface, and where they leave its domain."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.typing import Array
from gradtx._core.protocol import GradientTransformation
from gradtx.plot._run import drive
from gradtx.problems.surfaces import Point, Surface


def ways(
    transforms: Mapping[str, GradientTransformation], surface: Surface, start: Point | None, steps: int | None
) -> dict[str, np.ndarray]:
    """The trajectory of each transform, with the start as its first point: arrays of shape `(steps + 1, 2)`.

    Raises:
        GradtxTypeError: `surface` is not a `Surface`.
        GradtxValueError: `start` is not a point in the domain, or `steps` is less than 1.
    """
    if not isinstance(surface, Surface):
        raise GradtxTypeError(
            f"expected a surface, one of problems.surfaces.ALL or your own problems.surfaces.Surface, "
            f"got {short(surface)}"
        )
    start = surface.start if start is None else start
    steps = surface.steps if steps is None else steps
    if np.shape(start) != (2,) or not within(surface, np.asarray(start, float)):
        raise GradtxValueError(f"expected start to be a point (x, y) in the domain {surface.domain}, got {start!r}")
    if steps < 1:
        raise GradtxValueError(f"expected at least one step, got steps={steps!r}")
    first = jnp.asarray(start, jnp.float32)
    points = _points(tuple(transforms), list(transforms.values()), surface, first, steps)
    return {name: np.concatenate([[first], p]) for name, p in zip(transforms, points, strict=True)}


@partial(jax.jit, static_argnames=("names", "surface", "steps"))
def _points(names: tuple[str, ...], transforms: list, surface: Surface, start: Array, steps: int) -> list[Array]:
    runs = drive(names, transforms, lambda p, _: surface(p), start, jnp.arange(steps))
    return [params for _, params in runs]


def within(surface: Surface, points: np.ndarray) -> Any:
    """Whether each point is in the domain; False for points that are not finite."""
    low, high = np.transpose(surface.domain)
    return np.all((points >= low) & (points <= high), axis=-1)


def until_lost(surface: Surface, way: np.ndarray) -> tuple[np.ndarray, int | None]:
    """The trajectory up to the boundary if it leaves the domain and does not return, and the step of leaving."""
    inside = within(surface, way)
    if inside[-1]:
        return way, None
    last = int(np.flatnonzero(inside)[-1])
    return np.concatenate([way[: last + 1], _edge(surface, way[last], way[last + 1])]), last + 1


def _edge(surface: Surface, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The point where a line segment leaves the domain, as one row; no row if the second point is not finite."""
    if not np.all(np.isfinite(outside)):
        return np.empty((0, 2))
    low, high = np.transpose(surface.domain)
    direction = outside.astype(float) - inside
    room = np.where(direction > 0, high - inside, low - inside)
    parts = np.divide(room, direction, out=np.ones(2), where=direction != 0)
    return (inside + parts.min() * direction)[None]
