"""A page for each named optimizer: formula, expression, diagram, what it costs, and what it is elsewhere."""

import inspect
import os
import re
from pathlib import Path

import atlas_costs
import atlas_curves
import atlas_pictures
from api_pages import write
from atlas_elsewhere import elsewhere

import gradtx as gx
from benchmarks.named import example, optimizers


def write_atlas(folder: Path) -> None:
    """Writes the pages that have changed."""
    folder.mkdir(exist_ok=True)
    for name in optimizers():
        is_drawn = "DOCS_QUICK" not in os.environ
        if is_drawn:
            _draw(folder, name)
        write(folder, name, page(name, is_drawn))
    write(folder, "index", index())


def page(name: str, is_drawn: bool = True) -> list[str]:
    """The lines of an optimizer's page."""
    tx = example(name)
    # The pages of the source link to this place, which has no anchor of its own without an entry in the index.
    lines = [
        f"# {name}\n",
        f'<span id="gradtx.{name}"></span>\n',
        f"```{{eval-rst}}\n.. autofunction:: gradtx.{name}\n   :no-index:\n```\n",
    ]
    lines += _source(name)
    lines += ["## Made of\n", f"`{tx!r}` is\n", f"```text\n{gx.describe(tx)}\n```\n", _diagram(name, tx)]
    lines += atlas_costs.table(name)
    sections = {
        "Response": atlas_pictures.response(name),
        "Trajectories": atlas_pictures.trajectories(name),
        "Loss by learning rate": [atlas_curves.about(name)],
    }
    curves = {"Loss by learning rate": [f"![Final loss of {name} by learning rate]({name}-curves.png)\n"]}
    pictures = atlas_pictures.shown(name) | curves if is_drawn else {section: [] for section in sections}
    for section, about in sections.items():
        lines += [f"## {section}\n", *about, *pictures[section]]
    return [*lines, *elsewhere(name)]


def index() -> list[str]:
    """The lines of the page that compares them all."""
    pages = "\n".join(optimizers())
    return [
        "# Atlas\n",
        "A page for each named optimizer: formula, parts, cost, what it does, and source.\n",
        "## Beside each other\n",
        atlas_costs.COLUMNS,
        *_table(),
        "\nEmpty cells: what has no learning rate has no best one and no width. " + atlas_costs.blanks() + "\n",
        "Pictures of responses and trajectories are drawn when the site is built, by `docs/atlas_pictures.py`.\n",
        *("## Bytes of a step\n", atlas_costs.ABOUT, "## Final losses\n", atlas_curves.ABOUT),
        f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n",
    ]


def _diagram(name: str, tx: gx.GradientTransformation) -> str:
    """The drawing, not below two thirds of its size; what is wider than the page then is scrolled."""
    before, width, after = re.split(r'(?<= width=")(\d+)', gx.diagram(tx).svg, maxsplit=1)
    least = f"max-width:100%;min-width:{int(width) * 2 // 3}px"
    before, after = before.replace("<svg ", '<svg role="img" ', 1), after.replace("max-width:100%", least)
    after = after.replace(">", f"><title>Diagram of {name}: its parts, and how they are joined</title>", 1)
    return f'<div class="diagram">{before}{width}{after}</div>\n'


def _draw(folder: Path, name: str) -> None:
    """Draws the pictures that are not there yet."""
    atlas_pictures.draw(folder, name)
    if not (path := folder / f"{name}-curves.png").exists():
        atlas_curves.draw_curves(path, name)


def _table() -> list[str]:
    """All of them: what they cost, and how they train. Two rows of headings need HTML."""
    groups = [*atlas_costs.GROUPS, *atlas_curves.GROUPS]
    above = "".join(f'<th colspan="{len(columns)}">{title}</th>' for title, columns in groups)
    below = "".join(f"<th>{column}</th>" for _, columns in groups for column in columns)
    head = f"<thead><tr><th></th>{above}</tr><tr><th>optimizer</th>{below}</tr></thead>"
    lines = ['<div class="pst-scrollable-table-container">', '<table class="table atlas">', head, "<tbody>"]
    for name in optimizers():
        cells = [*atlas_costs.cells(name), *atlas_curves.cells(name)]
        shown = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr><th><a href="{name}.html">{name}</a></th>{shown}</tr>')
    return [*lines, "</tbody>", "</table>", "</div>"]


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
