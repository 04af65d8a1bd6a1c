"""The flow of updates through a transform, as a drawing."""

from gradtx._diagram.drawing import Diagram as Diagram
from gradtx._diagram.drawing import diagram as diagram
