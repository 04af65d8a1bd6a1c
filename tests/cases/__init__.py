"""The registry of cases: the only list of transforms in the tests. A public factory without a case is a red test.

To add an optimizer: its file, its export, and its case here with its NumPy reference.
"""

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
    primitives,
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
]

CASES = [case for family in FAMILIES for case in family.CASES]


def is_optimizer(transform):
    """Whether it is a named optimizer: not a direction (`scale_by_`), and not made around another transform."""
    factory, arguments = transform._spec.factory, transform.arguments.values()
    named = factory.__module__.startswith("gradtx._optimizers") and not transform.name.startswith("scale_by_")
    return named and not any(isinstance(argument, GradientTransformation) for argument in arguments)


OPTIMIZERS = [case for case in CASES if is_optimizer(case.transform)]
