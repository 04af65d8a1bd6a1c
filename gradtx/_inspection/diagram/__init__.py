"""Diagrams of the flow of updates through a transform."""

from gradtx._inspection.diagram.drawing import Diagram as Diagram
from gradtx._inspection.diagram.drawing import diagram as diagram
