"""The scale that falls when a metric has stopped improving."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import reduce_on_plateau

G = {"w": jnp.asarray([1.0, -2.0])}


def _scales(tx, values):
    step = jax.jit(lambda g, state, value: tx.update(g, state, value=value))
    state, scales = tx.init(G), []
    for value in values:
        updates, state = step(G, state, value)
        np.testing.assert_allclose(updates["w"], state.scale * G["w"])
        scales.append(round(float(state.scale), 6))
    return scales


SETTINGS = [
    {},
    {"factor": 0.5, "patience": 3, "cooldown": 2},
    {"factor": 0.5, "patience": 2, "rtol": 0.1, "atol": 0.05, "min_scale": 0.2},
    {"patience": 1, "accumulation_size": 3, "cooldown": 1},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_as_optax_on_a_positive_metric(settings):
    random = np.random.default_rng(0)
    values = (np.exp(-np.arange(60) / 15) + 0.3 * random.random(60) + 0.5).astype(np.float32)

    def scales(tx):
        def body(state, value):
            state = tx.update(G, state, value=value)[1]
            return state, state.scale

        return jax.jit(lambda values: jax.lax.scan(body, tx.init(G), values)[1])(values)

    with jax.numpy_dtype_promotion("standard"):
        wanted = scales(optax.contrib.reduce_on_plateau(**settings))
    ours = scales(reduce_on_plateau(**settings))
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)
    assert ours[-1] < 1


def test_the_first_value_is_an_improvement_and_patience_counts_from_there():
    assert _scales(reduce_on_plateau(0.5, patience=2), [1.0] * 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert _scales(reduce_on_plateau(0.5, patience=0), [1.0, 1.0, 0.5, 0.5]) == [1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
@pytest.mark.parametrize("start", [-5.0, 5.0])
def test_improvements_of_any_sign(mode, sign, start):
    tx = reduce_on_plateau(0.5, patience=1, rtol=0.01, mode=mode)
    better = [start - sign * 0.06 * step for step in range(5)]
    assert _scales(tx, better) == [1] * 5
    too_little = [start - sign * 0.01 * step for step in range(4)]
    assert _scales(tx, too_little) == [1, 0.5, 0.25, 0.125], "the margin is one percent of 5, not of -5"
    worse = [start + sign * step for step in range(3)]
    assert _scales(tx, worse) == [1, 0.5, 0.25]


def test_the_margins_add_up():
    tx = reduce_on_plateau(0.5, patience=1, rtol=0.1, atol=0.1)
    assert _scales(tx, [1.0, 0.81, 0.79]) == [1, 0.5, 0.5]
    assert _scales(reduce_on_plateau(0.5, 1, rtol=0, atol=0), [1.0, 1.0, 0.999]) == [1, 0.5, 0.5]


def test_the_scale_stops_at_its_smallest_and_rests_after_a_reduction():
    assert _scales(reduce_on_plateau(0.1, 1, min_scale=0.05), [1.0] * 5) == [1, 0.1, 0.05, 0.05, 0.05]
    assert _scales(reduce_on_plateau(0.5, 1, cooldown=2), [1.0] * 6) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]
    # What improves while it rests is remembered.
    assert _scales(reduce_on_plateau(0.5, 1, cooldown=2), [1.0, 1.0, 0.5, 0.7, 0.6]) == [1, 0.5, 0.5, 0.5, 0.25]


def test_values_are_judged_by_their_mean():
    tx = reduce_on_plateau(0.5, patience=1, accumulation_size=2)
    assert _scales(tx, [0.0, 4.0, 3.0, 0.0, 1.0, 3.0]) == [1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_what_is_not_finite_is_no_improvement(bad):
    tx = reduce_on_plateau(0.5, patience=2)
    assert _scales(tx, [1.0, bad, bad, 0.5, bad, 0.25]) == [1, 1, 0.5, 0.5, 0.5, 0.5]
    assert _scales(tx, [bad, bad, 1.0, 1.0]) == [1, 0.5, 0.5, 0.5]
    means = reduce_on_plateau(0.5, patience=1, accumulation_size=2)
    assert _scales(means, [bad, 1.0, 1.0, 1.0, 0.5, 0.5]) == [1, 0.5, 0.5, 0.5, 0.5, 0.5], "only its own mean is lost"


@pytest.mark.parametrize(
    "value", [1, 1.0, np.float64(1.0), jnp.bfloat16(1.0), jnp.asarray(1.0, jnp.float16), jnp.int32(1)]
)
def test_a_value_of_any_dtype(value):
    for dtype in (jnp.float32, jnp.bfloat16):
        tx, g = reduce_on_plateau(0.5, 1), gx.tree.cast(G, dtype)
        state = tx.init(g)
        for _ in range(2):
            updates, state = tx.update(g, state, value=value)
        np.testing.assert_array_equal(updates["w"], [0.5, -1.0])
        assert {x.dtype for x in (state.scale, state.best, state.mean)} == {jnp.dtype(jnp.float32)}


def test_behind_an_optimizer_in_a_train_step_and_for_some_leaves():
    tx = gx.chain(gx.sgd(0.1), reduce_on_plateau(0.5, 1))
    step = gx.make_train_step(lambda params: jnp.sum(0.0 * params["w"]) + 1.0, tx)
    params = jax.tree.map(jnp.copy, G)
    state = tx.init(params)
    for _ in range(3):
        params, state, _ = step(params, state)
    assert float(state[1].scale) == 0.25
    some = gx.masked(reduce_on_plateau(0.5, 1), {"w": True, "v": False})
    g = {"w": jnp.ones(1), "v": jnp.ones(1)}
    state = some.init(g)
    for _ in range(2):
        updates, state = some.update(g, state, value=1.0)
    assert (float(updates["w"][0]), float(updates["v"][0])) == (0.5, 1.0)


def test_a_sweep_over_its_numbers_is_one_program():
    def last(patience):
        tx = reduce_on_plateau(0.5, patience)

        def body(state, _):
            return tx.update(G, state, value=1.0)[1], None

        return jax.lax.scan(body, tx.init(G), length=7)[0].scale

    np.testing.assert_array_equal(jax.jit(jax.vmap(last))(jnp.asarray([1.0, 2.0, 3.0])), 0.5 ** np.array([6, 3, 2]))


def test_bad_input():
    tx = reduce_on_plateau()
    with pytest.raises(TypeError, match="in reduce_on_plateau: the extra argument 'value' is missing"):
        tx.update(G, tx.init(G))
    with pytest.raises(ValueError, match=r"value: expected a single real number, got float32 of the shape \(2,\)"):
        tx.update(G, tx.init(G), value=jnp.ones(2))
    with pytest.raises(ValueError, match="in reduce_on_plateau: mode: expected 'min' or 'max', got 'sideways'"):
        reduce_on_plateau(mode="sideways").init(G)
    with pytest.raises(ValueError, match=r"reduce_on_plateau: factor: expected a number in \[0, 1\), got 1.5"):
        reduce_on_plateau(1.5)
    with pytest.raises(ValueError, match="reduce_on_plateau: accumulation_size: expected a number above 0, got 0"):
        reduce_on_plateau(accumulation_size=0)
    with pytest.raises(ValueError, match="expected the state of reduce_on_plateau"):
        tx.update(G, gx.adam(0.1).init(G), value=1.0)
