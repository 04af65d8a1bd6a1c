"""Plots of sweeps: the loss against a hyperparameter, and its spread over the seeds."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, short
from gradtx._inspection.sweep_result import SweepResult
from gradtx.plot._style import GREY, SMALL, TEXT, WIDTH, axes_of, by_name, legend_beside, styles, wrapped


@explains_calls("plot.sweep")
def sweep(results: Any, ax: Axes | None = None) -> Figure:
    """Plots the loss against the first swept hyperparameter: one line per result, through the means over the seeds.

    The band spans the lowest to the highest loss over the seeds, as in the table of a result. A ring marks the best
    point, whose values are in the legend. Crosses above the axes, one row per result, mark values at which a run
    diverged. If more than one hyperparameter was swept, the line shows the best choice of the others for each value of
    the first. An axis is logarithmic if its values are positive and span more than a decade; the loss axis then ends
    two decades above the upper quartile. Losses of exactly 0 do not make it linear: they are drawn at its lower end, a
    decade below the lowest other loss.

    Args:
        results: a result of `gradtx.sweep`, or a dict of results by name.
        ax: Matplotlib axes to draw on; None creates a new figure.

    Returns:
        The figure.

    Raises:
        GradtxTypeError: a value is not a result of `gradtx.sweep`.
        GradtxValueError: no hyperparameter was swept.
    """
    with at_stage("plot.sweep"):
        named = by_name("result", results, lambda result: getattr(getattr(result, "tx", None), "factory_name", ""))
        lines = {name: _line(name, result) for name, result in named.items()}
    figure, axes = axes_of(ax, WIDTH, 0.5 * WIDTH)
    looks = styles(lines)
    every = np.concatenate([losses[np.isfinite(losses)] for _, losses in lines.values()])
    nonzero = every[every != 0]
    is_log = _wide(nonzero)
    floor = nonzero.min() / 10 if is_log and len(nonzero) < len(every) else None
    for name, (x, losses) in lines.items():
        _draw(axes, name, x, losses, looks[name], floor)
    _mark_diverged(axes, lines, looks)
    if _wide(np.concatenate([x for x, _ in lines.values()])):
        axes.set_xscale("log")
    if is_log:
        axes.set_yscale("log")
        _cut_above(axes, nonzero)
    if floor is not None:
        axes.set_ylim(bottom=floor)
    axes.set_xlabel(" or ".join(dict.fromkeys(next(iter(result.grid)) for result in named.values())), fontsize=TEXT)
    axes.set_ylabel("final loss", fontsize=TEXT)
    notes = ["mean over the seeds;\nband: lowest to highest"] if any(len(r.seeds) > 1 for r in named.values()) else []
    notes += ["losses of 0 are at the\nlower end of the axis"] if floor is not None else []
    legend_beside(axes, ";\n".join(notes))
    return figure


def _line(name: str, result: Any) -> tuple[np.ndarray, np.ndarray]:
    """The sorted values of the first hyperparameter, and the losses per seed with the best choice of the others."""
    if not isinstance(result, SweepResult):
        raise GradtxTypeError(f"{name}: expected a result of gradtx.sweep, got {short(result)}")
    if not result.grid:
        raise GradtxValueError(f"{name}: expected a sweep of at least one hyperparameter, got an empty grid")
    x = next(iter(result.grid.values()))
    losses = np.where(result.diverged, np.nan, np.asarray(result.losses, float)).reshape(len(x), -1, len(result.seeds))
    means = result.mean.reshape(len(x), -1)
    # Fewer diverged runs are better, regardless of the losses of the other runs.
    order = np.lexsort((means, np.isnan(losses).sum(axis=-1)), axis=-1)
    best = np.take_along_axis(losses, order[:, :1, None], axis=1)[:, 0]
    rising = np.argsort(x)
    return x[rising], best[rising]


def _draw(axes: Axes, name: str, x: np.ndarray, losses: np.ndarray, look: dict[str, Any], floor: float | None) -> None:
    """Draws a line with its band, a ring at its best point, and a label with that point.

    Args:
        axes: the axes.
        name: the name of the result.
        x: the values of the hyperparameter.
        losses: the losses per value and seed.
        look: the style of the line.
        floor: the height at which losses of 0 are drawn; None for their own.
    """
    counts = np.sum(~np.isnan(losses), axis=1)
    means = np.where(counts, np.nansum(losses, axis=1) / np.maximum(counts, 1), np.nan)
    low, high = (
        np.where(counts, f(losses, axis=1, initial=i), np.nan) for f, i in ((np.nanmin, np.inf), (np.nanmax, -np.inf))
    )
    drawn, low, high = (y if floor is None else np.maximum(y, floor) for y in (means, low, high))
    axes.fill_between(x, low, high, color=look["color"], alpha=0.18, lw=0)
    label, sound = wrapped(name), counts == losses.shape[1]
    if sound.any():
        best = np.argmin(np.where(sound, means, np.inf))
        label += f"\n{means[best]:.3g} at {x[best]:.3g}"
        axes.plot(x[best], drawn[best], marker="o", ms=10, mfc="none", mec=look["color"], mew=2, clip_on=False)
    axes.plot(x, drawn, color=look["color"], ls=look["linestyle"], marker=look["marker"], ms=3.5, lw=1.8, label=label)


def _mark_diverged(axes: Axes, lines: dict[str, Any], looks: dict[str, Any]) -> None:
    """Draws one row of crosses per result above the axes, at the values where a run diverged."""
    where = {name: x[np.isnan(losses).any(axis=1)] for name, (x, losses) in lines.items()}
    rows = [name for name, x in where.items() if len(x)]
    for row, name in enumerate(rows):
        heights = np.full(len(where[name]), 1.04 + 0.045 * row)
        across = axes.get_xaxis_transform()
        axes.plot(where[name], heights, "x", color=looks[name]["color"], ms=5, mew=1.6, transform=across, clip_on=False)
    if rows:
        height = 1.04 + 0.045 * (len(rows) - 1) / 2
        axes.text(
            -0.02, height, "diverged", color=GREY, fontsize=SMALL, ha="right", va="center", transform=axes.transAxes
        )


def _cut_above(axes: Axes, losses: np.ndarray) -> None:
    """Cuts the axis above the high losses, which would hide the differences between the low ones."""
    top = 100 * np.quantile(losses, 0.75)
    if losses.max() > top:
        axes.set_ylim(top=top)


def _wide(numbers: np.ndarray) -> bool:
    """Whether the values are positive and span more than a decade."""
    return numbers.size > 0 and numbers.min() > 0 and numbers.max() >= 10 * numbers.min()
