"""The registry of cases: the only list of transforms in the tests. A public factory without a case is a red test.

To add an optimizer: its file, its export, and its case here with its NumPy reference.
"""

import pytest

from gradtx import GradientTransformation

from . import (
    adam,
    adam_more,
    adaptive,
    beyond,
    combinators,
    descent,
    free,
    gated,
    layerwise,
    light,
    matrices,
    matrices_more,
    primitives,
    quasi_newton,
    transforms,
)

FAMILIES = [
    primitives,
    transforms,
    combinators,
    gated,
    beyond,
    descent,
    adaptive,
    adam,
    adam_more,
    layerwise,
    light,
    free,
    matrices,
    matrices_more,
    quasi_newton,
]

CASES = [case for family in FAMILIES for case in family.CASES]


def is_direction(transform):
    """Whether it is what a named optimizer is made of: `scale_by_adam`."""
    return transform._spec.factory.__module__.startswith("gradtx._optimizers") and transform.factory_name.startswith(
        "scale_by_"
    )


def is_optimizer(transform):
    """Whether it is a named optimizer: not a direction, and not made around another transform."""
    named = transform._spec.factory.__module__.startswith("gradtx._optimizers") and not is_direction(transform)
    return named and not any(isinstance(argument, GradientTransformation) for argument in transform.arguments.values())


OPTIMIZERS = [case for case in CASES if is_optimizer(case.transform)]


def _first_of_each(cases):
    """The first case of each factory, and no directions: their optimizers find as much."""
    seen = set()
    for case in cases:
        waits = case.transform._spec in seen or is_direction(case.transform)
        seen.add(case.transform._spec)
        if not waits:
            yield case


FIRST = list(_first_of_each(CASES))


def the_others_wait(cases):
    """Parameters for pytest: of each factory the first case, and the others in the slow run."""
    return [pytest.param(case, id=case.name, marks=[] if case in FIRST else [pytest.mark.slow]) for case in cases]
