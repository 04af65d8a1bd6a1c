"""Test problems: losses of parameters of any shape, two-dimensional loss surfaces, and gradient signals."""

from gradtx.problems import signals as signals
from gradtx.problems import surfaces as surfaces
from gradtx.problems.losses import Problem as Problem
from gradtx.problems.losses import quadratic as quadratic
from gradtx.problems.losses import ravine as ravine
from gradtx.problems.losses import rosenbrock as rosenbrock

__all__ = [
    "Problem",
    "quadratic",
    "ravine",
    "rosenbrock",
    "signals",
    "surfaces",
]


def __dir__() -> list[str]:
    return __all__
