"""The table of named optimizers, made from registry and sources: `python tests/optimizer_table.py` writes it.

What is stored is a fact of the cases, the paper is in the docstring, and the expression is the factory's body.
"""

import ast
import inspect
import re
from pathlib import Path

from cases import OPTIMIZERS

import gradtx as gx

PAGE = Path(__file__).parent.parent / "docs" / "optimizers.md"
BEGIN, END = "<!-- optimizers -->\n", "<!-- end -->"
HEADER = ["| optimizer | arrays stored per parameter | paper | expression |", "|---|---|---|---|"]


def table():
    """The lines of the table."""
    names = sorted({case.transform.factory_name for case in OPTIMIZERS})
    rows = (f"| `{name}` | {_stored(name)} | {_paper(name)} | `{_expression(name)}` |" for name in names)
    return "".join(f"{line}\n" for line in [*HEADER, *rows])


def rewritten(text):
    """The page with the table as it should be."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def _stored(name):
    """How many arrays, and how many in the variants that store others; in words where it depends on the shape."""
    cases = [case for case in OPTIMIZERS if case.transform.factory_name == name and case.stored is not None]
    state = inspect.getdoc(getattr(gx, name)).partition("State: ")[2].split(".")[0]
    by_argument = state.startswith("`")  # a formula: the case has other arguments than the default
    if not cases or by_argument or len({len(case.shape or ()) for case in cases}) > 1:
        return " ".join(state.replace("`", "").split())
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
            case ast.ImportFrom(module="gradtx.schedules", names=aliases):
                schedules = ast.Name("schedules")
                written_out.locals |= {a.asname or a.name: ast.Attribute(schedules, a.name) for a in aliases}
            case ast.ImportFrom(names=aliases):
                written_out.locals |= {a.asname: ast.Name(a.name) for a in aliases if a.asname}
            case ast.FunctionDef(name=helper) if helper.startswith("_"):
                written_out.helpers[helper] = node
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
    """Puts what a local name stands for in its place, the items of a list in that of its star, and so with helpers."""

    def __init__(self, names=()):
        self.locals, self.helpers = dict(names), {}

    def visit_Name(self, node):
        stands_for = self.locals.get(node.id, node)
        itself = isinstance(stands_for, ast.Name) and stands_for.id == node.id
        return node if itself else self.visit(stands_for)

    def visit_Call(self, node):
        node = self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id not in self.helpers:
            return node
        helper = self.helpers[node.func.id]
        given = zip((argument.arg for argument in helper.args.args), node.args, strict=True)
        return _WrittenOut({**self.locals, **dict(given)}).visit(helper.body[-1].value)

    def visit_Starred(self, node):
        inside = self.visit(node.value)
        return inside.elts if isinstance(inside, ast.List) else ast.Starred(inside)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
