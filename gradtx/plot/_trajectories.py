"""Trajectories of several transforms on one surface."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from gradtx._base.calls import explains_calls
from gradtx._base.errors import at_stage
from gradtx.plot._run import transforms_by_name
from gradtx.plot._style import GREY, TEXT, WIDTH, axes_of, legend_beside, styles, wrapped
from gradtx.plot._ways import until_lost, ways
from gradtx.problems.surfaces import Point, Surface

SIZE = (WIDTH, 0.65 * WIDTH)
_PALE = LinearSegmentedColormap.from_list("pale", ["#ffffff", "#c9d3dc"])
_GRID = 241
_LEVELS = 14
_MARKERS = 25
_NEAR = 0.02  # the distance at which last points hide each other, relative to the domain
_RING = 12  # the radius of the ring in points: that of the star and half a marker


@explains_calls("plot.trajectories")
def trajectories(
    transforms: Any, surface: Surface, start: Point | None = None, steps: int | None = None, ax: Axes | None = None
) -> Figure:
    """Plots the trajectories of transforms from the same start, on the contour lines of a surface.

    A star marks each minimum. The legend shows the final distance to the nearest one. A trajectory that leaves the
    domain and does not return is cut at the boundary and ends in a cross. Where trajectories coincide, all are visible:
    the later lines are thinner, and the last points are drawn in a ring around their place. All transforms run in one
    compiled scan, with the loss as an extra argument for those that need it.

    Args:
        transforms: a dict of transforms by name, or a single transform.
        surface: one of `gradtx.problems.surfaces`, or your own `Surface`.
        start: the starting point; by default that of the surface.
        steps: the number of updates; by default that of the surface.
        ax: Matplotlib axes to draw on; None creates a new figure.

    Returns:
        The figure.

    Raises:
        GradtxTypeError: `transforms` has a value that is not a transform, or `surface` is not a `Surface`.
        GradtxValueError: the surface has no minimum, `start` is outside its domain, or `steps` is less than 1.
    """
    with at_stage("plot.trajectories"):
        named = transforms_by_name(transforms)
        found = ways(named, surface, start, steps)
        figure, axes = axes_of(ax, *SIZE)
        start = surface.start if start is None else start
        draw_surface(axes, surface, start)
        drawn = []
        for name, style in styles(named).items():
            way, lost = until_lost(surface, found[name])
            end = f"leaves in step {lost}" if lost else f"{float(surface.distance(found[name][-1])):.2g}"
            label, covered = f"{wrapped(name)}: {end}", len(named) - 1 - len(drawn)
            drawn.append(draw_way(axes, way, lost is not None, style, label, 1.8 + 0.2 * covered))
        _move_apart(axes, [end for _, end in drawn], start)
        handles = [line for line, _ in drawn]
    count = len(next(iter(found.values()))) - 1
    legend_beside(axes, f"distance to the minimum\nafter {count} steps", handles=[*handles, *signs()])
    return figure


def draw_surface(ax: Axes, surface: Surface, start: Any) -> list[Line2D]:
    """Draws contour lines, a dot at the start and stars at the minima; returns the dot and the stars."""
    (x0, x1), (y0, y1) = surface.domain
    x, y = np.meshgrid(np.linspace(x0, x1, _GRID, dtype=np.float32), np.linspace(y0, y1, _GRID, dtype=np.float32))
    z = np.asarray(surface(jnp.asarray(x), jnp.asarray(y)))
    levels = _levels(z)
    ax.contourf(x, y, z, levels, colors=_PALE(np.linspace(0, 1, len(levels) - 1)), zorder=0)
    ax.contour(x, y, z, levels, colors=GREY, linewidths=0.5, zorder=1)
    ax.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    ax.set_title(surface.name, fontsize=TEXT)
    marks = ax.plot(*start, zorder=5, **_START)
    for minimum in surface.minima:
        marks += ax.plot(*minimum, zorder=6, **_MINIMUM)
    return marks


def draw_way(
    ax: Axes, way: np.ndarray, lost: bool, style: dict[str, Any], label: str, width: float = 1.8
) -> tuple[Line2D, Line2D]:
    """Draws a trajectory; returns its line and its last point."""
    every = max(1, len(way) // _MARKERS)
    (line,) = ax.plot(*way.T, **style, label=label, lw=width, ms=4, markevery=every, mec="white", mew=0.4, zorder=3)
    (end,) = ax.plot(*way[-1], color=style["color"], ls="", mec="white", mew=0.8, clip_on=False, zorder=4)
    end.set(**end_of(style["marker"], lost))
    return line, end


def _move_apart(ax: Axes, ends: list[Line2D], start: Any) -> None:
    """Moves last points that would hide each other, or be hidden by the start, to a ring around their place."""
    size = np.asarray([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    groups: list[tuple[np.ndarray, list[Line2D]]] = [(np.asarray(start, float), [])]
    for end in ends:
        at = np.asarray(end.get_xydata(), float)[0]
        near = next((group for place, group in groups if np.all(np.abs(at - place) < _NEAR * size)), None)
        if near is None:
            groups.append((at, [end]))
        else:
            near.append(end)
    figure = ax.get_figure(root=True)
    assert figure is not None, "expected axes with a figure, got removed ones"
    for index, (_, group) in enumerate(groups):
        for angle, end in zip(np.linspace(0, 2 * np.pi, len(group), endpoint=False), group, strict=True):
            if index == 0 or len(group) > 1:
                right, up = _RING * float(np.sin(angle)), _RING * float(np.cos(angle))
                x, y = np.asarray(end.get_xydata(), float)[0]
                tie = {"arrowstyle": "-", "color": end.get_color(), "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
                place = {"textcoords": "offset points", "annotation_clip": False, "zorder": 4}
                ax.annotate("", (x, y), (right, up), arrowprops=tie, **place)
                moved = ScaledTranslation(right / 72, up / 72, figure.dpi_scale_trans)
                end.set(transform=ax.transData + moved, zorder=7)


def end_of(marker: Any, lost: bool) -> dict[str, Any]:
    """The marker of the last point of a trajectory."""
    return {"marker": "X", "markersize": 11} if lost else {"marker": marker, "markersize": 8}


def signs() -> list[Line2D]:
    """Legend handles that explain the dot and the star."""
    return [Line2D([], [], label="start", **_START), Line2D([], [], label="minimum", **_MINIMUM)]


def _levels(z: np.ndarray) -> np.ndarray:
    """Heights of contour lines: linear, or geometric if most of the surface is low."""
    z = z[np.isfinite(z)]
    low, high = float(z.min()), float(z.max())
    if np.median(z) - low > 0.2 * (high - low):
        return np.linspace(low, high, _LEVELS)
    return low + np.concatenate([[0.0], np.geomspace(1e-4, 1.0, _LEVELS)]) * (high - low)


_START: dict[str, Any] = {"marker": "o", "ls": "", "color": "white", "mec": "black", "mew": 1.5, "ms": 8}
_MINIMUM: dict[str, Any] = {"marker": "*", "ls": "", "color": "#F0E442", "mec": "black", "mew": 0.8, "ms": 15}
