"""The conformance kit: the laws that every gradtx transform satisfies, as tests for your own transforms.

    from gradtx.testing import check

    check(my_optimizer(1e-3))

A law that does not hold raises a `BrokenLawError`, which says where, and what came instead of what.
"""

from gradtx.testing.case import Case as Case
from gradtx.testing.check import LAWS as LAWS
from gradtx.testing.check import Report as Report
from gradtx.testing.check import check as check
from gradtx.testing.trials import BrokenLawError as BrokenLawError

__all__ = [
    "LAWS",
    "BrokenLawError",
    "Case",
    "Report",
    "check",
]


def __dir__() -> list[str]:
    return __all__
