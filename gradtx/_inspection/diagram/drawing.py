"""The public interface of diagrams."""

from dataclasses import dataclass
from functools import cached_property

from gradtx._base.calls import explains_calls
from gradtx._core.protocol import GradientTransformation
from gradtx._inspection.diagram.flow import Flow, flow_of
from gradtx._inspection.diagram.mermaid import mermaid_of
from gradtx._inspection.diagram.svg import svg_of


@dataclass(frozen=True)
class Diagram:
    """A diagram of the flow of updates through a transform. `str` is Mermaid text; notebooks show an SVG.

    Attributes:
        flow: the structure that is drawn.
    """

    flow: Flow

    @cached_property
    def mermaid(self) -> str:
        """A Mermaid flowchart; GitHub renders it in a code block with the language `mermaid`."""
        return mermaid_of(self.flow)

    @cached_property
    def svg(self) -> str:
        """A self-contained SVG: `Path("adam.svg").write_text(diagram(tx).svg)`."""
        return svg_of(self.flow)

    def __str__(self) -> str:
        return self.mermaid

    def __repr__(self) -> str:
        return self.mermaid

    def _repr_html_(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg  # for viewers that show SVG but no HTML


@explains_calls("diagram")
def diagram(tx: GradientTransformation) -> Diagram:
    """Draws the flow of updates through a transform, from the gradients at the top to the updates at the bottom.

    The parts of a chain are drawn from top to bottom. The operands of a join (`ratio`, `add`, ...) are drawn side by
    side above the join. Transforms for different leaves or steps are drawn side by side in a frame. A named optimizer
    and a transform around others are also drawn as frames. `use("m")` refers to the value that ends in the other box
    "m" in the frame of its `let`.

    Args:
        tx: any transform; a bare pair is drawn as one box.

    Returns:
        A diagram with the text properties `mermaid` and `svg`. `print` shows the first, notebooks show the second.

    Raises:
        GradtxTypeError: `tx` is not a transform.

    Example:
        >>> print(diagram(chain(clip_by_global_norm(1.0), scale(-0.1))))
        flowchart TD
          n0([gradients])
          n1["clip_by_global_norm<br/>max_norm=1.0"]
          n2["scale<br/>factor=-0.1"]
          n3([updates])
          n0 --> n1
          n1 --> n2
          n2 --> n3
    """
    return Diagram(flow_of(tx))
