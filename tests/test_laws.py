"""Every law on every case, and every public factory has a case."""

import pytest
from cases import CASES

import gradtx
from gradtx.testing import LAWS, check


# The law varies fastest, so that a worker runs a case's laws together and compiles the case once.
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_law(law, case):
    report = check(case, [law])
    assert report.kept == (law,) or report.excused


def test_every_public_factory_has_a_case():
    public = {name for name, item in vars(gradtx).items() if _makes_transforms(item)}
    cased = {case.transform.name for case in CASES}
    assert public - cased == set(), "these public factories have no case in tests/cases"


def _makes_transforms(item):
    spec = getattr(item, "spec", None)
    return spec is not None and "." not in spec.name and spec.factory is item and item not in _NOT_TRANSFORMS


_NOT_TRANSFORMS = [gradtx.by_path, gradtx.where]


def test_names_of_cases_differ():
    assert len({case.name for case in CASES}) == len(CASES)
