"""What an optimizer is in Optax, PyTorch and Keras, and how it differs: from the tables of the pages about them."""

import re
from pathlib import Path
from typing import NamedTuple

import gradtx.optax as facade
from gradtx._base.optax_names import OPTAX

HERE = Path(__file__).parent


class Table(NamedTuple):
    """A table of a page: its header, and its rows as lists of cells."""

    header: list[str]
    rows: list[list[str]]


def tables(page: str) -> list[Table]:
    """The tables of a page, with links that hold from the folder of the atlas."""
    found: list[Table] = []
    is_inside = False
    for line in (HERE / f"{page}.md").read_text().splitlines():
        if not line.startswith("|"):
            is_inside = False
            continue
        line = line.replace("](#", f"](../{page}.md#")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not is_inside:
            found.append(Table(cells, []))
        elif not set(line) <= set("|- "):
            found[-1].rows.append(cells)
        is_inside = True
    return found


def _with_header(page: str, *header: str) -> Table:
    found = [table for table in tables(page) if table.header == list(header)]
    assert len(found) == 1, f"{page}.md has {len(found)} tables with the header {header}"
    return found[0]


NUMBERS = _with_header("coming_from_optax", "name", "in Optax", "in gradtx")
ARGUMENTS = _with_header(
    "coming_from_optax", "", "only in Optax", "only in gradtx", "other defaults: Optax's, gradtx's"
)
FACADE = _with_header("coming_from_optax", "what", "in Optax", "in `gradtx.optax`")
FRAMEWORKS = {
    "PyTorch": _with_header("from_pytorch_and_keras", "`torch.optim`", "gradtx", "remarks"),
    "Keras": _with_header("from_pytorch_and_keras", "`keras.optimizers`", "gradtx", "remarks"),
}


def elsewhere(name: str) -> list[str]:
    """The section of an optimizer's page."""
    found = {"Optax": _optax(name), **{framework: _framework(framework, name) for framework in FRAMEWORKS}}
    missing = [library for library, lines in found.items() if not lines]
    lines = [line for lines in found.values() for line in lines]
    return ["## In other libraries\n", *lines, *([f"- {', '.join(missing)}: none."] if missing else []), ""]


def differs(name: str) -> list[str]:
    """How the numbers of Optax's optimizer of this name differ at equal arguments."""
    rows = [row for row in NUMBERS.rows if _names(row[0], name) or _names(row[0], f"scale_by_{name}")]
    return [f"  - {row[0]}. In Optax: {row[1]}. In gradtx: {row[2]}." for row in rows]


def _optax(name: str) -> list[str]:
    # The root has dpsgd too, but deprecated.
    module = "contrib." if hasattr(facade.contrib, name) else "" if hasattr(facade, name) else None
    if module is None:
        return []
    arguments = [f"  - {about}: {text}." for about, text in _arguments(name) if text]
    rows = [row for row in FACADE.rows if _names(row[0], name) or _names(row[0], f"scale_by_{name}")]
    in_facade = [f"  - {row[0]}. In Optax: {row[1]}. In `gradtx.optax`: {row[2]}." for row in rows]
    renamed = [f"  - `optax.{old}` is `{new}`." for old, new in OPTAX.items() if re.match(rf"{name}\(", new)]
    same = "" if arguments else " Arguments and defaults are the same."
    if not differs(name):
        same += " Equal arguments give the same numbers, up to rounding."
    details = [*arguments, *differs(name), *in_facade, *renamed]
    return [f"- Optax: `optax.{module}{name}` ([more](../coming_from_optax.md)).{same}", *details]


def _arguments(name: str) -> list[tuple[str, str]]:
    row = next((row for row in ARGUMENTS.rows if row[0] == f"`{name}`"), None)
    about = ("Arguments only in Optax", "Arguments only in gradtx", "Other defaults, Optax's and gradtx's")
    return list(zip(about, row[1:], strict=True)) if row else []


def _framework(framework: str, name: str) -> list[str]:
    rows = [row for row in FRAMEWORKS[framework].rows if re.search(rf"(?<![\w.=])(?:scale_by_)?{name}\(", row[1])]
    lines = [f"  - {row[0]} is {row[1]}{f': {row[2]}' if row[2] else ''}." for row in rows]
    return [f"- {framework} ([more](../from_pytorch_and_keras.md)):", *lines] if lines else []


def _names(cell: str, name: str) -> bool:
    """Whether the text of a cell is about this name."""
    return any(re.match(rf"(?:contrib\.)?{name}\b(?!\.)", code) for code in re.findall(r"`([^`]*)`", cell))
