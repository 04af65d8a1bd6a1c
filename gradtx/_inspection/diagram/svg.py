"""Renders a flow as an SVG without external style sheets, fonts or scripts.

A `Block` is a laid-out flow: its size and its shapes. Updates enter at the middle of its top edge and leave at the
middle of its bottom edge, so that blocks can be stacked and put side by side independently of their content.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple, TypeAlias, assert_never

from gradtx._inspection.diagram.flow import Box, Branches, Flow, Frame, Labeled, Let, Series, Use, cut

_LINE, _LETTER = 16.0, 7.3  # in pixels: the line height, and the width of a character in a 12 px monospace font
_GAP, _PAD = 24.0, 10.0
_FILLS = {"end": "#ffffff", "part": "#dcebf7", "join": "#fde3c4", "given": "#d3f0e1", "frame": "#64748b"}
_INK, _GREY = "#1f2937", "#64748b"


class Rect(NamedTuple):
    """A rectangle with lines of text, the first one bold. Long lines are truncated; a tooltip shows the full text."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    lines: tuple[str, ...]


class Arrow(NamedTuple):
    """A line down from one point to another, with an optional arrowhead; its first `straight` pixels are vertical."""

    x: float
    y: float
    across: float
    down: float
    straight: float = 0.0
    head: bool = False


class Note(NamedTuple):
    """A text that starts at this point."""

    x: float
    y: float
    text: str


class Dot(NamedTuple):
    """A dot at which lines fork or join."""

    x: float
    y: float


Shape: TypeAlias = Rect | Arrow | Note | Dot


