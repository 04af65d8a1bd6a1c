"""Responses of transforms to a stream of gradients."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError, at_stage
from gradtx._base.typing import Array, Updates
from gradtx.plot._run import drive, transforms_by_name
from gradtx.plot._style import GREY, SMALL, TEXT, WIDTH, by_name, picture, plain, styles, wrapped


@explains_calls("plot.response")
def response(transforms: Any, signal: Any) -> Figure:
    """Plots the updates of each transform for a stream of scalar gradients, which is drawn in grey behind them.

    If the two differ much in scale, the signal is multiplied by a power of ten, which is annotated. A transform that
    needs parameters gets a scalar that starts at 0 and follows the updates; one that needs the loss gets the linear
    loss with these gradients.

    Args:
        transforms: a dict of transforms by name, or a single transform.
        signal: an array with one gradient per step, or a dict of signals by name, for a grid with one row per signal.

    Returns:
        The figure, with one panel per transform and signal.

    Raises:
        GradtxTypeError: `transforms` has a value that is not a transform.
        GradtxValueError: a signal is not one-dimensional, or empty.
    """
    with at_stage("plot.response"):
        named = transforms_by_name(transforms)
        signals = {name: _signal(name, one) for name, one in by_name("signal", signal, lambda _: "signal").items()}
        run = {name: _responses(tuple(named), list(named.values()), one) for name, one in signals.items()}
        outputs = jax.tree.map(np.asarray, run)
    count = len(named) * len(signals)
    columns = len(named) if len(signals) > 1 else 1 if count <= 3 else 2
    rows = math.ceil(count / columns)
    figure = picture(max(WIDTH, 2.0 * columns), 0.5 + 1.2 * rows)
    panels = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for ax in panels[count:]:
        ax.remove()
    looks = styles(named)
    pairs = [(signal_name, name) for signal_name in signals for name in named]
    for index, (ax, (signal_name, name)) in enumerate(zip(panels, pairs, strict=False)):
        color = looks[name]["color"]
        _draw(plain(ax), np.asarray(signals[signal_name]), outputs[signal_name][name], color)
        ax.tick_params(labelbottom=index + columns >= count)
        if index < len(named):
            # Panels of a grid are narrow: the padding puts the name above the annotation of the signal.
            ax.set_title(wrapped(name), fontsize=TEXT, color=color, loc="left", pad=18 if len(signals) > 1 else None)
        if len(signals) > 1 and index % columns == 0:
            ax.set_ylabel(wrapped(signal_name, 14), fontsize=SMALL)
    figure.supxlabel("step", fontsize=TEXT)
    return figure


def _signal(name: str, given: Any) -> Array:
    if np.ndim(given) != 1 or np.size(given) == 0:
        raise GradtxValueError(
            f"{name}: expected a one-dimensional signal with at least one gradient, got shape {np.shape(given)}"
        )
    return jnp.asarray(given, jnp.float32)


@partial(jax.jit, static_argnames="names")
def _responses(names: tuple[str, ...], transforms: list, signal: Array) -> dict[str, Updates]:
    runs = drive(names, transforms, lambda p, g: g * p, jnp.zeros((), jnp.float32), signal)
    return {name: updates for name, (updates, _) in zip(names, runs, strict=True)}


def _draw(ax: Axes, signal: np.ndarray, output: np.ndarray, color: str) -> None:
    """Draws the output over the signal, with the power of ten that scales the signal."""
    exponent = _exponent(signal, output)
    ax.axhline(0, color=GREY, lw=0.5, zorder=1)
    ax.plot(signal * 10.0**exponent, color="#c4c4c4", lw=1.4, zorder=2)
    ax.plot(output, color=color, lw=1.6, zorder=3)
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_formatter("{x:.3g}")
    ax.set_xlim(0, max(len(signal) - 1, 1))
    if exponent:
        note = rf"signal $\times\,10^{{{exponent}}}$"
        place = {"xycoords": "axes fraction", "xytext": (0, 2), "textcoords": "offset points"}
        ax.annotate(note, (1, 1), ha="right", va="bottom", fontsize=SMALL, color=GREY, **place)


def _exponent(signal: np.ndarray, output: np.ndarray) -> int:
    """The exponent nearest to 0 of a power of ten that scales the signal to within a factor of ten of the output."""
    peaks = [np.max(np.abs(x), initial=0.0, where=np.isfinite(x)) for x in (signal, output)]
    return math.trunc(math.log10(peaks[1] / peaks[0])) if min(peaks) > 0 else 0
