"""The registry of cases: the only list of transforms in the tests. A public factory without a case is a red test.

To add an optimizer: its file, its export, and its case here with its NumPy reference.
"""

from . import adam, adaptive, combinators, descent, primitives

FAMILIES = [primitives, combinators, descent, adaptive, adam]

CASES = [case for family in FAMILIES for case in family.CASES]
