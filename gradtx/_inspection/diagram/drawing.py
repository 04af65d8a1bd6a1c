"""What users see of a diagram."""

from dataclasses import dataclass
from functools import cached_property

from gradtx._core.protocol import GradientTransformation
from gradtx._inspection.diagram.flow import Flow, flow_of
from gradtx._inspection.diagram.mermaid import mermaid_of
from gradtx._inspection.diagram.svg import svg_of


@dataclass(frozen=True)
class Diagram:
    """The flow of updates through a transform; `str` is Mermaid text, and notebooks show a drawing.

    Attributes:
        flow: what the drawing is of.
    """

    flow: Flow

    @cached_property
    def mermaid(self) -> str:
        """A Mermaid flowchart, which GitHub draws in a block of code that is marked `mermaid`."""
        return mermaid_of(self.flow)

    @cached_property
    def svg(self) -> str:
        """A drawing that needs nothing else to be shown: `Path("adam.svg").write_text(diagram(tx).svg)`."""
        return svg_of(self.flow)

    def __str__(self) -> str:
        return self.mermaid

    def __repr__(self) -> str:
        return self.mermaid

    def _repr_html_(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg  # for viewers that take drawings out of HTML


def diagram(tx: GradientTransformation) -> Diagram:
    """The flow of updates through a transform, from the gradients above to the updates below.

    The parts of a chain stand one under the other. What is joined (by `ratio`, `add`, ...) stands side by side above
    the join; transforms for different leaves or steps stand side by side in a frame. A named optimizer and a transform
    around others are frames too. `use("m")` reads what stands above the other "m" in the frame of its `let`.

    Args:
        tx: any transform; of a bare pair there is only one box to draw.

    Returns:
        An object with the properties `mermaid` and `svg`, both texts. Printing it gives the first, and notebooks show
        the second.

    Raises:
        GradtxTypeError: `tx` is no transform.
    """
    return Diagram(flow_of(tx))