class Block(NamedTuple):
    """A laid-out flow.

    Attributes:
        width: in pixels.
        height: in pixels.
        shapes: the shapes in drawing order, with coordinates relative to the upper left corner.
        takes: whether the flow has an incoming line.
        head: whether the incoming line ends in an arrowhead.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]
    takes: bool = True
    head: bool = False

    def at(self, x: float, y: float) -> tuple[Shape, ...]:
        """The shapes, translated."""
        return tuple(shape._replace(x=shape.x + x, y=shape.y + y) for shape in self.shapes)


def svg_of(flow: Flow) -> str:
    """The text of the SVG, from the gradients to the updates."""
    block = _under([_box("end", "gradients"), block_of(flow), _box("end", "updates")])
    width, height = block.width + 2 * _PAD, block.height + 2 * _PAD
    drawn = "".join(map(_drawn, block.at(_PAD, _PAD)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" '
        f'style="max-width:100%;height:auto;background:#ffffff" font-family="ui-monospace,Menlo,Consolas,monospace" '
        f'font-size="12" fill="{_INK}">{drawn}</svg>'
    )


def block_of(flow: Flow) -> Block:
    """Lays out a flow."""
    match flow:
        case Box(name, details):
            return _box("part", name, *details)
        case Use(name):
            return _box("given", name)._replace(takes=False)
        case Series(items):
            return _under([block_of(item) for item in items])
        case Branches(branches, join):
            drawn = None if join is None else _box("join", join.name, *join.details)
            return _beside([block_of(branch) for branch in branches], drawn)
        case Let(name, value, body):
            return _beside([block_of(body)], None, [_under([block_of(value), _box("given", name)])])
        case Labeled(text, inside):
            return _labeled(text, block_of(inside))
        case Frame(title, inside):
            return _framed((title.name, *title.details), block_of(inside))
        case _:
            assert_never(flow)


def _box(kind: str, *lines: str) -> Block:
    width, height = _wide(*lines) + 2 * _PAD, _LINE * len(lines) + _PAD
    return Block(width, height, (Rect(0, 0, width, height, kind, lines),), head=True)


def _under(blocks: Sequence[Block]) -> Block:
    """Stacks blocks vertically, with an arrow from each to the next."""
    width, shapes = max(block.width for block in blocks), []
    y = 0.0
    for index, block in enumerate(blocks):
        if index:
            y += _GAP
            shapes += [Arrow(width / 2, y - _GAP, 0, _GAP, 0, block.head)] if block.takes else []
        shapes += block.at((width - block.width) / 2, y)
        y += block.height
    return Block(width, y, tuple(shapes), blocks[0].takes, blocks[0].head)


def _beside(blocks: Sequence[Block], join: Block | None, ending: Sequence[Block] = ()) -> Block:
    """Puts blocks side by side between a fork and a join; the blocks in `ending` have no line to the join."""
    row = [*ending, *blocks]
    inner = sum(block.width for block in row) + _GAP * (len(row) - 1)
    width = max(inner, join.width if join else 0.0)
    fork = _GAP + 0.05 * inner
    bottom = fork + max(block.height for block in row)
    ports = [(join.width if join else 0.0) * ((i + 0.5) / len(blocks) - 0.5) for i in range(len(blocks))]
    shapes: list[Shape] = []
    x = (width - inner) / 2
    for index, block in enumerate(row):
        middle = x + block.width / 2
        if block.takes:
            shapes.append(Arrow(width / 2, 0, middle - width / 2, fork, 0, block.head))
        if index >= len(ending):
            port = width / 2 + ports[index - len(ending)]
            low = fork + block.height
            shapes.append(Arrow(middle, low, port - middle, bottom + fork - low, bottom - low, join is not None))
        shapes += block.at(x, fork)
        x += block.width + _GAP
    takes = sum(block.takes for block in row)
    shapes += [Dot(width / 2, 0)] if takes > 1 else []
    if join is not None:
        shapes += join.at((width - join.width) / 2, bottom + fork)
        return Block(width, bottom + fork + join.height, tuple(shapes), takes > 0)
    shapes += [Dot(width / 2, bottom + fork)] if len(blocks) > 1 else []
    return Block(width, bottom + fork, tuple(shapes), takes > 0)


def _labeled(text: str, block: Block) -> Block:
    """Adds a text beside the incoming line."""
    width, room = max(block.width, 2 * (_wide(text) + _PAD)), _LINE + _PAD
    line = (Arrow(width / 2, 0, 0, room, 0, block.head),) if block.takes else ()
    note = Note(width / 2 + (_PAD / 2 if line else -_wide(text) / 2), _LINE - 4, text)
    return Block(width, block.height + room, (*line, note, *block.at((width - block.width) / 2, room)), block.takes)


def _framed(lines: tuple[str, ...], block: Block) -> Block:
    """Adds a frame, wide enough for the title to be left of the incoming line."""
    width = max(block.width + 2 * _PAD, 2 * (_wide(*lines) + 2 * _PAD))
    top = _LINE * len(lines) + 2 * _PAD
    height = top + block.height + 1.5 * _PAD
    lines_in = (Arrow(width / 2, 0, 0, top, 0, block.head),) if block.takes else ()
    shapes = (Rect(0, 0, width, height, "frame", lines), *lines_in, *block.at((width - block.width) / 2, top))
    return Block(width, height, (*shapes, Arrow(width / 2, top + block.height, 0, 1.5 * _PAD)), block.takes)


def _wide(*lines: str) -> float:
    return _LETTER * max(len(cut(line)) for line in lines)


def _drawn(shape: Shape) -> str:
    match shape:
        case Rect():
            return _rect(shape)
        case Arrow():
            return _arrow(shape)
        case Note(x, y, text):
            return f'<text x="{x:.1f}" y="{y:.1f}" font-style="italic">{escape(cut(text))}</text>'
        case Dot(x, y):
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_GREY}"/>'
        case _:
            assert_never(shape)


def _arrow(arrow: Arrow) -> str:
    """A vertical line, then an S-curve with vertical tangents; an arrowhead replaces the last 6 pixels."""
    x, bend, end = arrow.x + arrow.across, arrow.y + arrow.straight, arrow.y + arrow.down - (6 if arrow.head else 0)
    middle = (bend + end) / 2
    path = f"M{arrow.x:.1f} {arrow.y:.1f}V{bend:.1f}C{arrow.x:.1f} {middle:.1f} {x:.1f} {middle:.1f} {x:.1f} {end:.1f}"
    head = f'<path d="M{x - 4:.1f} {end - 1:.1f}h8l-4 7z" fill="{_GREY}"/>' if arrow.head else ""
    return f'<path d="{path}" fill="none" stroke="{_GREY}" stroke-width="1.3"/>{head}'


def _rect(rect: Rect) -> str:
    """A rectangle with its lines of text: left-aligned for a frame, centred otherwise."""
    frame = rect.kind == "frame"
    x = rect.x + (_PAD if frame else rect.width / 2)
    first = rect.y + (_LINE + 2 if frame else _PAD / 2 + _LINE - 4)
    round_ = rect.height / 2 if rect.kind in ("end", "given") else 8 if rect.kind == "join" else 3
    weights = ["bold", *["normal"] * (len(rect.lines) - 1)]
    texts = "".join(
        f'<text x="{x:.1f}" y="{first + index * _LINE:.1f}" text-anchor="{"start" if frame else "middle"}" '
        f'font-weight="{weight}">{escape(cut(line))}</text>'
        for index, (line, weight) in enumerate(zip(rect.lines, weights, strict=True))
    )
    whole = escape("\n".join(rect.lines)) if any(cut(line) != line for line in rect.lines) else ""
    return (
        f"<g>{f'<title>{whole}</title>' if whole else ''}"
        f'<rect class="{rect.kind}" x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.width:.1f}" '
        f'height="{rect.height:.1f}" rx="{round_:.0f}" fill="{_FILLS[rect.kind]}" '
        f'fill-opacity="{0.07 if frame else 1}" stroke="{_GREY}"/>{texts}</g>'
    )
