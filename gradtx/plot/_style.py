"""How pictures look: colours that colour-blind readers can tell apart, and lines that differ without any colour."""

import io
import textwrap
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from gradtx._base.errors import GradtxTypeError, short

# Okabe and Ito's palette, without the yellow, which nobody sees on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)), (0, (10, 2, 3, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
GREY = "#8c8c8c"

WIDTH = 7.2  # inches: 720 pixels as saved, so that fonts of these sizes are legible in a README
TEXT, SMALL = 11, 9


class Picture(Figure):
    """A figure that notebooks show by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()


def picture(width: float, height: float) -> Picture:
    """An empty figure of so many inches, that makes room for what is put beside its axes."""
    return Picture(figsize=(width, height), layout="constrained")


def axes_of(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """The axes given, with their figure, or new ones."""
    if ax is None:
        figure = picture(width, height)
        return figure, plain(figure.add_subplot())
    figure = ax.get_figure(root=True)
    assert figure is not None, "axes that were removed from their figure"
    return figure, plain(ax)


def plain(ax: Axes) -> Axes:
    """The axes with nothing on them that says nothing."""
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
    """A legend to the right of the axes, where it hides nothing."""
    figure = ax.get_figure(root=True)
    looks = {"frameon": False, "fontsize": SMALL + 1, "title_fontsize": SMALL + 1, "alignment": "left"}
    looks |= {"title": title, "handles": ax.get_legend_handles_labels()[0] if handles is None else handles}
    if isinstance(figure, Picture):
        return figure.legend(loc="outside right upper", **looks)
    ax.set_anchor("W")  # axes of fixed proportions leave the room that they do not fill to the legend
    return ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, **looks)


def wrapped(text: str, width: int = 26) -> str:
    """The text in lines of this width."""
    lines = textwrap.fill(text, width)
    return f" {lines}" if lines.startswith("_") else lines  # Matplotlib hides labels that begin with an underscore


def by_name(what: str, given: Any, one: Any) -> dict[str, Any]:
    """What a picture is of, by name: a dict as it is, and of a single thing `one(thing)`, its name."""
    if not isinstance(given, Mapping):
        return {one(given): given}
    if not given:
        raise GradtxTypeError(f"there is nothing to draw: at least one {what} is wanted, by name, got {{}}")
    for name in given:
        if not isinstance(name, str):
            raise GradtxTypeError(f"a dict of {what} by name is wanted, and a name is {short(name)}; make it a text")
    return dict(given)
