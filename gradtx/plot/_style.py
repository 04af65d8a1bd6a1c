"""Style of the figures: a palette for colour-blind readers, and lines that differ without colour."""

import io
import textwrap
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from gradtx._base.errors import GradtxTypeError, short
from gradtx._core.parts import is_transform
from gradtx._inspection.sweep_result import SweepResult
from gradtx._values.value import Value

# Okabe and Ito's palette, without its yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)), (0, (10, 2, 3, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
GREY = "#8c8c8c"

WIDTH = 7.2  # inches, so that these font sizes are legible in a README
DPI = 200  # 1440 pixels when saved: two for one of a page 720 pixels wide
TEXT, SMALL = 11, 9


class Picture(Figure):
    """A figure that notebooks display without pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue(), {"width": round(100 * self.get_figwidth())}


def picture(width: float, height: float) -> Picture:
    """An empty figure, sizes in inches, whose constrained layout leaves room for a legend beside the axes."""
    return Picture(figsize=(width, height), dpi=DPI, layout="constrained")


def axes_of(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """The given axes with their figure, or new ones."""
    if ax is None:
        figure = picture(width, height)
        return figure, plain(figure.add_subplot())
    figure = ax.get_figure(root=True)
    assert figure is not None, "expected axes with a figure, got removed ones"
    return figure, plain(ax)


def plain(ax: Axes) -> Axes:
    """The axes without top and right spines, and with small tick labels."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL)
    return ax


def styles(names: Any) -> dict[str, dict[str, Any]]:
    """A colour, a dash pattern and a marker for each name; no two names have all three in common."""
    return {
        name: {
            "color": COLORS[index % len(COLORS)],
            "linestyle": DASHES[index % len(DASHES)],
            "marker": MARKERS[index % len(MARKERS)],
        }
        for index, name in enumerate(names)
    }


def legend_beside(ax: Axes, title: str = "", handles: Any = None) -> Legend:
    """A legend to the right of the axes, outside of them."""
    figure = ax.get_figure(root=True)
    looks = {"frameon": False, "fontsize": SMALL + 1, "title_fontsize": SMALL + 1, "alignment": "left"}
    looks |= {"title": title, "handles": ax.get_legend_handles_labels()[0] if handles is None else handles}
    if isinstance(figure, Picture):
        return figure.legend(loc="outside right upper", **looks)
    ax.set_anchor("W")  # axes with a fixed aspect ratio leave the rest of their width to the legend
    return ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, **looks)


def wrapped(text: str, width: int = 26) -> str:
    """The text, wrapped to lines of this width."""
    lines = textwrap.fill(text, width)
    return f" {lines}" if lines.startswith("_") else lines  # Matplotlib hides labels that start with an underscore


def by_name(what: str, given: Any, one: Any) -> dict[str, Any]:
    """A dict by name: a copy of the given dict, or one with a single object under the name `one(object)`."""
    if isinstance(given, (list, tuple)) and any(isinstance(x, (Value, SweepResult)) or is_transform(x) for x in given):
        names = [repr(one(x)) for x in given]
        raise GradtxTypeError(f"expected one {what} or a dict, got several: give a dict by name, {{{names[0]}: ...}}")
    if not isinstance(given, Mapping):
        return {one(given): given}
    if not given:
        raise GradtxTypeError(f"expected at least one {what}, got an empty dict")
    for name in given:
        if not isinstance(name, str):
            raise GradtxTypeError(f"expected a string as the name of a {what}, got {short(name)}")
    return dict(given)
