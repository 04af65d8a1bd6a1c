"""Renders a flow as a Mermaid flowchart."""

from typing import assert_never

from gradtx._inspection.diagram.flow import Box, Branches, Flow, Frame, Labeled, Let, Series, Use, cut

_ESCAPES = str.maketrans({character: f"#{ord(character)};" for character in '#"<>&`|'})


def mermaid_of(flow: Flow) -> str:
    """The text of the flowchart, from the gradients to the updates."""
    chart = _Chart()
    start = chart.node("([gradients])")
    chart.node("([updates])", chart.add(flow, start, {}))
    return "\n".join(["flowchart TD", *chart.nodes, *chart.links])


class _Chart:
    """A flowchart under construction: the lines so far."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.links: list[str] = []
        self._depth = 1

    def add(self, flow: Flow, source: str, names: dict[str, str], label: str = "") -> str:
        """Adds a flow and the links into it.

        Args:
            flow: the flow.
            source: the node whose output is the input of the flow.
            names: the nodes of named values, by name.
            label: the label of the incoming link.

        Returns:
            The node whose output is the output of the flow.
        """
        match flow:
            case Box():
                return self.node(f'["{_text(flow)}"]', source, label=label)
            case Use(name):
                node = self.node(_given(name))
                self.links += [f"  {names[name]} -.-> {node}"] if name in names else []
                return node
            case Series(items):
                for item in items:
                    source = self.add(item, source, names)
                return source
            case Branches(branches, join):
                ends = [self.add(branch, source, names) for branch in branches]
                return self.node("((+))" if join is None else f'("{_text(join)}")', *ends)
            case Let(name, value, body):
                node = self.node(_given(name), self.add(value, source, names))
                return self.add(body, source, {**names, name: node})
            case Labeled(text, Box() as inside):
                return self.add(inside, source, names, text)
            case Labeled(text, inside):
                return self.add(Frame(Box(text), inside), source, names)
            case Frame(title, inside):
                self._line(f'subgraph {self._new()}["{_text(title)}"]')
                self._depth += 1
                end = self.add(inside, source, names)
                self._depth -= 1
                self._line("end")
                return end
            case _:
                assert_never(flow)

    def node(self, shape: str, *sources: str, label: str = "") -> str:
        """Adds a node with this shape and text, and the links into it; returns the node's identifier."""
        node = self._new()
        self._line(node + shape)
        mark = f'|"{label.translate(_ESCAPES)}"|' if label else ""
        self.links += [f"  {source} -->{mark} {node}" for source in sources]
        return node

    def _line(self, text: str) -> None:
        self.nodes.append("  " * self._depth + text)

    def _new(self) -> str:
        """A unique identifier: each node and each frame has a line of its own, so the number of lines is unique."""
        return f"n{len(self.nodes)}"


def _given(name: str) -> str:
    return f'(["{_text(Box(name))}"])'


def _text(box: Box) -> str:
    return "<br/>".join(line.translate(_ESCAPES) for line in (box.name, *map(cut, box.details)))
