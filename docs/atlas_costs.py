"""Bytes of a step, as `python -m benchmarks.atlas_bytes` has stored them: a table each, and columns of one table."""

import json
from pathlib import Path

from benchmarks.atlas_bytes import LEFT_OUT, PER_EXAMPLE

FILE = Path(__file__).parent.parent / "benchmarks" / "atlas_bytes.json"
STORED = json.loads(FILE.read_text())
TITLES = {"cpu": "CPU", "h100": "H100", "tpu-v5e": "TPU v5e"}
SIZE = STORED["shape"][0] * STORED["shape"][1]
GROUPS = [("bytes per parameter", ("state", *TITLES.values()))]

_VERSIONS = sorted({target["jax"] for target in STORED["targets"].values()})
_DATES = sorted({target["date"] for target in STORED["targets"].values()})
ABOUT = (
    f"Bytes per parameter of a donated, compiled step of one {STORED['dtype']} matrix of {STORED['shape'][0]} by "
    f"{STORED['shape'][1]}, by the text of the compiled program: JAX {' and '.join(_VERSIONS)}, "
    f"{' and '.join(_DATES)}, `python -m benchmarks.atlas_bytes --target TARGET --json benchmarks/atlas_bytes.json` "
    "with each target: `cpu`, `h100` and `tpu-v5e`. "
    "Programs for the H100 and the TPU are compiled for the chip, and not run. Loops count with all their turns. "
    "`moved by a step` takes the costliest branch and one turn of each data-dependent loop; `moved at rest` takes the "
    "cheapest branch and no such turn. The loss, where a transform asks for it, is half the sum of "
    "squares, and its bytes count. The least is each array once: parameters, gradients and state are read, and what "
    "changes is written. A decomposition is one kernel of the H100 and the CPU, whatever it moves inside. A CPU has a "
    "kernel for each output by default, and so moves "
    "more: see [Performance](../performance.md).\n"
)
COLUMNS = (
    "State, and what a step moves on three chips, are in bytes per parameter, and **bold** where it is the least "
    "possible. Then, for two small tasks, the final loss at the best learning rate, that rate, and the width: the "
    "largest over the smallest rate whose loss is within 10 % of the best; 1 means only one rate of the grid. A * is a "
    "best rate at the edge of the range.\n"
)


def blanks() -> str:
    """Why cells of the table are empty, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for target, left_out in LEFT_OUT.items():
        for name, reason in left_out.items():
            reasons.setdefault((target, reason), []).append(f"`{name}`")
    return " ".join(
        f"No bytes on the {TITLES[target]} for {', '.join(names)}: {reason}."
        for (target, reason), names in reasons.items()
    )


def figure(name: str, target: str, key: str) -> float | None:
    """A stored figure, per parameter; None where it is not measured."""
    found = STORED["steps"][name].get(target)
    return found and found[key] / (1 if key == "kernels" else SIZE)


def table(name: str) -> list[str]:
    """The section of an optimizer's page."""
    targets = [target for target in TITLES if target in STORED["steps"][name]]
    columns = {"moved by a step": "moved", "moved at rest": "at_rest", "least possible": "least"}
    columns |= {"temporary": "temporary", "state": "state", "kernels": "kernels"}
    if not any(_differs(name, target) for target in targets):
        del columns["moved at rest"]
    lines = ["## What it costs\n", f"| bytes per parameter | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    for target in targets:
        row = [_shown(figure(name, target, key)) for key in columns.values()]
        lines.append(f"| {TITLES[target]} | {' | '.join(row)} |")
    lines.append("\n[How these are counted](index.md#bytes-of-a-step).")
    if name in PER_EXAMPLE:
        lines.append(f"The gradients are those of {STORED['examples']} examples.")
    left_out = [
        f"Not for the {TITLES[target]}: {LEFT_OUT[target][name]}." for target in LEFT_OUT if name in LEFT_OUT[target]
    ]
    return [*lines, *left_out, ""]


def cells(name: str) -> list[str]:
    """The cells of `GROUPS`."""
    found = [_shown(figure(name, "cpu", "state"))]
    for target in TITLES:
        moved, least = figure(name, target, "moved"), figure(name, target, "least")
        is_least = moved is not None and least is not None and moved < least + 0.05
        found.append(f"<b>{_shown(moved)}</b>" if is_least else _shown(moved))
    return found


def _differs(name: str, target: str) -> bool:
    moved, at_rest = figure(name, target, "moved"), figure(name, target, "at_rest")
    return moved is not None and at_rest is not None and moved - at_rest > 0.05


def _shown(figure: float | None) -> str:
    if figure is None:
        return ""
    if 1e-4 < figure < 0.05:
        return "&lt; 0.1"
    return f"{figure:.0f}" if abs(figure - round(figure)) < 0.05 else f"{figure:.1f}"
