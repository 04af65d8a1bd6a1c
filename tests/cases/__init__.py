"""The registry of cases: the only list of transforms in the tests. A public factory without a case is a red test.

To add an optimizer: its file, its export, and its case here with its NumPy reference.
"""

from . import adam, adaptive, beyond, combinators, descent, gated, layerwise, primitives, transforms

FAMILIES = [primitives, transforms, combinators, gated, beyond, descent, adaptive, adam, layerwise]

CASES = [case for family in FAMILIES for case in family.CASES]


def is_optimizer(transform):
    """Whether it is a named optimizer, which takes steps by itself; directions begin with `scale_by_`."""
    factory = transform._spec.factory
    return factory.__module__.startswith("gradtx._optimizers") and not transform.name.startswith("scale_by_")


OPTIMIZERS = [case for case in CASES if is_optimizer(case.transform)]
