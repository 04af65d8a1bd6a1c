"""Diagrams of everything: Mermaid text that is well formed, and drawings in which nothing covers anything."""

import re
from itertools import combinations
from xml.etree import ElementTree

import jax.numpy as jnp
import optax
import pytest
from cases import CASES

import gradtx as gx
from gradtx import schedules

SVG = "{http://www.w3.org/2000/svg}"
LETTER = 7.3
LABEL = r"(?:[^\"<>&`#|]|#\d+;|<br/>)+"
NODE = re.compile(
    rf' +(n\d+)(\(\[gradients\]\)|\(\[updates\]\)|\(\["{LABEL}"\]\)|\["{LABEL}"\]|\("{LABEL}"\)|\(\(\+\)\))'
)
FRAME = re.compile(rf' +subgraph (n\d+)\["{LABEL}"\]')
LINK = re.compile(rf'  (n\d+) (?:-->(?:\|"{LABEL}"\|)?|-\.->) (n\d+)')


def _rectangles(svg):
    """The rectangles of a drawing as (kind, left, top, right, bottom, texts in it)."""
    for group in svg.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        yield rect.get("class"), x, y, x + width, y + height, [text.text for text in group.iter(f"{SVG}text")]


def _apart(one, other):
    return one[3] <= other[1] or other[3] <= one[1] or one[4] <= other[2] or other[4] <= one[2]


def _holds(frame, other):
    return frame[1] < other[1] and frame[2] < other[2] and other[3] < frame[3] and other[4] < frame[4]


def _primitives(tx):
    """The names of what `describe` shows on lines that have nothing below."""
    rows = gx.describe(tx).rows
    leaves = [row for row, after in zip(rows, [*rows[1:], rows[0]], strict=True) if after.depth <= row.depth]
    return {row.call.split(" = ")[-1].split("(")[0] for row in leaves} - {"use"}


def _well_formed(text):
    first, *lines = text.split("\n")
    assert first == "flowchart TD"
    nodes, frames, targets, depth = {}, [], {}, 0
    for line in lines:
        if found := NODE.fullmatch(line):
            assert found[1] not in nodes
            nodes[found[1]] = found[2]
        elif found := FRAME.fullmatch(line):
            frames.append(found[1])
            depth += 1
        elif line.strip() == "end":
            depth -= 1
        else:
            found = LINK.fullmatch(line)
            assert found, line
            targets.setdefault(found[2], []).append(found[1])
        assert depth >= 0
    assert depth == 0
    assert len({*frames, *nodes}) == len(frames) + len(nodes)
    ends = {end for starts in targets.values() for end in starts} | targets.keys()
    assert ends <= nodes.keys()
    without = {shape for node, shape in nodes.items() if node not in targets}
    assert without == {"([gradients])"}, "only gradients come from nowhere"
    assert "([updates])" in nodes.values()
    return nodes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_can_be_drawn(case):
    drawn = gx.diagram(case.transform)
    names = {re.split(r'[("\[]+|<br/>', shape)[1] for shape in _well_formed(str(drawn)).values()}
    assert _primitives(case.transform) <= names
    svg = ElementTree.fromstring(drawn.svg)
    width, height = map(float, svg.get("viewBox").split()[2:])
    rectangles = list(_rectangles(svg))
    picture = ("picture", 0, 0, width, height)
    for one, other in combinations(rectangles, 2):
        nested = [
            frame for frame, inner in ((one, other), (other, one)) if frame[0] == "frame" and _holds(frame, inner)
        ]
        assert nested or _apart(one, other), f"{one} and {other}"
    boxes = [rectangle for rectangle in rectangles if rectangle[0] != "frame"]
    for rectangle in rectangles:
        assert _holds(picture, rectangle)
        assert all(LETTER * len(text) <= rectangle[3] - rectangle[1] for text in rectangle[5])
    for note in svg.iterfind(f"{SVG}text"):
        x, y = float(note.get("x")), float(note.get("y"))
        place = ("note", x, y - 12, x + LETTER * len(note.text), y + 4)
        assert _holds(picture, place)
        assert all(_apart(place, box) for box in boxes), note.text
    assert _primitives(case.transform) <= {rectangle[5][0] for rectangle in boxes}


def _texts(tx):
    return [text.text for text in ElementTree.fromstring(gx.diagram(tx).svg).iter(f"{SVG}text")]


