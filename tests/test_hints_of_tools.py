"""What newcomers tried with saved states, checks and results, and what they are told."""

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
SAVED = gx.state_dict(gx.adamw(0.1), gx.adamw(0.1).init(PARAMS))
SCHEDULED = gx.adamw(gx.schedules.linear(0.1, 0.0, 100))


@pytest.mark.parametrize(("tx", "d"), [(SCHEDULED, SAVED), (gx.sgd(gx.schedules.linear(0.1, 0.0, 100)), {})])
def test_a_schedule_in_place_of_a_number(tx, d):
    name = f"{tx.factory_name}/count"
    with pytest.raises(gx.GradtxValueError, match=rf"to start it at step n: {{\*\*d, '{name}': n}}") as error:
        gx.load_state_dict(tx, PARAMS, d)
    assert "strict=False" in str(error.value)
    assert "another optimizer" not in str(error.value)
    with pytest.warns(UserWarning, match="learning_rate"):
        state = gx.load_state_dict(tx, PARAMS, {**d, name: 50}, strict=False)
    updates = [tx.update(PARAMS, s, PARAMS)[0]["dense"]["bias"][0] for s in (state, tx.init(PARAMS))]
    assert updates[0] / updates[1] == pytest.approx(0.5, rel=1e-3)


def test_an_optimizer_that_was_wrapped():
    tx = gx.inject(gx.adamw(0.1))
    with pytest.raises(gx.GradtxValueError, match=r"rename={'': 'inject/inner'}, strict=False\)"):
        gx.load_state_dict(tx, PARAMS, SAVED)
    with pytest.warns(UserWarning, match="inject/numbers/b1") as warned:
        state = gx.load_state_dict(tx, PARAMS, SAVED, rename={"": "inject/inner"}, strict=False)
    assert warned[0].filename == __file__
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(PARAMS))
