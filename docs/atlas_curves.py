"""Final loss against learning rate, as `python -m benchmarks.atlas` stores it: pictures, and columns of one table."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogFormatter

from benchmarks.atlas import rates_of

FILE = Path(__file__).parent.parent / "benchmarks" / "atlas.json"
STORED = json.loads(FILE.read_text())
RATES = np.asarray(STORED["rates"])
TITLES = {"digits": "digits", "letters": "letters"}
GROUPS = [("digits", ("loss", "best rate", "width")), ("letters", ("loss", "best rate", "width"))]

_DATES = sorted({measured["date"] for measured in STORED["measured"].values()})
_VERSIONS = [sorted({measured[which] for measured in STORED["measured"].values()}) for which in ("jax", "python")]
ABOUT = (
    f"Final loss by constant learning rate, after {STORED['steps']} steps: the mean over {STORED['seeds']} seeds, and "
    "the band from the smallest to the largest; what lies above the axis is cut. Two tasks: `digits`, a perceptron "
    "with 32 hidden units on the digits of scikit-learn; `letters`, one that guesses the next letter of the source of "
    f"Python's library from the eight before. Measured on a {STORED['device'].upper()} with JAX "
    f"{' and '.join(_VERSIONS[0])} and Python {' and '.join(_VERSIONS[1])}, {' and '.join(_DATES)}: "
    "`python -m benchmarks.atlas --json benchmarks/atlas.json`. Such small tasks show how wide a valley is and where, "
    "not which optimizer is the best at yours.\n"
)


def about(name: str) -> str:
    """What the page says about the picture."""
    whose = "" if name == "adamw" else "AdamW is grey. "
    return whose + ("" if rates_of(name) else "It has no learning rate: its loss is a level line. ") + ABOUT


def losses(name: str, task: str) -> np.ndarray:
    """By rate and seed; NaN where it diverged."""
    return np.asarray([[np.nan if x is None else x for x in row] for row in STORED["losses"][name][task]])


def draw_curves(path: Path, name: str) -> None:
    """The valleys of an optimizer, and those of AdamW in grey; a level line for what has no rate."""
    figure, panels = plt.subplots(1, len(TITLES), figsize=(7.2, 3.1), layout="constrained")
    shown = {"adamw": "#999999", name: "#0072B2"}  # AdamW beside itself is drawn once, in blue
    for ax, (task, title) in zip(panels, TITLES.items(), strict=True):
        for label, color in shown.items():
            found = losses(label, task)
            mark, rates = ("o", RATES) if len(found) > 1 else (None, RATES[[0, -1]])
            found = found if len(found) > 1 else np.repeat(found, 2, axis=0)
            ax.plot(rates, found.mean(1), color=color, marker=mark, markersize=3, label=label)
            ax.fill_between(rates, found.min(1), found.max(1), color=color, alpha=0.2, linewidth=0)
        lowest = {label: np.nanmin(losses(label, task).mean(1)) for label in shown}
        # A valley above the axis would not be seen: then the axis reaches far above it.
        top = 1e3 * max(lowest.values()) if max(lowest.values()) > 6.0 else 6.0
        ax.set(xscale="log", yscale="log", xlabel="learning rate", title=title, ylim=(0.8 * min(lowest.values()), top))
        ax.yaxis.set_major_formatter(lambda x, _: plain(x) if 1e-4 < x < 1e5 else f"$10^{{{np.log10(x):.0f}}}$")
        ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))  # plain numbers within one decade
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("final loss")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    figure.savefig(path, dpi=200)
    plt.close(figure)


def cells(name: str) -> list[str]:
    """The cells of `GROUPS`: the loss at the best rate, that rate, and by how much the rate may change."""
    found = []
    for task in TITLES:
        means = losses(name, task).mean(1)
        best = int(np.nanargmin(means))
        if len(means) == 1:
            found += [plain(means[best]), "", ""]
            continue
        near = RATES[means <= 1.1 * means[best]]
        edge = "*" if best in (0, len(RATES) - 1) else ""
        found += [plain(means[best]), f"{plain(RATES[best])}{edge}", plain(near.max() / near.min(), 2)]
    return found


def plain(number: float, digits: int = 3) -> str:
    """The number with so many digits, and no power of ten."""
    return np.format_float_positional(float(f"{number:.{digits}g}"), trim="-")
