"""The README's table of optimizers, made from registry and sources: `python tests/optimizer_table.py` writes it.

What is stored is a fact of the cases, the paper is in the docstring, and the expression is the factory's body.
"""

import ast
import inspect
import re
from pathlib import Path

from cases import OPTIMIZERS

import gradtx as gx

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- optimizers -->\n", "<!-- end -->"
HEADER = ["| optimizer | arrays stored per parameter | paper | expression |", "|---|---|---|---|"]


def table():
    """The lines of the table."""
    names = sorted({case.transform.name for case in OPTIMIZERS})
    rows = (f"| `{name}` | {_stored(name)} | {_paper(name)} | `{_expression(name)}` |" for name in names)
    return "".join(f"{line}\n" for line in [*HEADER, *rows])


def rewritten(text):
    """The README with the table as it should be."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def _stored(name):
    """How many arrays, and how many in the variants that store others."""
    cases = [case for case in OPTIMIZERS if case.transform.name == name and case.stored is not None]
    assert cases, f"no case of {name} says how many arrays are stored"
    variants = {}
    for case in cases:
        variants.setdefault(f"{case.stored:g}", case.name.partition(", ")[2])
    return ", ".join(f"{arrays} ({variant})" if variant else arrays for arrays, variant in variants.items())


def _paper(name):
    """Authors and year."""
    text = " ".join(inspect.getdoc(getattr(gx, name)).partition("Reference: ")[2].split())
    elsewhere = re.match(r"see `(\w+)`", text)
    if elsewhere:
        return _paper(elsewhere[1])
    authors, year = re.match(r'(.+?), ".*?(\d{4})\b', text).groups()
    names = re.split(r", | and ", authors)
    return f"{names[0]} et al., {year}" if len(names) > 2 else f"{authors}, {year}"


def _expression(name):
    """What the body returns last, with its local names written out."""
    body = getattr(gx, name).spec.body
    constants = ast.parse(inspect.getsource(inspect.getmodule(body))).body
    function = next(node for node in constants if isinstance(node, ast.FunctionDef) and node.name == body.__name__)
    written_out = _WrittenOut()
    for node in [*constants, *_in_order(function)]:
        match node:
            case ast.Assign(targets=[ast.Name(id=local)], value=value):
                written_out.locals[local] = value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                written_out.locals |= {target.id: value for target, value in zip(targets, values, strict=True)}
            case ast.Call(func=ast.Attribute(value=ast.Name(id=local), attr="append"), args=[item]):
                written_out.locals[local].elts.append(item)
    return ast.unparse(written_out.visit(function.body[-1].value)).replace("'", '"')


def _in_order(node):
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


class _WrittenOut(ast.NodeTransformer):
    """Puts what a local name stands for in its place, and the items of a list in the place of its star."""

    def __init__(self):
        self.locals = {}

    def visit_Name(self, node):
        return self.visit(self.locals[node.id]) if node.id in self.locals else node

    def visit_Starred(self, node):
        inside = self.visit(node.value)
        return inside.elts if isinstance(inside, ast.List) else ast.Starred(inside)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
