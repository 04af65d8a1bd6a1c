"""The flow of updates through a transform, as a drawing."""

from gradtx._inspection.diagram.drawing import Diagram as Diagram
from gradtx._inspection.diagram.drawing import diagram as diagram
