"""Gradients accumulated over several steps: the numbers of one large batch, and nothing else counts the small ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stepping import gradients_like, run

import gradtx as gx
from gradtx import accumulate_gradients, schedules

P = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}

_gradients, _run = partial(gradients_like, P), partial(run, params=P)


def _mean(gradients):
    return jax.tree.map(lambda *xs: np.mean(np.asarray(xs, np.float64), 0, np.float64).astype(np.float32), *gradients)


def _close(got, wanted):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), got, wanted)


def _emits(out):
    return [bool(np.any([np.any(x != 0) for x in jax.tree.leaves(u)])) for u in out]


def test_the_transform_gets_the_mean_of_each_window():
    g, tx = _gradients(7), gx.adamw(schedules.linear(0.1, 0.0, 4))
    out, states = _run(accumulate_gradients(tx, 3), g)
    wanted, _ = _run(tx, [_mean(g[:3]), _mean(g[3:6])])
    _close([out[2], out[5]], wanted)
    assert _emits(out) == [False, False, True, False, False, True, False]
    assert [(int(s.count), int(s.emitted)) for s in states] == [(1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2)]
    _close(states[5].mean, _mean(g[3:6]))


def test_a_window_of_one_is_the_transform_itself():
    g, tx = _gradients(5), gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1))
    jax.tree.map(np.testing.assert_array_equal, _run(accumulate_gradients(tx, 1), g)[0], _run(tx, g)[0])


def test_as_multi_steps_of_optax():
    g = _gradients(6)
    ours = _run(accumulate_gradients(gx.sgd(0.1, 0.9), 3), g)[0]
    with jax.numpy_dtype_promotion("standard"):
        theirs = _run(optax.MultiSteps(optax.sgd(0.1, 0.9), 3), g)[0]
    _close(ours, theirs)


@pytest.mark.parametrize(
    "every", [schedules.piecewise_constant([1, 2, 3], [2, 1]), lambda emitted: 1 + jnp.maximum(emitted - 1, 0)]
)
def test_the_window_may_follow_a_schedule_of_the_emitted_updates(every):
    g = _gradients(8)
    out, _ = _run(accumulate_gradients(gx.identity(), every), g)
    assert _emits(out) == [True, True, False, True, False, False, True, False]
    _close([out[3], out[6]], [_mean(g[2:4]), _mean(g[4:7])])


def test_the_schedule_of_the_window_is_rounded_and_data():
    tx = accumulate_gradients(gx.identity(), schedules.linear(0.2, 2.6, 1))
    assert _emits(_run(tx, [P] * 5)[0]) == [True, False, False, True, False]
    assert gx.from_config(gx.to_config(tx)) == tx
    assert jax.tree.leaves(tx) == [0.2, 2.6, 1.0]


@pytest.mark.parametrize(("params_dtype", "dtype"), [(jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)])
def test_the_mean_is_taken_in_float32(params_dtype, dtype):
    # In bfloat16 256 + 1 is 256; and a third of it would be rounded to eight bits.
    values = [256.0, 1.0, 1.0]
    params = gx.tree.cast(P, params_dtype)
    g = [jax.tree.map(lambda p, x=x: jnp.full(p.shape, x, dtype), P) for x in values]
    out, states = _run(accumulate_gradients(gx.identity(), 3), g, params=params)
    np.testing.assert_allclose(out[2]["a"], 86.0, rtol=1e-6)
    assert {x.dtype for x in jax.tree.leaves(states[-1].mean)} == {jnp.dtype(jnp.float32)}


def test_float64_stays():
    with jax.enable_x64(True):
        params = jnp.ones(2, jnp.float64)
        tx = accumulate_gradients(gx.adam(0.1), 3)
        out, states = _run(tx, [params / 3, params / 7, params], params=params)
        assert out[2].dtype == states[0].mean.dtype == jnp.float64
        np.testing.assert_allclose(states[2].mean, (1 / 3 + 1 / 7 + 1) / 3, rtol=1e-15)


def test_the_sum_does_not_overflow():
    huge = jax.tree.map(lambda p: jnp.full_like(p, 3e38), P)
    out, _ = _run(accumulate_gradients(gx.identity(), 4), [huge] * 4)
    np.testing.assert_allclose(out[3]["a"], 3e38, rtol=1e-6)
    opposite = jax.tree.map(jnp.negative, huge)
    assert not _emits(_run(accumulate_gradients(gx.identity(), 2), [huge, opposite])[0])[1]


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_what_is_not_finite_spoils_only_its_window(bad):
    g = _gradients(6)
    g[2] = jax.tree.map(lambda x: jnp.full_like(x, bad), g[2])
    out, _ = _run(accumulate_gradients(gx.identity(), 2), g)
    assert not np.any(np.isfinite(out[3]["a"]))
    _close([out[1], out[5]], [_mean(g[:2]), _mean(g[4:])])
    guarded = accumulate_gradients(gx.skip_nonfinite(gx.sgd(0.1, 0.9)), 2)
    _close(_run(guarded, g)[0][5], _run(gx.sgd(0.1, 0.9), [_mean(g[:2]), _mean(g[4:])])[0][1])


def test_what_is_skipped_counts_neither_in_the_mean_nor_in_the_window():
    g = _gradients(6)
    for index in (0, 1, 3):
        g[index] = jax.tree.map(lambda x: x.at[...].set(jnp.nan), g[index])
    out, states = _run(accumulate_gradients(gx.identity(), 2, skip=gx.has_nonfinite), g)
    assert _emits(out) == [False] * 4 + [True, False]
    _close(out[4], _mean([g[2], g[4]]))
    assert [int(s.count) for s in states] == [0, 0, 1, 1, 0, 1]

    large = accumulate_gradients(gx.identity(), 1, skip=lambda g: gx.tree.norm(g) > 1e3)
    assert _emits(_run(large, [P, jax.tree.map(lambda p: 1e4 * p, P), P])[0]) == [True, False, True]


def test_derivatives_through_a_skipped_gradient_are_finite():
    bad = jax.tree.map(lambda p: jnp.full_like(p, jnp.nan), P)

    def total(rate, g):
        tx = accumulate_gradients(gx.sgd(rate, 0.9), 2, gx.has_nonfinite)
        state = tx.init(P)
        for one in (bad, g, bad, g):
            updates, state = tx.update(one, state)
        return sum(map(jnp.sum, jax.tree.leaves(updates)))

    for derivative in jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1)))(0.1, P)):
        assert np.all(np.isfinite(derivative))


def test_complex_leaves():
    params = {"z": jnp.ones(2, jnp.complex64), "x": jnp.ones(2)}
    g = [jax.tree.map(lambda p, s=s: p * jnp.asarray(s, p.dtype), params) for s in (1.0, 3.0)]
    g[1]["z"] = 1j * g[1]["z"]
    out, _ = _run(accumulate_gradients(gx.identity(), 2), g, params=params)
    np.testing.assert_allclose(out[1]["z"], 0.5 + 1.5j)
    assert out[0]["x"].dtype == jnp.float32
    assert out[0]["z"].dtype == jnp.complex64


def test_numbers_of_the_inside_are_injected_beside_a_scheduled_window():
    tx = gx.inject(accumulate_gradients(gx.sgd(0.1), schedules.constant(2)))
    state = gx.set_hyperparams(tx.init(P), learning_rate=1.0)
    for _ in range(2):
        updates, state = tx.update(P, state)
    _close(updates, jax.tree.map(jnp.negative, P))


@pytest.mark.parametrize("wrong", [0, -2, 2.0, True, None, "two"])
def test_a_window_that_is_no_whole_number(wrong):
    with pytest.raises(ValueError, match=r"in accumulate_gradients: every: expected a positive whole number.*, got"):
        accumulate_gradients(gx.sgd(0.1), wrong).init(P)


def test_bad_gradients_and_bad_answers():
    tx = accumulate_gradients(gx.sgd(0.1), 2)
    with pytest.raises(ValueError, match="in accumulate_gradients: the structures of the updates and the state differ"):
        tx.update({"a": P["a"]}, tx.init(P))
    with pytest.raises(ValueError, match=r"the shapes of the updates and the state differ at 'a': \(3,\) and \(2,\)"):
        tx.update({"a": jnp.ones(3), "b": P["b"]}, tx.init(P))
    tx = accumulate_gradients(gx.sgd(0.1), 2, skip=lambda g: g["a"] > 0)
    with pytest.raises(ValueError, match=r"expected a scalar from skip, got the shape \(2,\)"):
        tx.update(P, tx.init(P))


def test_has_updated_after_the_last_step_of_a_window():
    tx = gx.chain(gx.accumulate_gradients(gx.sgd(1.0), 3))
    g = jnp.ones(2)
    state, seen = tx.init(g), [bool(gx.has_updated(tx.init(g)))]
    for _ in range(6):
        _, state = tx.update(g, state, g)
        seen.append(bool(gx.has_updated(state)))
    assert seen == [False, False, False, True, False, False, True]
    with pytest.raises(gx.GradtxValueError, match="with one `accumulate_gradients` in it, got none"):
        gx.has_updated(gx.sgd(1.0).init(g))


def test_what_decides_on_skipping_computes_in_float32():
    seen = []

    def skip(gradients):
        seen.append(gradients["a"].dtype)
        return gx.tree.norm(gradients) > 1e6

    half = gx.tree.cast(P, jnp.bfloat16)
    tx = accumulate_gradients(gx.sgd(0.1), 2, skip=skip)
    tx.update(half, tx.init(half), half)
    gx.make_train_step(lambda p: jnp.sum(p["a"] ** 2) + p["b"] ** 2, tx, donate=False)(half, tx.init(half))
    assert set(seen) == {jnp.dtype(jnp.float32)}
