"""What a diagram is of: boxes in series and side by side, in frames."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from gradtx._core.parts import Part, holds_transforms, parts
from gradtx._core.protocol import GradientTransformation, as_transformation, written_out
from gradtx._values.value import Role


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


def flow_of(tx: Any) -> Flow:
    """The flow through a transform; named optimizers are opened down to the primitives."""
    tx, names = as_transformation(tx), []
    while (whole := written_out(tx)) is not None:
        names.append(tx.factory_name)
        tx = whole
    inside = _composed(tx)
    return Frame(Box(" = ".join(names)), inside) if names else inside


def _composed(tx: GradientTransformation) -> Flow:
    own, role = parts(tx), tx._spec.role
    flows = [_labeled(part) for part in own]
    if role is Role.READING:
        return Use(tx.arguments["name"])
    if role is Role.SERIES and own:
        return Series(tuple(flows))
    if not own:
        return _box(tx)
    if role is Role.SIDE_BY_SIDE:
        return Branches(tuple(flows), _box(tx))
    if role is Role.NAMING:
        value, body = (flow_of(part.transform) for part in own)
        return Frame(Box(tx.factory_name), Let(tx.arguments["name"], value, body))
    return Frame(_box(tx), Branches(tuple(flows)) if len(own) > 1 else flow_of(own[0].transform))


def _labeled(part: Part) -> Flow:
    inside = flow_of(part.transform)
    return Labeled(part.label, inside) if part.is_named else inside


def _box(tx: GradientTransformation) -> Box:
    return Box(tx.factory_name, tuple(tx._shown(hide=lambda argument: argument is None or holds_transforms(argument))))


def cut(text: str, width: int = 40) -> str:
    """The text in one line that is not too long to be drawn."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
