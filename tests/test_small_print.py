"""What docstrings promise in a subordinate clause."""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx
from gradtx import schedules

P = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([0.25])}


def test_updates_are_added_in_the_wider_dtype_and_rounded_once():
    # Half of the spacing at 1 and a little: rounded to bfloat16 first it would be a tie, and go down.
    added = gx.apply_updates(jnp.ones(1, jnp.bfloat16), jnp.asarray([0.003915], jnp.float32))
    assert added.dtype == jnp.bfloat16
    assert float(added[0]) == 1.0078125


def test_an_index_below_0_means_the_first_transform_also_op_by_op():
    tx = gx.switch(lambda count: -3.0, gx.scale(2.0), gx.scale(5.0))
    for update in (tx.update, jax.jit(tx.update)):
        np.testing.assert_array_equal(update(P, tx.init(P))[0]["b"], [0.5])


def test_schedule_free_weighs_by_the_largest_learning_rate_so_far():
    # It falls after the first step, and the weights stay: the average is the mean of all points.
    falling = schedules.piecewise_constant([1.0, 0.1], [1])
    tx = gx.schedule_free_averaging(falling, b1=0.5)
    params, state, points = jnp.zeros(1), tx.init(jnp.zeros(1)), []
    for _ in range(4):
        updates, state = tx.update(jnp.ones(1), state, params)
        params = gx.apply_updates(params, updates)
        points.append(len(points) + 1.0)
        np.testing.assert_allclose(gx.eval_params(state, params), np.mean(points), rtol=1e-6)


def test_in_a_box_with_crossing_bounds_the_upper_one_counts():
    tx = gx.project_box(2.0, -1.0)
    updates, _ = tx.update(P, tx.init(P), P)
    jax.tree.map(lambda p: np.testing.assert_allclose(p, -1.0, rtol=1e-6), gx.apply_updates(P, updates))


def test_of_axes_of_one_length_the_later_ones_are_factored():
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 3, 3)), jnp.float32)
    tx = gx.scale_by_factored_ema(0.0, min_dim_size_to_factor=2)
    _, state = tx.update(x, tx.init(x))
    np.testing.assert_allclose(state.row, jnp.mean(x, axis=2), rtol=1e-6)
    np.testing.assert_allclose(state.column, jnp.mean(x, axis=1), rtol=1e-6)


def test_extra_arguments_reach_what_stands_behind_a_norm():
    tx = gx.chain(gx.clip_by_global_norm(1e9), gx.scale_by_polyak(max_learning_rate=1e9))
    one, two = (tx.update(P, tx.init(P), P, value=value)[0]["b"] for value in (1.0, 2.0))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_a_measure_gets_half_precision_widened():
    seen = []

    def measure(updates):
        seen.extend(x.dtype for x in jax.tree.leaves(updates))
        return jnp.zeros(())

    tx = gx.record("seen", measure)
    half = gx.tree.cast(P, jnp.bfloat16)
    tx.update(half, tx.init(half), half)
    assert set(seen) == {jnp.dtype(jnp.float32)}


def test_what_a_norm_stores_stays_on_a_skipped_step():
    for tx in (gx.scale_by_global_rss(), gx.chain(gx.scale_by_global_rss(), gx.scale(0.1))):
        guarded = gx.skip_nonfinite(tx)
        _, first = guarded.update(P, guarded.init(P))
        spoilt = {**P, "b": jnp.asarray([jnp.nan])}
        for update in (guarded.update, jax.jit(guarded.update)):
            _, second = update(spoilt, first)
            jax.tree.map(np.testing.assert_array_equal, second.inner, first.inner)


def test_any_extra_argument_is_passed_on_or_ignored_whatever_it_is_called():
    names = ["step", "self", "extra", "names", "active", "encoding", "factor", "scope", "is_traced", "bound", "pending"]
    names += [
        "opened",
        "often",
        "context",
        "tx",
        "reading",
        "slots",
        "scalars",
        "layout",
        "calls",
        "x",
        "g",
        "p",
        "value",
    ]
    extras = {name: object() for name in names}
    seen = {}

    def update(updates, state, params=None, **extra):
        seen.update(extra)
        return updates, state

    users = gx.GradientTransformation(lambda params: (), update)
    for tx in (
        gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1), users),
        gx.let("m", gx.scale_by_ema(0.5), gx.add(gx.use("m"), users)),
        gx.skip_nonfinite(gx.partition({"a": users, "b": gx.sgd(0.1)}, {"w": "a", "b": "b"})),
        gx.inject(gx.chain(users, gx.adam(schedules.linear(0.1, 0.0, 3)))),
    ):
        seen.clear()
        plain = tx.update(P, tx.init(P), P)[0]
        with_extras = tx.update(P, tx.init(P), P, **extras)[0]
        jax.tree.map(np.testing.assert_array_equal, with_extras, plain)
        assert seen == extras
