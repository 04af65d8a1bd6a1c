"""What a diagram is of: boxes in series and side by side, in frames."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from gradtx._combinators import parallel
from gradtx._core.parts import Part, holds_transforms, parts, written_out
from gradtx._core.protocol import GradientTransformation, as_transformation


@dataclass(frozen=True)
class Box:
    """One transform, or a join.

    Attributes:
        name: the first line.
        details: the other lines, one for each argument.
    """

    name: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Use:
    """In place of what flows in, what has this name."""

    name: str


@dataclass(frozen=True)
class Series:
    """One after the other."""

    items: tuple["Flow", ...]


@dataclass(frozen=True)
class Branches:
    """Side by side: the same updates into each branch.

    Attributes:
        branches: the branches.
        join: what makes one of their outputs; None where each leaf or step takes its own branch.
    """

    branches: tuple["Flow", ...]
    join: Box | None = None


@dataclass(frozen=True)
class Let:
    """Side by side: what flows out of the value gets a name, and what flows out of the body flows on."""

    name: str
    value: "Flow"
    body: "Flow"


@dataclass(frozen=True)
class Labeled:
    """With a label on what flows in."""

    label: str
    inside: "Flow"


@dataclass(frozen=True)
class Frame:
    """Something inside something else, with a box's texts for a title."""

    title: Box
    inside: "Flow"


Flow: TypeAlias = Box | Use | Series | Branches | Let | Labeled | Frame

_JOINS = {
    item.spec.name
    for item in vars(parallel).values()
    if hasattr(item, "spec") and item.spec.body.__module__ == parallel.__name__
}


def flow_of(tx: Any) -> Flow:
    """The flow through a transform; named optimizers are opened down to the primitives."""
    tx, names = as_transformation(tx), []
    while (whole := written_out(tx)) is not None:
        names.append(tx.name)
        tx = whole
    inside = _composed(tx)
    return Frame(Box(" = ".join(names)), inside) if names else inside


def _composed(tx: GradientTransformation) -> Flow:
    own = parts(tx)
    flows = [_labeled(part) for part in own]
    if tx.name == "use":
        return Use(tx.arguments["name"])
    if not own:
        return _box(tx)
    if tx.name == "chain":
        return Series(tuple(flows))
    if tx.name in _JOINS:
        return Branches(tuple(flows), _box(tx))
    if tx.name == "let":
        value, body = (flow_of(part.transform) for part in own)
        return Frame(Box("let"), Let(tx.arguments["name"], value, body))
    return Frame(_box(tx), Branches(tuple(flows)) if len(own) > 1 else flow_of(own[0].transform))


def _labeled(part: Part) -> Flow:
    inside = flow_of(part.transform)
    return Labeled(part.label, inside) if part.is_named else inside


def _box(tx: GradientTransformation) -> Box:
    return Box(tx.name, tuple(tx._shown(hide=lambda argument: argument is None or holds_transforms(argument))))


def cut(text: str, width: int = 40) -> str:
    """The text in one line that is not too long to be drawn."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
