"""Slow and averaged parameters, and gradients taken elsewhere: by hand, against Optax, and inside one another."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import schedules

PARAMS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray([0.5])}
ONLY_W = gx.by_path({"w": "a", "**": "b"})
CENTER = 3.0


def bowl(params):
    return jax.tree.map(lambda p: p - jnp.asarray(CENTER, p.dtype), params)


def path_of(tx, steps, params=PARAMS, **extra):
    """The parameters after each step down a bowl, and the last state."""

    @jax.jit
    def step(params, state):
        updates, state = tx.update(bowl(params), state, params, **extra)
        return gx.apply_updates(params, updates), state

    state, seen = tx.init(params), []
    for _ in range(steps):
        params, state = step(params, state)
        seen.append(params)
    return seen, state


def close(got, wanted, rtol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7), got, wanted)


# Lookahead.


@pytest.mark.parametrize("reset", [False, True])
def test_lookahead_by_hand(reset):
    seen, _ = path_of(gx.lookahead(gx.sgd(0.1, 0.9), 3, 0.5, reset), 8)
    for name, p in PARAMS.items():
        fast, slow, m = np.asarray(p, float), np.asarray(p, float), 0.0
        for step, got in enumerate(seen, 1):
            m = 0.9 * m + (fast - CENTER)
            fast = fast - 0.1 * m
            if step % 3 == 0:
                fast = slow = slow + 0.5 * (fast - slow)
                m = 0.0 if reset else m
            np.testing.assert_allclose(got[name], fast, rtol=1e-6)


def test_lookahead_of_optax():
    theirs = optax.lookahead(optax.adam(0.1), 4, 0.3)
    params = optax.LookaheadParams.init_synced(PARAMS)
    state = theirs.init(params)
    seen, _ = path_of(gx.lookahead(gx.adam(0.1), 4, 0.3), 9)
    step = jax.jit(theirs.update)
    for got in seen:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = step(bowl(params.fast), state, params)
        params = optax.apply_updates(params, updates)
        close(got, params.fast, rtol=3e-5)


def test_half_precision_does_not_wear_off_the_slow_parameters():
    # Steps of 1e-3 are lost on bfloat16 parameters near 1, but not on the slow ones.
    params = jnp.ones(2, jnp.bfloat16)
    tx = gx.lookahead(gx.scale(-1e-3), 1, 0.5)
    state = tx.init(params)
    _, state = tx.update(jnp.ones(2), state, params)
    np.testing.assert_allclose(state["slow"].params, 1 - 0.5e-3, rtol=1e-6)
    assert state["slow"].params.dtype == jnp.float32


def test_the_slow_step_size_may_follow_a_schedule_and_be_traced():
    wanted, _ = path_of(gx.lookahead(gx.sgd(0.1), 2, 0.5), 4)
    close(path_of(gx.lookahead(gx.sgd(0.1), 2, schedules.constant(0.5)), 4)[0], wanted)
    inner = gx.inject(gx.lookahead(gx.sgd(0.1), 2, 0.5))
    close(path_of(inner, 4)[0], wanted)


# Averages.


def test_the_uniform_average_is_the_mean_of_all_parameters():
    seen, state = path_of(gx.average_params(gx.adam(0.1)), 20)
    close(gx.eval_params(state, seen[-1]), jax.tree.map(lambda *xs: np.mean(xs, axis=0), *seen))


@pytest.mark.parametrize(("every", "start"), [(1, 3), (2, 3), (3, 1)])
def test_the_average_begins_at_its_start(every, start):
    tx, params = gx.average_params(gx.sgd(1.0), every=every, start=start), jnp.zeros(())
    state, seen = tx.init(params), []
    for step in range(1, 10):
        updates, state = tx.update(jnp.float32(-step), state, params)
        params = gx.apply_updates(params, updates)
        seen.append(float(params))
        averaged = [p for i, p in enumerate(seen, 1) if i > start and (i - start) % every == 0]
        np.testing.assert_allclose(gx.eval_params(state, params), np.mean(averaged or seen[-1]), rtol=1e-6)


def test_the_average_of_every_third_step():
    tx = gx.average_params(gx.sgd(0.1), every=3)
    seen, state = path_of(tx, 2)
    close(gx.eval_params(state, seen[-1]), seen[-1])  # nothing was averaged yet
    seen, state = path_of(tx, 11)
    close(gx.eval_params(state, seen[-1]), jax.tree.map(lambda *xs: np.mean(xs, axis=0), *seen[2::3]))


def test_the_moving_average_is_the_corrected_one_of_optax():
    seen, state = path_of(gx.average_params(gx.sgd(0.1), 0.9), 12)
    theirs = optax.ema(0.9)
    ema = theirs.init(PARAMS)
    for params in seen:
        with jax.numpy_dtype_promotion("standard"):
            average, ema = theirs.update(params, ema)
    close(gx.eval_params(state, seen[-1]), average, rtol=1e-5)


def test_the_first_average_is_the_first_parameters():
    for decay in (0.0, 0.999, 1.0, schedules.linear(0.5, 0.9, 3)):
        seen, state = path_of(gx.average_params(gx.sgd(0.1), decay), 1)
        close(gx.eval_params(state, seen[0]), seen[0], rtol=0)


def test_before_any_step_there_are_the_parameters():
    state = gx.average_params(gx.sgd(0.1)).init(PARAMS)
    close(gx.eval_params(state, PARAMS), PARAMS, rtol=0)


def test_the_average_of_a_million_steps_is_as_exact():
    # A sum of a million weights in float32, and a moving average whose weight hardly changes.
    def run(tx):
        def step(state, x):
            return tx.update(jnp.zeros(()), state, x)[1], None

        return jax.lax.scan(step, tx.init(jnp.zeros(())), jnp.cos(jnp.arange(1e6)) + 1)[0]

    values = np.cos(np.arange(1e6)) + 1
    uniform, moving = jax.jit(
        lambda: (run(gx.average_params(gx.identity())), run(gx.average_params(gx.identity(), 1 - 1e-5)))
    )()
    np.testing.assert_allclose(uniform.average, values.mean(), rtol=2e-5)
    np.testing.assert_allclose(uniform.weight[0], 1e6)
    np.testing.assert_allclose(moving.weight[0], 1e5 * -np.expm1(1e6 * np.log1p(-1e-5)), rtol=3e-7)


def test_averages_are_kept_in_float32_and_read_in_the_dtype_of_the_parameters():
    params = jnp.asarray([1.0], jnp.bfloat16)
    tx = gx.average_params(gx.sgd(1.0))
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(jnp.asarray([-0.0078125], jnp.bfloat16), state, params)
        params = gx.apply_updates(params, updates)
    assert state.average.dtype == jnp.float32
    np.testing.assert_array_equal(state.average, [1.01171875])  # 1.5 units in the last place of bfloat16
    assert gx.eval_params(state, params).dtype == jnp.bfloat16


def test_an_infinite_parameter_does_not_become_nan():
    _, state = path_of(gx.average_params(gx.identity(), 0.9), 1, jnp.asarray([jnp.inf, 1.0]))
    assert not jnp.any(jnp.isnan(state.average))


# Where averages are found.

AVERAGED = gx.average_params(gx.sgd(0.1))
NESTS = {
    "chain": gx.chain(gx.clip(10.0), AVERAGED),
    "named chain": gx.chain(("opt", AVERAGED)),
    "inject": gx.inject(gx.average_params(gx.sgd(0.1), 1.0)),
    "scheduled": gx.average_params(gx.sgd(0.1), schedules.constant(1.0)),
    "partition of everything": gx.partition({"a": AVERAGED}, gx.by_path({"**": "a"})),
    "two groups": gx.partition({"a": AVERAGED, "b": AVERAGED}, ONLY_W),
    "accumulation": gx.accumulate_gradients(AVERAGED, 1),
    "skip": gx.skip_nonfinite(AVERAGED),
    "lookahead": gx.lookahead(AVERAGED, 100, 0.5),
    "optax": optax.chain(optax.identity(), AVERAGED),
    "pairs": gx.split_complex(AVERAGED),
    "around a partition": gx.average_params(gx.partition({"a": gx.sgd(0.1), "b": gx.sgd(0.1)}, ONLY_W)),
}


@pytest.mark.parametrize("name", NESTS)
def test_averages_are_found_anywhere(name):
    seen, state = path_of(NESTS[name], 3)
    close(gx.eval_params(state, seen[-1]), jax.tree.map(lambda *xs: np.mean(xs, axis=0), *seen))


@pytest.mark.parametrize(
    "tx",
    [
        gx.partition({"a": AVERAGED, "b": gx.sgd(0.1)}, ONLY_W),
        gx.masked(AVERAGED, gx.by_path({"w": True, "**": False}), rest=gx.sgd(0.1)),
    ],
    ids=["partition", "masked"],
)
def test_parameters_without_an_average_are_as_they_are(tx):
    seen, state = path_of(tx, 3)
    got = gx.eval_params(state, seen[-1])
    close(got["w"], np.mean([one["w"] for one in seen], axis=0))
    close(got["b"], seen[-1]["b"], rtol=0)


def test_averages_of_complex_parameters_through_their_halves():
    params = {"z": jnp.asarray([1 + 2j]), "x": jnp.ones(1)}
    split = gx.split_complex(gx.masked(AVERAGED, gx.by_path({"z/*": True, "**": False})))
    for tx in (AVERAGED, split):
        seen, state = path_of(tx, 3, params)
        got = gx.eval_params(state, seen[-1])
        close(got["z"], np.mean([one["z"] for one in seen], axis=0))
        assert got["z"].dtype == jnp.complex64


def test_averages_of_stacked_layers_and_mapped_runs():
    params = jnp.arange(6.0).reshape(3, 2)
    for tx in (gx.over_layers(AVERAGED), gx.over_layers(AVERAGED, axis=0)):
        seen, state = path_of(tx, 3, params)
        close(gx.eval_params(state, seen[-1]), np.mean(seen, axis=0))
    states = jax.vmap(AVERAGED.init)(params)
    close(gx.eval_params(states, params), params)


def test_frozen_integers_are_read_as_they_are():
    params = {"w": jnp.ones(2), "ids": jnp.arange(3)}
    tx = gx.masked(AVERAGED, gx.where(lambda path, p: path != "ids"), rest=gx.set_to_zero())
    state = tx.init(params)
    close(gx.eval_params(state, params), params, rtol=0)


def test_what_cannot_be_read():
    with pytest.raises(
        ValueError, match=r"eval_params: the state holds no averaged parameters; wrap .*average_params\(tx\)"
    ):
        gx.eval_params(gx.adam(0.1).init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match="the state holds no averaged parameters"):
        gx.eval_params(gx.split_complex(gx.adam(0.1)).init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match="eval_params: 2 parts of the state average 'b'; give the state of one"):
        gx.eval_params(gx.parallel(jnp.add, AVERAGED, AVERAGED).init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match="the structures of the parameters and the averages differ"):
        gx.eval_params(AVERAGED.init(PARAMS), {"w": PARAMS["w"], "c": PARAMS["b"]})


# Gradients elsewhere.


def test_sharpness_aware_by_hand():
    p, rho = np.asarray([1.0, -2.0, 0.5]), 0.3
    g = p - CENTER
    ahead = p + rho * g / np.linalg.norm(g)
    seen, _ = path_of(gx.sharpness_aware(gx.sgd(0.1), rho), 1, jnp.asarray(p, jnp.float32), grad_fn=bowl)
    np.testing.assert_allclose(seen[0], p - 0.1 * (ahead - CENTER), rtol=1e-6)
    ahead = p + rho * p**2 * g / np.linalg.norm(np.abs(p) * g)
    tx = gx.sharpness_aware(gx.sgd(0.1), rho, adaptive=True)
    seen, _ = path_of(tx, 1, jnp.asarray(p, jnp.float32), grad_fn=bowl)
    np.testing.assert_allclose(seen[0], p - 0.1 * (ahead - CENTER), rtol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e25])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_perturbation_has_its_size_whatever_the_gradient(adaptive, size):
    tx, points = gx.sharpness_aware(gx.identity(), 0.5, adaptive), []

    def grad_fn(params):
        points.append(params)
        return params

    tx.update(jnp.asarray([3 * size, 4 * size]), tx.init(jnp.ones(2)), jnp.ones(2), grad_fn=grad_fn)
    np.testing.assert_allclose(points[0] - 1, [0.3, 0.4] if size else [0.0, 0.0], rtol=1e-5)


def test_the_gradient_elsewhere_gets_parameters_in_their_own_dtype():
    params = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(1, jnp.complex64)}
    for tx in (gx.sharpness_aware(gx.adam(0.1), adaptive=True), gx.extrapolated_gradient(gx.sgd(0.1), 0.9, points=2)):
        seen = []

        def grad_fn(params, seen=seen):
            seen.append(jax.tree.map(lambda p: p.dtype, params))
            return params

        tx.update(params, tx.init(params), params, grad_fn=grad_fn)
        assert all(dtypes == {"w": jnp.bfloat16, "z": jnp.complex64} for dtypes in seen)


def test_the_textbook_nesterov_is_nesterov_seen_from_behind():
    behind, state = path_of(gx.nesterov_lookahead(0.1, 0.8), 10, grad_fn=bowl)
    ahead, _ = path_of(gx.nesterov(0.1, 0.8), 10)
    close(jax.tree.map(lambda p, v: p + 0.8 * v, behind[-1], state.momentum), ahead[-1], rtol=1e-5)
    close(path_of(gx.extrapolated_gradient(gx.sgd(0.1), 0.0), 3, grad_fn=bowl)[0], path_of(gx.sgd(0.1), 3)[0])


def test_a_partition_inside_sees_all_parameters_at_the_other_place():
    inside = gx.sharpness_aware(gx.partition({"a": gx.sgd(0.1), "b": gx.sgd(0.1)}, ONLY_W), 0.3)
    close(path_of(inside, 3, grad_fn=bowl)[0], path_of(gx.sharpness_aware(gx.sgd(0.1), 0.3), 3, grad_fn=bowl)[0])


@gx.transformation
def _reads_value():
    def update(updates, state, params, *, value):
        return jax.tree.map(lambda g: value * g, updates), state

    return gx.treewise(update)


WRAPPERS = {
    "lookahead": lambda tx: gx.lookahead(tx, 2, 0.5),
    "average_params": gx.average_params,
    "sharpness_aware": gx.sharpness_aware,
    "sharpness_aware, adaptive": lambda tx: gx.sharpness_aware(tx, adaptive=True),
    "extrapolated_gradient": lambda tx: gx.extrapolated_gradient(tx, 0.5, points=2),
    "split_complex": gx.split_complex,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_inside_and_around_partitions(name):
    wrap = WRAPPERS[name]
    txs = [
        gx.partition({"a": wrap(gx.sgd(0.1, 0.9)), "b": gx.sgd(0.1)}, ONLY_W),
        gx.masked(wrap(gx.sgd(0.1, 0.9)), gx.by_path({"w": True, "**": False}), rest=gx.sgd(0.1)),
        wrap(gx.partition({"a": gx.sgd(0.1, 0.9), "b": gx.sgd(0.1)}, ONLY_W)),
        wrap(gx.masked(gx.sgd(0.1, 0.9), gx.by_path({"w": True, "**": False}), rest=gx.sgd(0.1))),
    ]
    alone, _ = path_of(wrap(gx.sgd(0.1, 0.9)), 4, {"w": PARAMS["w"]}, grad_fn=bowl)
    for index, tx in enumerate(txs):
        seen, state = path_of(tx, 4, grad_fn=bowl)
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(PARAMS))
        if index < 2 or "sharpness" not in name:  # whose norm is of all leaves that it sees
            close([one["w"] for one in seen], [one["w"] for one in alone], rtol=1e-5)


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_of_schedules_of_optax_and_of_what_needs_extras(name):
    wrap = WRAPPERS[name]
    wanted = path_of(wrap(gx.sgd(0.1)), 3, grad_fn=bowl)[0]
    for inner in (
        gx.sgd(schedules.constant(0.1)),
        optax.sgd(0.1),
        gx.chain(_reads_value(), gx.sgd(0.1)),
    ):
        close(path_of(wrap(inner), 3, grad_fn=bowl, value=1.0)[0], wanted)


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_the_wrappers_refuse(name):
    tx, outer = WRAPPERS[name](gx.sgd(0.1, 0.9)), name.split(",")[0]
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match=f"in {outer}: (this is|expected) the state of (another|{outer} as)"):
        tx.update(PARAMS, gx.sgd(0.1, 0.9).init(PARAMS), PARAMS, grad_fn=bowl)
    with pytest.raises(TypeError, match=f"in {outer}: expected a transform"):
        WRAPPERS[name](3).init(PARAMS)
    if outer != "split_complex":
        with pytest.raises(ValueError, match=f"in {outer}: expected the parameters, got None"):
            tx.update(PARAMS, state, grad_fn=bowl)
        with pytest.raises(TypeError, match=f"in {outer}.*the leaf 'n' of the parameters is int32"):
            tx.init({"n": jnp.arange(2)})


def test_numbers_and_functions_that_are_refused():
    with pytest.raises(ValueError, match="in lookahead: sync_period: expected a positive whole number, got 0"):
        gx.lookahead(gx.sgd(0.1), 0, 0.5).init(PARAMS)
    with pytest.raises(ValueError, match=r"in average_params: every: expected a positive whole number, got 1\.5"):
        gx.average_params(gx.sgd(0.1), every=1.5).init(PARAMS)
    with pytest.raises(ValueError, match=r"average_params: decay: expected a number in \[0, 1\], got -1"):
        gx.average_params(gx.sgd(0.1), -1)
    with pytest.raises(
        ValueError, match="in extrapolated_gradient: points: expected a positive whole number, got True"
    ):
        gx.extrapolated_gradient(gx.sgd(0.1), 0.5, points=True).init(PARAMS)
    tx = gx.sharpness_aware(gx.sgd(0.1))
    state = tx.init(PARAMS)
    with pytest.raises(
        TypeError, match=r"in sharpness_aware: the extra argument 'grad_fn' is missing.*; call .*grad_fn=\.\.\."
    ):
        tx.update(PARAMS, state, PARAMS)
    with pytest.raises(TypeError, match="grad_fn: expected a function of the parameters that returns gradients, got 3"):
        tx.update(PARAMS, state, PARAMS, grad_fn=3)
    with pytest.raises(ValueError, match="structures of the updates and the gradients of grad_fn differ"):
        tx.update(PARAMS, state, PARAMS, grad_fn=lambda params: (0.0, params))
