"""Each parameter by itself: what is its own, and what comes later."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

MATRICES = gx.by_path({"**/w": True, "**": False}, allow_unused=True)
PARAMS = {"old": jnp.ones(3), "block": {"w": jnp.full((2, 2), 2.0)}}


def trained(tx, params, count):
    def step(state, _):
        return tx.update(jax.tree.map(jnp.ones_like, params), state, params)[1], None

    return jax.lax.scan(step, tx.init(params), length=count)[0]


@pytest.mark.parametrize("optimizer", [gx.adam, gx.adamw, gx.nadam, gx.radam, gx.amsgrad], ids=lambda f: f.__name__)
def test_a_parameter_that_comes_later_begins_as_any_other(optimizer):
    """Loaded into the state of 3,000 steps, its first step is that of a new optimizer."""
    tx = gx.per_leaf(optimizer(0.1))
    more = {**PARAMS, "new": jnp.ones(2)}
    with pytest.warns(UserWarning, match="missing entries"):
        state = gx.load_state_dict(tx, more, gx.state_dict(tx, trained(tx, PARAMS, 3000)), strict=False)
    g = jax.tree.map(jnp.ones_like, more)
    updates, _ = tx.update(g, state, more)
    fresh, _ = tx.update(g, tx.init(more), more)
    goes_on, _ = tx.update({**g, "new": None}, trained(tx, {**PARAMS, "new": None}, 3000), {**more, "new": None})
    np.testing.assert_array_equal(updates["new"], fresh["new"])
    np.testing.assert_array_equal(updates["old"], goes_on["old"])


def test_without_it_the_first_step_is_too_large():
    tx = gx.adam(0.1)
    more = {**PARAMS, "new": jnp.ones(2)}
    with pytest.warns(UserWarning, match="missing entries"):
        state = gx.load_state_dict(tx, more, gx.state_dict(tx, trained(tx, PARAMS, 3000)), strict=False)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, more), state, more)
    assert np.all(np.abs(updates["new"]) > 0.29)


def test_norms_and_masks_are_of_each_array():
    tx = gx.per_leaf(
        gx.chain(
            gx.clip_by_global_norm(1.0),
            gx.add_decayed_weights(1.0, mask=MATRICES),
        )
    )
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["old"], 1 / np.sqrt(3), rtol=1e-6)
    np.testing.assert_allclose(updates["block"]["w"], 0.5 + 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    "inner",
    [
        gx.masked(gx.adam(0.1), gx.by_path({"block/w": True, "**": False})),
        gx.masked(gx.adam(0.1), gx.where(lambda path, p: p.ndim > 1)),
        gx.partition({"x": gx.sgd(0.1), "y": gx.adam(0.2)}, gx.by_path({"old": "x", "**": "y"})),
    ],
    ids=["patterns", "a function", "groups"],
)
def test_masks_and_groups_inside_it_see_where_each_leaf_is(inner):
    tx, g = gx.per_leaf(inner), jax.tree.map(jnp.ones_like, PARAMS)
    found, expected = (one.update(g, one.init(PARAMS), PARAMS)[0] for one in (tx, inner))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found, expected)


def test_the_state_grows_as_the_parameters_do():
    def nodes(count):
        params = {f"layer_{index}": jax.ShapeDtypeStruct((2,), jnp.float32) for index in range(count)}
        return jax.tree.structure(jax.eval_shape(gx.per_leaf(gx.adam(0.1)).init, params)).num_nodes

    assert nodes(40) < 4.2 * nodes(10)
