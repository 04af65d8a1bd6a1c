"""Final loss against learning rate, as `python -m benchmarks.atlas` stores it: pictures, and columns of one table."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

FILE = Path(__file__).parent.parent / "benchmarks" / "atlas.json"
STORED = json.loads(FILE.read_text())
RATES = np.asarray(STORED["rates"])
TITLES = {"digits": "digits, a perceptron", "letters": "letters, from the eight before"}
HEADER = [column for task in TITLES for column in (task, "rate", "width")]

ABOUT = (
    f"Final loss by constant learning rate, after {STORED['steps']} steps from {STORED['seeds']} seeds: the mean, "
    f"and the band from the smallest to the largest. A perceptron with 32 hidden units on the digits of scikit-learn, "
    f"and one that guesses the next letter of Python's library from the eight before. Measured on a "
    f"{STORED['device'].upper()} with JAX {STORED['jax']}: `python -m benchmarks.atlas --json benchmarks/atlas.json`. "
    f"Such small tasks show how wide a valley is and where, not which optimizer is the best at yours.\n"
)


def losses(name: str, task: str) -> np.ndarray:
    """By rate and seed; NaN where it diverged."""
    return np.asarray([[np.nan if x is None else x for x in row] for row in STORED["losses"][name][task]])


def draw_curves(path: Path, name: str) -> None:
    """The valleys of an optimizer, and those of AdamW in grey."""
    figure, panels = plt.subplots(1, len(TITLES), figsize=(7.2, 2.8), layout="constrained")
    for ax, (task, title) in zip(panels, TITLES.items(), strict=True):
        for label, color in (("adamw", "#999999"), (name, "#0072B2")):
            found = losses(label, task)
            ax.plot(RATES, found.mean(1), color=color, marker="o", markersize=3, label=label)
            ax.fill_between(RATES, found.min(1), found.max(1), color=color, alpha=0.2, linewidth=0)
        floor = min(np.nanmin(losses(label, task).mean(1)) for label in ("adamw", name))
        ax.set(xscale="log", yscale="log", xlabel="learning rate", title=title, ylim=(0.8 * floor, 6.0))
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("final loss")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=200)
    plt.close(figure)


def cells(name: str) -> list[str]:
    """The cells of `HEADER`: the loss at the best rate, that rate, and by how much the rate may change."""
    if name not in STORED["losses"]:
        return [""] * len(HEADER)
    found = []
    for task in TITLES:
        means = losses(name, task).mean(1)
        best = int(np.nanargmin(means))
        near = RATES[means <= 1.1 * means[best]]
        edge = "*" if best in (0, len(RATES) - 1) else ""
        found += [f"{means[best]:.3g}", f"{RATES[best]:.2g}{edge}", f"{near.max() / near.min():.2g}"]
    return found
