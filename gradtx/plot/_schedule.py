"""Plots of schedules."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradtx import schedules
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, short
from gradtx._base.typing import Array
from gradtx._values.schedule import Schedule
from gradtx.plot._style import TEXT, WIDTH, axes_of, by_name, legend_beside, styles, wrapped


@explains_calls("plot.schedule")
def schedule(scheduled: Any, steps: int, ax: Axes | None = None) -> Figure:
    """Plots schedules over the steps, one line each. One that only jumps is drawn as stairs.

    Args:
        scheduled: a schedule, a number or a function of the step count, or a dict of them by name.
        steps: the number of steps, counted from 0.
        ax: Matplotlib axes to draw on; None creates a new figure.

    Returns:
        The figure. For a logarithmic scale: `figure.axes[0].set_yscale("log")`.

    Raises:
        GradtxTypeError: a value is not a schedule, a number or a function.
        GradtxValueError: `steps` is less than 1.
    """
    with at_stage("plot.schedule"):
        if callable(steps):
            raise GradtxTypeError("the arguments are swapped; call plot.schedule(schedule, steps)")
        if steps < 1:
            raise GradtxValueError(f"expected at least one step, got steps={steps!r}")
        named = by_name("schedule", scheduled, repr)
        lines = {name: jax.vmap(_as_schedule(name, one))(jnp.arange(steps)) for name, one in named.items()}
    figure, axes = axes_of(ax, WIDTH, 0.42 * WIDTH)
    for name, style in styles(lines).items():
        (line,) = axes.plot(lines[name], color=style["color"], ls=style["linestyle"], lw=2, label=wrapped(name))
        line.set_drawstyle(_drawstyle(lines[name]))
    axes.set_xlabel("step", fontsize=TEXT)
    axes.set_ylabel("value", fontsize=TEXT)
    axes.set_xlim(0, max(steps - 1, 1))
    if len(lines) > 1:
        legend_beside(axes)
    else:
        axes.set_title(wrapped(next(iter(lines)), 70), fontsize=TEXT)
    return figure


def _drawstyle(values: Array) -> Literal["default", "steps-post"]:
    """Stairs if the values only jump, each to a value that holds; slanted lines would show what lies between."""
    jumps = jnp.diff(values) != 0
    return "default" if jnp.any(jumps[1:] & jumps[:-1]) else "steps-post"


def _as_schedule(name: str, given: Any) -> Schedule:
    if isinstance(given, Schedule):
        return given
    if callable(given):
        return Schedule(given)
    try:
        return schedules.constant(given)
    except TypeError as error:
        raise GradtxTypeError(
            f"{name}: expected a schedule, a number or a function of the step, got {short(given)}"
        ) from error
