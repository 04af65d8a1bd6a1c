"""The pages of the algebra: each part with one line, its formula and a picture, in the order of the table of parts."""

import inspect
import os
import re
from pathlib import Path

from api_pages import write, write_index
from page_pictures import image, save
from parts_examples import EXAMPLES, NAMES
from parts_pictures import ABOUT, draw

import gradtx as gx

HERE = Path(__file__).parent
PAGES = {
    "Elementwise": ("elementwise",),
    "With state": ("with memory", "with a small memory", "learning rates found on the way", "random"),
    "Directions": ("directions of named optimizers",),
    "Of matrices": ("directions of matrices", "sizes of matrices", "around parts of matrices"),
    "Curvature and lines": ("with the curvature", "along a line"),
    "Of arrays and trees": ("of each array", "of the whole tree", "with parameters", "parameters in a set"),
    "In series and side by side": ("in series", "side by side", "twice", "the last step"),
    "For some leaves, at some steps": ("for some leaves", "at some steps", "by a metric", "other shapes"),
    "Around an optimizer": ("where it descends", "beside training", "gradients elsewhere"),
    "State and execution": (
        *("to look at", "numbers in the state", "memory in fewer bytes", "many small arrays, uncompiled loops"),
    ),
    "Your own": ("your own",),
}
"""The rows of the table by page; the schedules have a page of their own."""


def kinds() -> dict[str, list[str]]:
    """The rows of the table of parts: the names by kind."""
    rows = [line.split("|") for line in (HERE / "parts.md").read_text().splitlines() if line.startswith("| ")]
    found = {row[1].strip(): re.findall(r"`(\w+)(?:\([^`]*)?`", row[2]) for row in rows if "`" in row[2]}
    return {kind: list(dict.fromkeys(names)) for kind, names in found.items() if kind != "schedules"}


def write_algebra(folder: Path) -> None:
    """Writes the pages that have changed."""
    (folder / "drawn").mkdir(parents=True, exist_ok=True)
    rows, names = kinds(), []
    for title, wanted in PAGES.items():
        lines = [f"# {title}\n"]
        for kind in wanted:
            lines += [f"## {kind[0].upper()}{kind[1:]}\n"] if len(wanted) > 1 else []
            for name in rows[kind]:
                lines += _part(folder, name, "##" if len(wanted) == 1 else "###")
        names.append(write(folder, title, lines))
    about = (
        "Each part of [the table](../parts.md) with one line, its formula, and an example with a picture. In most of "
        "them the gradient is a noisy wave with an outlier at step 40. The input is grey, the output coloured. Parts "
        "that take only nonnegative updates are shown for the rectified wave, which stands below the picture. `gx` is "
        "`gradtx`, `jnp` is `jax.numpy`; `params` and `grads` are any parameters and their gradients."
    )
    write_index(folder, ["# The algebra, part by part\n", f"{about}\n"], names)


def formula(name: str) -> str:
    """The first formula of the docstring, on one line; nothing if it has none."""
    found = re.search(r"^\.\. math:: (.*(?:\n +.*)*)", inspect.getdoc(getattr(gx, name)) or "", re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _part(folder: Path, name: str, level: str) -> list[str]:
    first = (inspect.getdoc(getattr(gx, name)) or "").splitlines()[0]
    lines = [f"{level} `{name}`\n", f"{first} {{func}}`Reference <gradtx.{name}>`\n"]
    lines += [f"$${formula(name)}$$\n"] if formula(name) else []
    code, kind = EXAMPLES[name]
    lines += [f"```python\n{code.strip()}\n```\n"]
    if kind and "DOCS_QUICK" not in os.environ:
        changed = (HERE / "parts_examples.py").stat().st_mtime
        kept = [path for path in (folder / "drawn").glob(f"{name}.*") if path.stat().st_mtime > changed]
        path = kept[0] if kept else save(draw(eval(code.strip(), NAMES), kind), folder / "drawn" / name)
        lines += [image(path, ABOUT[kind]), "", *([] if kind in ("wave", "diagram") else [f"{ABOUT[kind]}\n"])]
    return lines
