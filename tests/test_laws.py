"""Every law on every case, and every public factory has a case."""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, FIRST

import gradtx as gx
from gradtx.testing import LAWS, check, values
from gradtx.testing.trials import same_form

# Half of the time of all laws goes here; they wait for the slow run.
COSTLY = {
    "derivatives_are_finite",
    "sharded_equals_whole",
    "x64_changes_nothing",
    "double_precision_is_kept",
    "vmap_equals_loop",
    "scan_equals_loop",
    "layers_stack",
    "lowers_everywhere",
}

# An expression of parts that keep these laws keeps nearly all of them too: for
# expressions they wait as well.
INHERITED = {
    "init_is_abstract",
    "inputs_stay",
    "names_do_not_matter",
    "no_buffers_are_shared",
    "odd_trees",
    "jit_equals_eager",
    "one_trace",
    "restores",
    "updates_keep_their_form",
    "state_is_a_fixed_point",
    "extremes_stay_finite",
    "half_precision_is_right",
    "descends_on_complex_parameters",
    "traced_numbers_are_the_same",
}


COMPILING = (values.traced_numbers_are_the_same, values.numbers_may_follow_schedules)


def _now(case):
    """The laws of the default run."""
    if case not in FIRST:
        return []
    if case.matrices or case.temporary[0] > 1:  # they compile for longest; their own tests are in the default run
        return [law.__name__ for law in values.LAWS if law not in COMPILING]
    waiting = COSTLY | INHERITED if case.transform.expression is not None else COSTLY
    return [law for law in LAWS if law not in waiting]


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.name)
def test_laws(case):
    report = check(case, _now(case))
    assert report.kept or report.excused


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_laws_that_wait(case):
    report = check(case, [law for law in LAWS if law not in _now(case)])
    assert report.kept or report.excused


def test_all_laws_are_known():
    assert set(LAWS) >= COSTLY | INHERITED


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
_NOT_TRANSFORMS = [gx.by_path, gx.where, gx.use, gx.matrix, gx.matrices_by_name, gx.matrix_or_rest]


def test_names_of_cases_differ():
    assert len({case.name for case in CASES}) == len(CASES)
