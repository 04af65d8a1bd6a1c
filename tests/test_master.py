"""Half-precision parameters that are kept in float32 too."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

TARGET = jnp.linspace(-1.0, 2.0, 4)


def _loss(p):
    return 0.5 * jnp.sum((p.astype(jnp.float32) - TARGET) ** 2)


@partial(jax.jit, static_argnums=(0, 1))
def _train(tx, steps, params):
    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return (gx.apply_updates(params, updates), state), None

    (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), length=steps)
    return params, state


def test_steps_that_are_smaller_than_a_unit_in_the_last_place_add_up():
    start = jnp.full(4, 3.0, jnp.bfloat16)
    plain, _ = _train(gx.sgd(1e-3), 300, start)
    kept, _ = _train(gx.master_weights(gx.sgd(1e-3)), 300, start)
    wide, _ = _train(gx.sgd(1e-3), 300, start.astype(jnp.float32))
    assert jnp.array_equal(plain[-1], start[-1]), "bfloat16 alone does not move"
    np.testing.assert_allclose(kept.astype(jnp.float32), wide, rtol=2**-7)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
    "make",
    [gx.prodigy, gx.dog, partial(gx.dowg, 1.0), lambda: gx.mechanize(gx.sgd(1.0)), partial(gx.schedule_free_sgd, 0.1)],
    ids=["prodigy", "dog", "dowg", "mechanize", "schedule_free_sgd"],
)
def test_what_measures_the_way_of_the_parameters_works_in_half_precision(make, dtype):
    start = jnp.full(4, 3.0)
    wide = _loss(_train(make(), 600, start)[0])
    half = _loss(_train(gx.master_weights(make()), 600, start.astype(dtype))[0])
    assert half < 1.1 * wide + 1e-3


def test_the_average_of_schedule_free_is_right_in_bfloat16():
    tx, start = gx.master_weights(gx.schedule_free_sgd(1e-3)), jnp.full(4, 3.0)
    params, state = _train(tx, 300, start.astype(jnp.bfloat16))
    wide, wanted = _train(gx.schedule_free_sgd(1e-3), 300, start)
    got = gx.eval_params(state, params).astype(jnp.float32)
    np.testing.assert_allclose(got, gx.eval_params(wanted, wide), rtol=2**-6)


def test_wide_parameters_are_not_kept_twice():
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2)}
    tx = gx.master_weights(gx.sgd(0.1))
    state = tx.init(params)
    assert state.params["b"] is None
    assert state.params["w"].dtype == jnp.float32
    updates, state = tx.update(params, state, params)
    np.testing.assert_allclose(updates["b"], -0.1)
    np.testing.assert_allclose(state.params["w"], 0.9)


def test_under_and_over_a_partition():
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}
    labels = gx.by_path({"w": "a", "b": "b"})
    inside = gx.partition({"a": gx.master_weights(gx.sgd(1e-3)), "b": gx.sgd(1e-3)}, labels)
    outside = gx.master_weights(gx.partition({"a": gx.sgd(1e-3), "b": gx.sgd(1e-3)}, labels))
    for tx in (inside, outside):
        state = tx.init(params)
        updates, state = tx.update(params, state, params)
        np.testing.assert_allclose(updates["w"], -1e-3, rtol=1e-3)
    assert len([x for x in jax.tree.leaves(state) if x.dtype == jnp.float32]) == 2


def test_bad_input():
    tx, params = gx.master_weights(gx.sgd(0.1)), jnp.ones(2, jnp.bfloat16)
    with pytest.raises(ValueError, match=r"in master_weights: .*expected the parameters, got None"):
        tx.update(params, tx.init(params))
    with pytest.raises(ValueError, match=r"in master_weights: expected the state of master_weights"):
        tx.update(params, (), params)


def test_the_full_precision_is_read_at_any_depth():
    tx = gx.partition({"half": gx.master_weights(gx.sgd(1e-3)), "full": gx.sgd(1e-3)}, {"h": "half", "f": "full"})
    params = {"h": jnp.ones(3, jnp.bfloat16), "f": jnp.ones(3)}
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    params = gx.apply_updates(params, updates)
    got = gx.master_params(state, params)
    assert {name: x.dtype for name, x in got.items()} == {"h": jnp.float32, "f": jnp.float32}
    np.testing.assert_allclose(got["h"], 0.999, rtol=1e-6)
    np.testing.assert_array_equal(got["f"], params["f"])
    with pytest.raises(gx.GradtxValueError, match=r"wrap the transform: master_weights\(tx\)"):
        gx.master_params(gx.sgd(0.1).init(params), params)
