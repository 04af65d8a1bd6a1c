"""A page for each named optimizer: formula, expression, diagram, what it costs, and what it is elsewhere."""

import inspect
import os
import re
from pathlib import Path

import atlas_costs
import atlas_curves
from api_pages import write
from atlas_elsewhere import elsewhere
from atlas_pictures import draw

import gradtx as gx
from benchmarks.named import example, optimizers


def write_atlas(folder: Path) -> None:
    """Writes the pages that have changed."""
    folder.mkdir(exist_ok=True)
    for name in optimizers():
        tx = example(name)
        lines = [f"# {name}\n", f"```{{eval-rst}}\n.. autofunction:: gradtx.{name}\n   :no-index:\n```\n"]
        lines += _source(name)
        lines += ["## Made of\n", f"`{tx!r}` is\n", f"```text\n{gx.describe(tx)}\n```\n"]
        lines += [_diagram(tx)]
        lines += atlas_costs.table(name)
        if "DOCS_QUICK" not in os.environ:
            lines += draw(folder, name, tx)
            lines += _curves(folder, name)
        lines += elsewhere(name)
        write(folder, name, lines)
    pages = "\n".join(optimizers())
    lines = ["# Atlas\n", "A page for each named optimizer: formula, parts, cost, what it does, and source.\n"]
    lines += ["## Beside each other\n", atlas_costs.COLUMNS, *_table(), ""]
    lines += ["## Bytes of a step\n", atlas_costs.ABOUT, "## Final losses\n", atlas_curves.ABOUT]
    write(folder, "index", [*lines, f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n"])


def _diagram(tx: gx.GradientTransformation) -> str:
    """The drawing, not below two thirds of its size; what is wider than the page then is scrolled."""
    before, width, after = re.split(r'(?<= width=")(\d+)', gx.diagram(tx).svg, maxsplit=1)
    least = f"max-width:100%;min-width:{int(width) * 2 // 3}px"
    return f'<div class="diagram">{before}{width}{after.replace("max-width:100%", least)}</div>\n'


def _curves(folder: Path, name: str) -> list[str]:
    if name not in atlas_curves.STORED["losses"]:
        return []
    path = folder / f"{name}-curves.png"
    if not path.exists():
        atlas_curves.draw_curves(path, name)
    return [
        "## How it depends on the learning rate\n",
        f"![Final loss of {name} by learning rate]({path.name})\n",
        atlas_curves.ABOUT,
    ]


def _table() -> list[str]:
    """All of them: what they cost, and how they train."""
    header = ["optimizer", *atlas_costs.HEADER, *atlas_curves.HEADER]
    rows = [
        [f"[{name.replace('_', '_<wbr>')}]({name}.md)", *atlas_costs.cells(name), *atlas_curves.cells(name)]
        for name in optimizers()
    ]
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def _source(name: str) -> list[str]:
    """The references of the docstrings to which that of the optimizer sends."""
    start = re.match(r"see ((?:`\w+`(?: and |, )?)+)", _reference(name))
    if start is None:
        return []
    found = [f"- `{other}`: {_reference(other)}" for other in re.findall(r"`(\w+)`", start[1])]
    return ["```{eval-rst}", *found, "```\n"]


def _reference(name: str) -> str:
    text = (inspect.getdoc(getattr(gx, name)) or "").partition("Reference: ")[2]
    return " ".join(text.split("\n\n")[0].split())
