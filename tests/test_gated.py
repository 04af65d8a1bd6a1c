"""Transforms that run at some steps only: what does not run is not computed, and nothing of it moves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stepping import gradients_like, run

import gradtx as gx
from gradtx import schedules

P = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
NAN = {"a": jnp.asarray([1.0, jnp.nan]), "b": jnp.asarray(0.5)}

_gradients, _run = partial(gradients_like, P), partial(run, params=P)


def _same(got, wanted):
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def _close(got, wanted):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), got, wanted)


def _zero(updates):
    return all(not np.any(x) for x in jax.tree.leaves(updates))


WRAPPERS = {
    "accumulate_gradients": lambda tx: gx.accumulate_gradients(tx, 2),
    "skip_nonfinite": gx.skip_nonfinite,
    "conditional": lambda tx: gx.conditional(tx, lambda count: count % 2 == 1),
    "switch": lambda tx: gx.switch(lambda count: count % 2, gx.set_to_zero(), tx),
}
by_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


# Any of them, in any place.


@by_wrapper
def test_under_a_partition_and_over_it(wrap):
    gradients, labels = _gradients(4), {"a": "x", "b": "y"}
    x, y = gx.sgd(0.1, 0.9), gx.sgd(0.2)
    alone = {key: _run(wrap(tx), gradients)[0] for key, tx in (("a", x), ("b", y))}
    wanted = [{key: alone[key][step][key] for key in "ab"} for step in range(4)]
    _close(_run(gx.partition({"x": wrap(x), "y": wrap(y)}, labels), gradients)[0], wanted)
    _close(_run(wrap(gx.partition({"x": x, "y": y}, labels)), gradients)[0], wanted)
    _close(_run(gx.masked(wrap(x), {"a": True, "b": False}, rest=wrap(y)), gradients)[0], wanted)
    _close(_run(wrap(gx.masked(x, {"a": True, "b": False}, rest=y)), gradients)[0], wanted)


@by_wrapper
def test_a_transform_of_optax_inside(wrap):
    gradients = _gradients(4)
    _close(_run(wrap(optax.sgd(0.1, 0.9)), gradients)[0], _run(wrap(gx.sgd(0.1, 0.9)), gradients)[0])
    # Optax makes these moments in the dtype of the parameters, and gives them back in that of the gradients.
    half, tx = gx.tree.cast(P, jnp.bfloat16), wrap(optax.sgd(0.1, 0.9))
    with jax.numpy_dtype_promotion("standard"):
        state = _run(tx, gradients, params=half)[1][-1]
    assert [x.dtype for x in jax.tree.leaves(state)] == [x.dtype for x in jax.tree.leaves(tx.init(half))]


@by_wrapper
def test_numbers_inside_are_found_shown_and_set(wrap):
    tx = wrap(gx.sgd(schedules.linear(1.0, 0.0, 4), 0.9))
    state = _run(tx, _gradients(4))[1][-1]
    ran = 4 if wrap is gx.skip_nonfinite else 2
    assert gx.get_hyperparams(state)["learning_rate"] == 1 - (ran - 1) / 4, "it counts its own updates, from 0"
    assert "add_momentum" in str(gx.describe(tx))
    assert gx.summary(tx, P).nbytes == gx.tree.nbytes(tx.init(P))

    tx = gx.inject(wrap(gx.scale(2.0)))
    state = gx.set_hyperparams(tx.init(P), factor=3.0)
    for _ in range(2):
        updates, state = tx.update(P, state)
    _close(updates, jax.tree.map(lambda p: 3 * p, P))


@by_wrapper
def test_what_does_not_run_is_not_computed(wrap):
    ran = []

    def update(updates, state, params=None):
        jax.debug.callback(lambda: ran.append(1))
        return jax.tree.map(jax.lax.erf_inv, updates), state

    tx = wrap(gx.GradientTransformation(lambda params: (), update))
    wanted = 4 if wrap is gx.skip_nonfinite else 2
    _run(tx, _gradients(4))
    jax.effects_barrier()
    assert len(ran) == wanted
    if wrap is gx.skip_nonfinite:  # which has to compute it to see whether it is finite
        return
    program = jax.make_jaxpr(tx.update)(P, tx.init(P))
    assert not any(equation.primitive.name == "erf_inv" for equation in program.eqns)
    branches = [branch for equation in program.eqns for branch in equation.params.get("branches", ())]
    assert sum("erf_inv" in str(branch) for branch in branches) == 1


@by_wrapper
def test_extras_and_parameters_reach_the_inside(wrap):
    def update(updates, state, params, *, value):
        return jax.tree.map(lambda p: value * p, params), state

    tx = wrap(gx.GradientTransformation(lambda params: (), update))
    updates = _run(tx, _gradients(2), value=[3.0, 4.0])[0][-1]
    _close(updates, jax.tree.map(lambda p: 4 * p, P))
    with pytest.raises(TypeError, match="the extra argument 'value' is missing"):
        jax.jit(lambda g, s: tx.update(g, s, P))(P, _run(tx, _gradients(1), value=1.0)[1][0])


@by_wrapper
def test_eager_steps_are_the_compiled_ones(wrap):
    tx, gradients = wrap(gx.sgd(0.1, 0.9)), _gradients(2)
    wanted, states = _run(tx, gradients)
    state = tx.init(P)
    for g, u in zip(gradients, wanted, strict=True):
        got, state = tx.update(g, state, P)
        _close(got, u)
    _close(state, states[-1])


@by_wrapper
def test_bad_input(wrap):
    with pytest.raises(TypeError, match=r"expected a transform, something with \.init and \.update, got 3"):
        wrap(3).init(P)
    with pytest.raises(ValueError, match="expected the state of"):
        wrap(gx.adam(0.1)).update(P, gx.adam(0.1).init(P))
    with pytest.raises(TypeError, match="the leaf 'ids' of the parameters is int32"):
        wrap(gx.adam(0.1)).init({"ids": jnp.ones(2, jnp.int32)})


# skip_nonfinite.


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_what_comes_in_is_checked(bad):
    g = _gradients(3)
    g[1] = {"a": jnp.asarray([bad, 1.0]), "b": jnp.ones(())}
    out, states = _run(gx.skip_nonfinite(gx.adam(0.1)), g)
    assert _zero(out[1])
    _same(states[1].inner, states[0].inner)
    assert [(int(s.total), int(s.consecutive), bool(s.skipped)) for s in states] == [
        (0, 0, False),
        (1, 1, True),
        (1, 0, False),
    ]
    wanted = _run(gx.adam(0.1), [g[0], g[2]])[0]
    _close([out[0], out[2]], wanted)


def test_what_comes_out_is_checked():
    overflowing = gx.chain(gx.add_momentum(0.9), gx.square(), gx.square())
    g = [jax.tree.map(lambda p, s=size: s * jnp.ones_like(p), P) for size in (1.0, 1e12, 1.0)]
    out, states = _run(gx.skip_nonfinite(overflowing), g)
    assert [bool(s.skipped) for s in states] == [False, True, False]
    assert _zero(out[1])
    _same(states[1].inner, states[0].inner)
    np.testing.assert_allclose(out[2]["a"], 1.9**4, rtol=1e-6)


def test_after_enough_in_a_row_it_goes_through():
    good = _gradients(1)[0]
    tx = gx.skip_nonfinite(gx.scale(2.0), max_consecutive=2)
    out, states = _run(tx, [NAN, NAN, NAN, NAN, good, NAN])
    assert [bool(s.skipped) for s in states] == [True, True, False, False, False, True]
    assert [int(s.consecutive) for s in states] == [1, 2, 3, 4, 0, 1]
    assert int(states[-1].total) == 3
    for step in (2, 3):
        np.testing.assert_array_equal(out[step]["a"], [2.0, jnp.nan])
    theirs = _run(optax.apply_if_finite(optax.scale(2.0), 2), [NAN, NAN, NAN, NAN, good, NAN])[0]
    _same(out, theirs)


def test_without_a_limit_none_ever_goes_through():
    out, states = _run(gx.skip_nonfinite(gx.identity()), [NAN] * 5)
    assert all(map(_zero, out))
    assert int(states[-1].consecutive) == int(states[-1].total) == 5


def test_each_member_of_a_batch_is_judged_alone():
    tx = gx.skip_nonfinite(gx.adam(0.1))
    params = jnp.ones((3, 2))
    g = params.at[1, 0].set(jnp.nan)
    first = jax.vmap(tx.init)(params)
    out, state = jax.jit(jax.vmap(tx.update))(g, first)
    np.testing.assert_allclose(out, [[-0.1, -0.1], [0, 0], [-0.1, -0.1]], rtol=1e-5)
    np.testing.assert_array_equal(state.skipped, [False, True, False])
    for new, old in zip(jax.tree.leaves(state.inner), jax.tree.leaves(first.inner), strict=True):
        np.testing.assert_array_equal(new[1], old[1])

    def total(rate, g):
        tx = gx.skip_nonfinite(gx.adam(rate))
        return jnp.sum(jax.vmap(lambda g: tx.update(g, tx.init(g))[0])(g))

    by_rate, by_gradient = jax.jit(jax.grad(total, argnums=(0, 1)))(0.1, g)
    np.testing.assert_allclose(by_rate, -4, rtol=1e-5)
    assert np.all(np.isfinite(by_gradient))


def test_mixed_complex_integer_and_empty_leaves():
    params = {
        "half": jnp.ones(2, jnp.bfloat16),
        "z": jnp.ones(2, jnp.complex64),
        "ids": jnp.arange(3),
        "none": None,
        "empty": jnp.zeros((0, 2)),
    }
    tx = gx.skip_nonfinite(
        gx.masked(gx.scale(-1.0), {"ids": False, **dict.fromkeys(["half", "z", "none", "empty"], True)})
    )
    g = {**params, "ids": np.zeros(3, jax.dtypes.float0)}
    bad = {**g, "z": jnp.asarray([1.0, complex(0.0, np.nan)], jnp.complex64)}
    state = tx.init(params)
    for one, factor in ((g, -1), (bad, 0)):
        out, state = jax.jit(lambda state, one=one: tx.update(one, state, params))(state)
        eager = tx.update(one, tx.init(params), params)[0]
        for updates in (out, eager):
            np.testing.assert_array_equal(updates["z"], factor * np.ones(2))
            np.testing.assert_array_equal(updates["half"], factor * np.ones(2))
            assert updates["half"].dtype == jnp.bfloat16
            assert gx.apply_updates(params, updates)["ids"].dtype == params["ids"].dtype
    assert bool(state.skipped)


def test_has_nonfinite():
    assert not gx.has_nonfinite({})
    assert not gx.has_nonfinite({"ids": jnp.arange(2), "none": None, "empty": jnp.zeros(0)})
    assert gx.has_nonfinite(NAN)
    assert gx.has_nonfinite([jnp.float16(jnp.inf), jnp.ones(2)])


@pytest.mark.parametrize("wrong", [0, -1, 1.0, True])
def test_a_limit_that_is_no_whole_number(wrong):
    with pytest.raises(
        ValueError, match=f"in skip_nonfinite: max_consecutive: expected a positive whole number, got {wrong}"
    ):
        gx.skip_nonfinite(gx.identity(), wrong).init(P)


# conditional and switch.


def test_conditional_is_optaxs_transform_and_mask():
    g, at = _gradients(5), lambda count: count % 3 == 0
    _close(
        _run(gx.conditional(gx.sgd(0.1, 0.9), at), g)[0],
        _run(optax.conditionally_transform(optax.sgd(0.1, 0.9), at), g)[0],
    )
    _close(
        _run(gx.conditional(gx.sgd(0.1, 0.9), at, otherwise=gx.set_to_zero()), g)[0],
        _run(optax.conditionally_mask(optax.sgd(0.1, 0.9), at), g)[0],
    )


def test_a_predicate_sees_the_count_from_0_and_the_extras_it_names():
    seen = []

    def predicate(count, *, value, limit=2.0):
        seen.append((count.dtype, limit))
        return (count > 0) & (value < limit)

    tx = gx.conditional(gx.scale(-1.0), predicate)
    out, states = _run(tx, [P] * 4, value=[1.0, 1.0, 3.0, 1.0], unheard_of=1)
    assert [float(u["b"]) for u in out] == [0.5, -0.5, 0.5, -0.5]
    assert set(seen) == {(jnp.dtype(jnp.int32), 2.0)}
    assert int(states[-1].count) == 4
    assert [float(u["b"]) for u in _run(tx, [P] * 2, value=3.0, limit=4.0)[0]] == [0.5, -0.5]
    with pytest.raises(
        TypeError, match=r"in conditional: the extra argument 'value' is missing.*; call .* value=\.\.\."
    ):
        tx.update(P, tx.init(P))


def test_conditions_by_schedule_and_by_the_name_of_an_extra():
    tx = gx.conditional(gx.scale(-1.0), schedules.piecewise_constant([0, 1], [2]))
    assert [float(u["b"]) for u in _run(tx, [P] * 3)[0]] == [0.5, 0.5, -0.5]
    assert gx.from_config(gx.to_config(tx)) == tx
    tx = gx.conditional(gx.scale(-1.0), "go")
    assert [float(u["b"]) for u in _run(tx, [P] * 3, go=[True, False, 1])[0]] == [-0.5, 0.5, -0.5]
    with pytest.raises(TypeError, match="in conditional: the extra argument 'go' is missing"):
        tx.update(P, tx.init(P))
    with pytest.raises(ValueError, match=r"expected a scalar from predicate, got the shape \(2,\)"):
        tx.update(P, tx.init(P), go=jnp.ones(2))
    with pytest.raises(
        TypeError, match="predicate: expected a function of the step count, or the name of an extra argument, got 3"
    ):
        gx.conditional(gx.scale(1.0), 3).update(P, gx.conditional(gx.scale(1.0), 3).init(P))


def test_updates_have_the_wider_dtype_of_the_two():
    g = gx.tree.cast(P, jnp.bfloat16)
    out, _ = _run(gx.conditional(gx.scale(-1.0), lambda count: count == 1), [g, g])
    assert {u.dtype for u in jax.tree.leaves(out)} == {jnp.dtype(jnp.float32)}


def test_switch_runs_the_one_of_the_index_and_the_others_stay():
    tx = gx.switch("phase", gx.sgd(0.1, 0.9), gx.adam(0.1), gx.identity())
    g = _gradients(5)
    out, states = _run(tx, g, phase=[0, 1, 0, 1, 2])
    _close([out[0], out[2]], _run(gx.sgd(0.1, 0.9), [g[0], g[2]])[0])
    _close([out[1], out[3]], _run(gx.adam(0.1), [g[1], g[3]])[0])
    _same(out[4], g[4])
    _same(states[1][0], states[0][0])
    _same(states[2][1], states[1][1])
    assert int(states[-1][-1]) == 5


def test_an_index_is_rounded_down_and_stays_in_range():
    tx = gx.switch(lambda count: 2 * count - 1, gx.scale(1.0), gx.scale(2.0), gx.scale(3.0))
    assert [float(u["b"] / 0.5) for u in _run(tx, [P] * 4)[0]] == [1, 2, 3, 3]
    scheduled = gx.switch(schedules.linear(0, 3, 6), gx.scale(1.0), gx.scale(2.0), gx.scale(3.0))
    assert [float(u["b"] / 0.5) for u in _run(scheduled, [P] * 6)[0]] == [1, 1, 2, 2, 3, 3]
    with pytest.raises(TypeError, match="in switch: expected at least one transform"):
        gx.switch("phase").init(P)
    with pytest.raises(ValueError, match="expected a scalar from index"):
        tx.replace(index="i").update(P, tx.init(P), i=jnp.arange(2))


# freeze.


def test_freeze_keeps_some_leaves_as_they_are():
    params = {"w": jnp.ones(2), "ids": jnp.arange(3), "frozen": {"w": jnp.ones(2)}}
    tx = gx.chain(gx.freeze(gx.by_path({"ids": True, "frozen/**": True, "**": False})))
    g = {"w": jnp.ones(2), "ids": np.zeros(3, jax.dtypes.float0), "frozen": {"w": jnp.ones(2)}}
    updates, _ = tx.update(g, tx.init(params), params)
    new = gx.apply_updates(params, updates)
    _same((new["ids"], new["frozen"]), (params["ids"], params["frozen"]))
    np.testing.assert_array_equal(new["w"], 2)
    assert gx.freeze(True).expression == gx.masked(gx.set_to_zero(), True)
