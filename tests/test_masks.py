"""The mask of weight decay, wherever there is one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import gradtx as gx
from gradtx.testing.trials import params_of, updates_of

RATES = {"weight_decay", "weight_decay_rate"}


def _rate_of(names):
    """The name of the rate of weight decay, where there is a mask for it."""
    return next(iter(RATES & set(names)), None) if "mask" in names else None


# The first case of each factory that takes a mask for its weight decay.
DECAYING = list(
    {case.transform.factory_name: case for case in reversed(CASES) if _rate_of(case.transform.arguments)}.values()
)
by_case = pytest.mark.parametrize("case", DECAYING, ids=lambda case: case.transform.factory_name)


def test_no_factory_with_a_mask_is_forgotten():
    with_mask = {
        name
        for name, item in vars(gx).items()
        if (spec := getattr(item, "spec", None)) is not None and _rate_of(spec.signature.parameters)
    }
    assert with_mask == {case.transform.factory_name for case in DECAYING}
    assert len(with_mask) > 20


def _updates(case, rate, mask):
    """Updates of three steps in which the parameters move, op by op."""
    tx = case.transform.replace(**{_rate_of(case.transform.arguments): rate}, mask=mask)
    params, out = params_of(case), []
    state = tx.init(params)
    for one in updates_of(case, 3):
        one, state = tx.update(one, state, params, **case.extras(params))
        params = gx.apply_updates(params, one)
        out.append(one)
    return out


def _same(got, expected):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9), got, expected)


@by_case
def test_a_mask_of_nothing_is_no_decay_and_a_mask_of_everything_is_none_given(case):
    decayed = _updates(case, 0.5, None)
    plain = _updates(case, 0.0, None)
    _same(_updates(case, 0.5, True), decayed)
    _same(_updates(case, 0.5, False), plain)
    differs = jax.tree.map(lambda x, y: bool(jnp.any(x != y)), decayed, plain)
    assert any(jax.tree.leaves(differs)), "the decay does something"


@by_case
def test_a_mask_chooses_leaves(case):
    # Of one leaf, in the first step: later ones may depend on norms of all parameters.
    decayed, plain = (_updates(case, rate, None)[0] for rate in (0.5, 0.0))
    chosen = _updates(case, 0.5, gx.by_path({"out": True, "**": False}))[0]
    assert np.any(np.asarray(chosen["out"]) != np.asarray(plain["out"]))
    if case.transform.expression is not None and "global" not in str(gx.describe(case.transform)):
        _same({**chosen, "out": 0}, {**plain, "out": 0})
        _same(chosen["out"], decayed["out"])
