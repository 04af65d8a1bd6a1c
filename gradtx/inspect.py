"""Inspection of a transform: the tree of its parts, and the state of each."""

from dataclasses import dataclass
from functools import partial
from html import escape

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError
from gradtx._base.typing import Params, State
from gradtx._core.context import Context
from gradtx._core.parts import holds_transforms, is_transform, parts
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.walking import shares, unscheduled, written_out

__all__ = [
    "Description",
    "Row",
    "Summary",
    "describe",
    "summary",
]


def __dir__() -> list[str]:
    return __all__


_HEADER = ["part", "stored as", "per parameter", "bytes"]


@dataclass(frozen=True)
class Row:
    """One part of a transform, as shown by `describe` and `summary`.

    Attributes:
        depth: the nesting depth.
        label: its name in the enclosing part, if any.
        call: its name and arguments without its parts, and the expression that it stands for.
        dtypes: the dtypes of its state, including that of its parts.
        arrays: the number of parameter-sized arrays of state: elements of the state over elements of the parameters.
        nbytes: the bytes of its state.
    """

    depth: int
    label: str
    call: str
    dtypes: str = ""
    arrays: float = 0.0
    nbytes: int = 0


@dataclass(frozen=True)
class Description:
    """The tree of a transform's parts; `str` is the text, and notebooks show it left-aligned and in fixed pitch."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "\n".join(_outline(self.rows))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre style='text-align:left;line-height:1.3'>{escape(str(self))}</pre>"


@dataclass(frozen=True)
class Summary:
    """The state of each part of a transform for given parameters; `str` is the text, and notebooks show a table.

    Attributes:
        rows: the parts.
        elements: the number of elements of the parameters.
        leaves: where there are transforms of matrices, for each parameter its path, shape, and what it is taken for.
    """

    rows: tuple[Row, ...]
    elements: int
    leaves: tuple[tuple[str, tuple[int, ...], str], ...] = ()

    @property
    def nbytes(self) -> int:
        """The bytes of the whole state."""
        return self.rows[0].nbytes

    def _cells(self) -> list[list[str]]:
        outline = zip(_outline(self.rows), self.rows, strict=True)
        return [[_cut(text), row.dtypes, f"{row.arrays:.4g}", f"{row.nbytes:,}"] for text, row in outline]

    def __str__(self) -> str:
        lines = [_HEADER, *self._cells()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
        text = [
            "  ".join([line[0].ljust(widths[0]), line[1].ljust(widths[1]), *map(str.rjust, line[2:], widths[2:])])
            for line in lines
        ]
        total = f"{self.elements:,} parameters, {self.nbytes:,} bytes of state"
        lines = [text[0].rstrip(), "─" * len(text[0]), *(line.rstrip() for line in text[1:]), "", total]
        width = max((len(path) for path, _, _ in self.leaves), default=0)
        return "\n".join([*lines, *(f"{path.ljust(width)}  {shape}  {what}" for path, shape, what in self.leaves)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return _table(_HEADER, self._cells())


@explains_calls("describe")
def describe(tx: GradientTransformation) -> Description:
    """The tree of a transform's parts, with named optimizers expanded down to the primitives.

    Args:
        tx: any transform; a bare pair is a single line.

    Returns:
        A `gradtx.inspect.Description` to print.

    Example:
        >>> describe(chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.9)))
        chain
        ├─ clip_by_global_norm(max_norm=1.0)
        └─ sgd(learning_rate=0.1, momentum=0.9, nesterov=False) = chain
           ├─ add_momentum(decay=0.9, nesterov=False)
           └─ scale_by_learning_rate(learning_rate=0.1)
    """
    return Description(tuple(_rows(as_transformation(tx), None, 0, "")))


@explains_calls("summary")
def summary(tx: GradientTransformation, params: Params) -> Summary:
    """The state of each part of a transform for these parameters: dtypes, arrays per parameter, and bytes.

    Nothing is computed or allocated: the parameters may be abstract (`jax.ShapeDtypeStruct`).

    Args:
        tx: any transform.
        params: the parameters, arrays or abstract.

    Returns:
        A `gradtx.inspect.Summary` to print.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> tx = chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.9))
        >>> summary(tx, {"kernel": jax.ShapeDtypeStruct((128, 64), jnp.float32)})
        part                                                             stored as  per parameter   bytes
        ─────────────────────────────────────────────────────────────────────────────────────────────────
        chain                                                            float32                1  32,768
        ├─ clip_by_global_norm(max_norm=1.0)                                                    0       0
        └─ sgd(learning_rate=0.1, momentum=0.9, nesterov=False) = chain  float32                1  32,768
           ├─ add_momentum(decay=0.9, nesterov=False)                    float32                1  32,768
           └─ scale_by_learning_rate(learning_rate=0.1)                                         0       0
        <BLANKLINE>
        8,192 parameters, 32,768 bytes of state
    """
    if is_transform(params) and not is_transform(tx):
        raise GradtxTypeError("summary: transform and parameters are swapped; call summary(tx, params)")
    tx = as_transformation(tx)
    notes: dict[str, str] = {}
    state = jax.eval_shape(tx.init, params)
    jax.eval_shape(partial(Context(notes=notes).init, tx), params)
    return Summary(tuple(_rows(tx, state, tree.size(params), "")), tree.size(params), _leaves(params, notes))


def _leaves(params: Params, notes: dict[str, str]) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    pairs = zip(trees.paths(params), jax.tree.leaves(params), strict=True) if notes else ()
    return tuple((path, jnp.shape(p), notes.get(path, "not a matrix")) for path, p in pairs)


def _rows(tx: GradientTransformation, state: State, elements: int, label: str, depth: int = 0) -> list[Row]:
    calls, own = [_call(tx)], unscheduled(state)
    while (whole := written_out(tx)) is not None:
        tx, own = whole, unscheduled(own)
        calls.append(_call(tx))
    stored = jax.tree.leaves(state)
    dtypes = ", ".join(sorted({str(leaf.dtype) for leaf in stored}))
    arrays = sum(leaf.size for leaf in stored) / max(elements, 1)
    rows = [Row(depth, label, " = ".join(calls), dtypes, arrays, tree.nbytes(stored))]
    inside = [(as_transformation(part.transform), part, None) for part in parts(tx)]
    for inner, part, part_state in inside if state is None else shares(tx, own):
        rows += _rows(inner, part_state, elements, part.label if part.is_named else "", depth + 1)
    return rows


def _call(tx: GradientTransformation) -> str:
    shown = tx._shown(hide=holds_transforms if parts(tx) else lambda argument: False)
    return f"{tx.factory_name}({', '.join(shown)})" if shown or not parts(tx) else tx.factory_name


def _outline(rows: tuple[Row, ...]) -> list[str]:
    """The texts of the rows, behind the branches of a drawn tree."""
    lines = []
    for index, row in enumerate(rows):
        branches = []
        for depth in range(1, row.depth + 1):
            later = next((r.depth for r in rows[index + 1 :] if r.depth <= depth), 0)
            more = later == depth
            branches.append(("├─ " if more else "└─ ") if depth == row.depth else ("│  " if more else "   "))
        label = f"{row.label}: " if row.label else ""
        lines.append("".join(branches) + label + row.call)
    return lines


def _cut(text: str, width: int = 72) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


_CELL = "text-align:left;white-space:pre;font-family:monospace"
"""The style of a cell: notebooks align cells to the right, and columns of text line up in fixed pitch only."""


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th style='{_CELL}'>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='{_CELL}'>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