def test_the_parts_of_adamw_with_their_numbers():
    text = gx.diagram(gx.adamw(1e-3)).mermaid
    for node in (
        'n1["adamw"]',
        '["scale_by_ema<br/>decay=0.9"]',
        '("ratio<br/>eps=1e-08<br/>eps_root=0.0")',
        '["add_decayed_weights<br/>weight_decay=0.0001"]',
    ):
        assert node in text
    assert _texts(gx.adamw(1e-3))[:2] == ["gradients", "adamw"]


def test_series_and_branches_are_linked_as_they_flow():
    tx = gx.chain(gx.sign(), gx.add(gx.clip(1.0), gx.chain(gx.square(), gx.sqrt())))
    assert str(gx.diagram(tx)).split("\n")[1:] == [
        "  n0([gradients])",
        '  n1["sign"]',
        '  n2["clip<br/>max_delta=1.0"]',
        '  n3["square"]',
        '  n4["sqrt"]',
        '  n5("add")',
        "  n6([updates])",
        "  n0 --> n1",
        "  n1 --> n2",
        "  n1 --> n3",
        "  n3 --> n4",
        "  n2 --> n5",
        "  n4 --> n5",
        "  n5 --> n6",
    ]


def test_groups_of_leaves_have_their_labels():
    tx = gx.partition({"slow": gx.sign(), "fast": gx.clip(1.0)}, {"a": "slow", "b": "fast"})
    drawn = gx.diagram(tx)
    assert '-->|"slow"| ' in drawn.mermaid
    assert {"slow", "fast", "partition"} <= set(_texts(tx))
    assert drawn.mermaid.count("((+))") == 1


def test_names_link_to_where_they_are_used():
    tx = gx.let("m", gx.scale_by_ema(0.9), gx.difference(gx.identity(), gx.use("m")))
    lines = str(gx.diagram(tx)).split("\n")
    (given, used) = [line.split("(")[0].strip() for line in lines if '(["m"])' in line]
    assert f"  {given} -.-> {used}" in lines
    assert not any(line.endswith(f"--> {used}") for line in lines)
    assert _texts(tx).count("m") == 2
    shadowed = gx.let("m", gx.sign(), gx.let("m", gx.square(), gx.use("m")))
    lines = str(gx.diagram(shadowed)).split("\n")
    given = [line.split("(")[0].strip() for line in lines if '(["m"])' in line]
    assert f"  {given[1]} -.-> {given[2]}" in lines


def test_labels_are_escaped():
    tx = gx.partition({'<b>"#|`&': gx.clip(1.0), "x": gx.sign()}, {"a": '<b>"#|`&', "b": "x"})
    drawn = gx.diagram(gx.chain(gx.parallel(lambda x, y: x, gx.sign(), gx.square()), tx))
    _well_formed(drawn.mermaid)
    assert "#60;b#62;#34;#35;#124;#96;#38;" in drawn.mermaid
    assert '<b>"#|`&' in [text.text for text in ElementTree.fromstring(drawn.svg).iter(f"{SVG}text")]


def test_long_arguments_are_cut_and_shown_whole_under_the_mouse():
    rate = schedules.warmup(10, schedules.cosine_decay(1e-2, 1000))
    svg = ElementTree.fromstring(gx.diagram(gx.scale_by_learning_rate(rate)).svg)
    (title,) = svg.iter(f"{SVG}title")
    assert f"learning_rate={rate!r}" in title.text
    assert max(len(text.text) for text in svg.iter(f"{SVG}text")) == 40


def test_what_is_not_made_of_parts():
    assert '["GradientTransformation' in str(gx.diagram(optax.sgd(0.1)))
    assert '["chain"]' in str(gx.diagram(gx.chain()))
    traced = gx.adam(jnp.asarray(0.1))
    assert "learning_rate=jnp.float32(0.1)" in str(gx.diagram(traced))


def test_a_notebook_shows_the_drawing_and_a_terminal_the_text():
    drawn = gx.diagram(gx.sign())
    assert drawn._repr_html_() == drawn.svg
    assert repr(drawn) == str(drawn) == drawn.mermaid
    assert drawn == gx.diagram(gx.sign())


def test_what_is_no_transform():
    with pytest.raises(gx.GradtxTypeError, match=r"expected a transform, .* got 3"):
        gx.diagram(3)
