"""Every law on every case, and every public factory has a case."""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, is_direction

import gradtx as gx
from gradtx.testing import LAWS, check
from gradtx.testing.trials import same_form

# A quarter of the time of all laws goes here; they wait for the slow run.
COSTLY = {"derivatives_are_finite", "sharded_equals_whole", "x64_changes_nothing"}


def _trials():
    """Each law on each case; the laws of a case together, so that a worker compiles it once.

    Other arguments for a transform rarely find what its first case did not, and directions what the optimizers made of
    them do not: they wait for the slow run too.
    """
    seen = set()
    for case in CASES:
        waits = case.transform.factory_name in seen or is_direction(case.transform)
        seen.add(case.transform.factory_name)
        for law in LAWS:
            marks = [pytest.mark.slow] if waits or law in COSTLY else []
            yield pytest.param(law, case, id=f"{case.name}-{law}", marks=marks)


@pytest.mark.parametrize(("law", "case"), list(_trials()))
def test_law(law, case):
    report = check(case, [law])
    assert report.kept == (law,) or report.excused


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, jnp.float32])
def test_numbers_of_other_libraries_widen_nothing(kind):
    # A NumPy scalar becomes a Python number when it comes in, so no transform can do otherwise; an array is made weak.
    tx, params = gx.adamw(kind(1), weight_decay=kind(0)), {"w": jnp.ones(2, jnp.bfloat16), "x": jnp.ones(2)}
    wanted = gx.adamw(1.0, weight_decay=0.0)
    (updates, state), other = (one.update(params, one.init(params), params) for one in (tx, wanted))
    same_form((updates, state), other, f"with {kind.__name__}")
    assert all(
        type(number) in (int, float) or kind is jnp.float32 for number in tx.arguments.values() if number is not None
    )


def test_every_public_factory_has_a_case():
    public = {name for name, item in vars(gx).items() if _makes_transforms(item)}
    cased = {case.transform.factory_name for case in CASES}
    assert public - cased == set(), "these public factories have no case in tests/cases"


def _makes_transforms(item):
    spec = getattr(item, "spec", None)
    return spec is not None and "." not in spec.name and spec.factory is item and item not in _NOT_TRANSFORMS


# Labels and masks; and `use`, which is only at home in a `let`.
_NOT_TRANSFORMS = [gx.by_path, gx.where, gx.use]


def test_names_of_cases_differ():
    assert len({case.name for case in CASES}) == len(CASES)
