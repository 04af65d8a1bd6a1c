"""The structure of a diagram: boxes in series, side by side, and in frames."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from gradtx._core.parts import Part, holds_transforms, parts
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.walking import written_out
from gradtx._values.registry import Role


@dataclass(frozen=True)
class Box:
    """A box for one transform, or for a join.

    Attributes:
        name: the first line.
        details: the other lines, one per argument.
    """

    name: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Use:
    """The value with this name, in place of the incoming updates."""

    name: str


@dataclass(frozen=True)
class Series:
    """Flows in series: the output of each is the input of the next."""

    items: tuple["Flow", ...]


@dataclass(frozen=True)
class Branches:
    """Flows side by side, with the same input.

    Attributes:
        branches: the branches.
        join: the box that combines their outputs; None if each leaf or step takes its own branch.
    """

    branches: tuple["Flow", ...]
    join: Box | None = None


@dataclass(frozen=True)
class Let:
    """Two flows side by side: the output of `value` gets the name, and the output of `body` is the output."""

    name: str
    value: "Flow"
    body: "Flow"


@dataclass(frozen=True)
class Labeled:
    """A flow with a label on its incoming link."""

    label: str
    inside: "Flow"


@dataclass(frozen=True)
class Frame:
    """A flow in a frame; the title has the texts of a box."""

    title: Box
    inside: "Flow"


Flow: TypeAlias = Box | Use | Series | Branches | Let | Labeled | Frame


def flow_of(tx: Any) -> Flow:
    """The flow through a transform; named optimizers are expanded to their primitives."""
    tx, names = as_transformation(tx), []
    while (whole := written_out(tx)) is not None:
        names.append(tx.factory_name)
        tx = whole
    inside = _composed(tx)
    return Frame(Box(" = ".join(names)), inside) if names else inside


def _composed(tx: GradientTransformation) -> Flow:
    own, role, name = parts(tx), tx._spec.role, _name_in(tx)
    flows = [_labeled(part) for part in own]
    if role is Role.READING and name is not None:
        return Use(name)
    if role is Role.SERIES and own:
        return Series(tuple(flows))
    if not own:
        return _box(tx)
    if role is Role.SIDE_BY_SIDE:
        return Branches(tuple(flows), _box(tx))
    if role is Role.NAMING and name is not None and len(own) == 2:
        value, body = (flow_of(part.transform) for part in own)
        return Frame(Box(tx.factory_name), Let(name, value, body))
    return Frame(_box(tx), Branches(tuple(flows)) if len(own) > 1 else flow_of(own[0].transform))


def _name_in(tx: GradientTransformation) -> str | None:
    """The name that a transform gives or reads: its first string argument, which a user may call otherwise."""
    return next((argument for argument in tx._arguments.values() if isinstance(argument, str)), None)


def _labeled(part: Part) -> Flow:
    inside = flow_of(part.transform)
    return Labeled(part.label, inside) if part.is_named else inside


def _box(tx: GradientTransformation) -> Box:
    return Box(tx.factory_name, tuple(tx._shown(hide=lambda argument: argument is None or holds_transforms(argument))))


def cut(text: str, width: int = 40) -> str:
    """The text in one line of at most `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
