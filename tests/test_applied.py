"""Within `make_train_step`, a step inside a window of `accumulate_gradients` leaves parameters and state in place.

What comes of it is what `update` and `apply_updates` give by hand; `tests/test_chips.py` counts the bytes.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from stepping import gradients_like
from test_everywhere import COMBINATORS, INNER, P, by_name

import gradtx as gx
from gradtx._core.context import Built


@jax.custom_vjp
def loss(params, grads):
    """A loss whose gradient is an argument."""
    return jnp.zeros(())


loss.defvjp(lambda params, grads: (jnp.zeros(()), grads), lambda grads, _: (grads, None))

EXTRA = {"value": 1.0, "grad_fn": lambda params: params}


def by_hand(tx, params, gradients):
    """Parameters and state after each step, by `update` and `apply_updates`."""

    @jax.jit
    def step(params, state, g):
        updates, state = tx.update(g, state, params, **EXTRA, value_and_grad_fn=lambda p: (jnp.zeros(()), g))
        return gx.apply_updates(params, updates), state

    return _steps(step, tx, params, gradients)


def in_train_step(tx, params, gradients):
    return _steps(gx.make_train_step(loss, tx, donate=False), tx, params, gradients)


def _steps(step, tx, params, gradients):
    state, found = tx.init(params), []
    for g in gradients:
        params, state = step(params, state, g)[:2]
        found.append((params, state))
    return found


def _close(got, expected):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(np.float64(x), np.float64(y), rtol=1e-5, atol=1e-7), got, expected
    )
    assert jax.tree.map(jnp.result_type, got) == jax.tree.map(jnp.result_type, expected)


def _equal(got, expected):
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.slow
@by_name
def test_every_combinator_in_a_window(name):
    # Not by `make_train_step`, which refuses what ascends.
    tx, gradients = gx.accumulate_gradients(COMBINATORS[name](INNER), 2), gradients_like(P, 4)

    @jax.jit
    def step(params, state, g):
        return tx._checked(Built.apply, g, state, params, EXTRA | {"value_and_grad_fn": lambda p: (jnp.zeros(()), g)})

    found = _steps(step, tx, P, gradients)
    _close(found, by_hand(tx, P, gradients))
    _equal((found[2][0], found[2][1].inner), (found[1][0], found[1][1].inner))
    assert any(np.any(x != y) for x, y in zip(*map(jax.tree.leaves, (found[3][0], P)), strict=True))


@pytest.mark.parametrize(
    "tx",
    [
        gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(gx.schedules.linear(0.1, 0.0, 4))),
        gx.skip_nonfinite(gx.sgd(0.1)),
        gx.accumulate_gradients(gx.sgd(0.1), 2),
    ],
    ids=["clip + adamw", "not cheap", "a window of windows"],
)
def test_what_is_in_the_window(tx):
    gradients = gradients_like(P, 8)
    _close(*(run(gx.accumulate_gradients(tx, 2), P, gradients) for run in (in_train_step, by_hand)))


@pytest.mark.parametrize("tx", [gx.adamw(0.1), gx.master_weights(gx.adamw(1e-4))], ids=["adamw", "master weights"])
def test_half_precision_and_no_leaf(tx):
    params = {"w": jnp.asarray([1.0, -2.0], jnp.bfloat16), "x": jnp.float32(0.5), "none": None}
    half = {"w": params["w"], "x": params["x"]}

    def bowl(params, x):
        return jnp.sum((x * params["w"].astype(jnp.float32)) ** 2) + params["x"] ** 2

    @jax.jit
    def step(p, state, x):
        g = jax.grad(lambda p: bowl(params | p, x))(p)
        updates, state = tx.update(g, state, p)
        return gx.apply_updates(p, updates), state

    batches = [jnp.float32(x) for x in (1.0, 2.0, 3.0, 4.0)]
    tx = gx.accumulate_gradients(tx, 2)
    expected = _steps(step, tx, half, batches)
    found = _steps(gx.make_train_step(bowl, tx, donate=False), tx, params, batches)
    for (p, _), (q, _) in zip(found, expected, strict=True):
        _close({name: p[name] for name in half}, q)
        assert p["none"] is None


def test_skipped_gradients_and_a_window_that_grows():
    g, tx = gradients_like(P, 8), gx.adamw(0.1)
    g[1] = jax.tree.map(lambda x: jnp.nan * x, g[1])
    tx = gx.accumulate_gradients(tx, gx.schedules.piecewise_constant([1, 2], [2]), skip=gx.has_nonfinite)
    _close(in_train_step(tx, P, g), by_hand(tx, P, g))


def _trained(steps, rate, spread):
    """The loss after two windows."""

    def bowl(params, x=1.0):
        return jnp.sum((x * params["a"] - 1.0) ** 2) + jnp.sum(params["b"] ** 2)

    tx = gx.accumulate_gradients(gx.adamw(rate), 2)
    gradients = [lambda p, x=x: jax.grad(bowl)(p, spread * x) for x in (1.0, 2.0, 3.0, 4.0)]
    params, state = P, tx.init(P)
    for gradient in gradients:
        params, state = steps(tx)(params, state, gradient(params))
    return bowl(params)


def _step_by_hand(tx):
    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return gx.apply_updates(params, updates), state

    return step


def _train_step(tx):
    step = gx.make_train_step(loss, tx, donate=False)
    return lambda *arguments: step(*arguments)[:2]


def test_derivatives_both_ways_and_a_sweep():
    found, expected = (jax.jit(partial(_trained, steps)) for steps in (_train_step, _step_by_hand))
    slopes = jax.jit(jax.grad(found, argnums=(0, 1)))(0.1, 1.0)
    np.testing.assert_allclose(slopes, jax.grad(expected, argnums=(0, 1))(0.1, 1.0), rtol=1e-4)
    for index, direction in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        np.testing.assert_allclose(jax.jvp(found, (0.1, 1.0), direction)[1], slopes[index], rtol=1e-4)
    rates = jnp.asarray([0.01, 0.1])
    got = jax.vmap(found, in_axes=(0, None))(rates, 1.0)
    np.testing.assert_allclose(got, [expected(rate, 1.0) for rate in rates], rtol=1e-5)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
@pytest.mark.parametrize("inner", [gx.adamw(0.1), gx.lamb(0.1)], ids=["adamw", "lamb"])
def test_sharded_parameters_stay_where_they_are(kind, inner):
    mesh = jax.make_mesh((3,), ("d",), axis_types=(kind,), devices=jax.devices()[:3])
    tx, gradients = gx.accumulate_gradients(inner, 2), gradients_like(P, 4)
    spread = NamedSharding(mesh, PartitionSpec("d"))
    with jax.set_mesh(mesh):
        found = in_train_step(tx, jax.device_put(P, spread), jax.device_put(gradients, spread))
    assert all(p.sharding.is_equivalent_to(spread, p.ndim) for p in jax.tree.leaves(found[-1][0]))
    _close(jax.device_get(found), jax.device_get(by_hand(tx, P, gradients)))


@pytest.mark.parametrize("skip", [None, gx.has_nonfinite], ids=["all", "skip"])
def test_within_shard_map(skip):
    """With `skip` each device may have a window of its own; here all are alike."""
    mesh = jax.make_mesh((3,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:3])
    tx, gradients = gx.accumulate_gradients(gx.adamw(0.1), 2, skip=skip), gradients_like(P, 2)

    def both(params, gradients):
        return in_train_step(tx, params, gradients)[-1][0]

    spec = PartitionSpec("d")
    found = jax.jit(jax.shard_map(both, mesh=mesh, in_specs=(spec, spec), out_specs=spec))(P, gradients)
    _close(found, by_hand(tx, P, gradients)[-1][0])


def test_derivatives_where_the_loss_indexes_and_draws():
    """Whole numbers and keys that a function of the loss holds are operands of the loop too."""

    def indexed(params, index, key):
        noise = jax.random.normal(key, (2,))
        return jnp.sum((params["a"][index] - 1.0) ** 2) + jnp.sum((params["b"] + 0.1 * noise[0]) ** 2)

    def trained(rate):
        tx = gx.accumulate_gradients(gx.sharpness_aware(gx.sgd(rate)), 2)
        step, params, state = gx.make_train_step(indexed, tx, donate=False), P, tx.init(P)
        for index in ([0, 1], [2, 1]):
            params, state, _ = step(params, state, jnp.asarray(index), jax.random.key(index[0]))
        return jnp.sum(params["a"] ** 2)

    with jax.checking_leaks():
        slope = jax.jit(jax.grad(trained))(0.1)
    np.testing.assert_allclose(slope, (trained(0.101) - trained(0.099)) / 0.002, rtol=1e-2)
    jax.vmap(jax.grad(trained))(jnp.asarray([0.1, 0.2]))


def test_replicated_parameters_whose_updates_differ_from_device_to_device():
    mesh = jax.make_mesh((3,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:3])
    tx, gradients = gx.accumulate_gradients(gx.sgd(0.1), 2), gradients_like(P, 2)

    def each(apply, factor):
        params, state = P, tx.init(P)
        for g in gradients:
            params, state = apply(jax.tree.map(lambda g: factor[0] * g, g), state, params)
        return jax.tree.map(lambda p: p[None], params)

    def by_update(g, state, params):
        updates, state = tx.update(g, state, params)
        return gx.apply_updates(params, updates), state

    spec = PartitionSpec("d")
    found, expected = (
        jax.jit(jax.shard_map(partial(each, apply), mesh=mesh, in_specs=spec, out_specs=spec))(jnp.arange(3.0))
        for apply in (lambda g, state, params: tx._checked(Built.apply, g, state, params, {}), by_update)
    )
    _close(found, expected)
