"""What counts at some steps only, whatever is inside: chosen in the loops over the arrays where that can be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import check_a_skipped_step, check_a_window, close, gradients_like, run

import gradtx as gx
from gradtx import schedules

P = {"a": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), "b": jnp.asarray([0.5, -0.25])}

_gradients, _run = partial(gradients_like, P), partial(run, params=P)
SCHEDULE = schedules.linear(0.1, 0.0, 10)
MATRICES = {"a": True, "b": False}

INNERS = {
    "a kernel": gx.adamw(0.1),
    "a kernel with a schedule": gx.adam(SCHEDULE),
    "behind a norm": gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1)),
    "behind a norm with a memory": gx.chain(gx.scale_by_global_rss(), gx.add_momentum(0.9)),
    "named parts": gx.chain(("clip", gx.clip_by_global_norm(1.0)), ("adam", gx.adam(0.1))),
    "a mask and a schedule": gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(SCHEDULE, mask=MATRICES)),
    "groups": gx.masked(gx.adam(0.1), MATRICES, rest=gx.chain(gx.clip_by_global_norm(0.1), gx.sgd(0.1, 0.9))),
    "numbers in the state": gx.inject(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1))),
    "buckets": gx.bucketed(gx.adamw(0.1), min_count=1),
    "buckets behind a norm": gx.chain(gx.clip_by_global_norm(1.0), gx.bucketed(gx.adamw(0.1), min_count=1)),
    "bfloat16": gx.store(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1)), gx.codecs.bfloat16),
    "norms of each array": gx.lamb(0.1),
    "norms of each array with a schedule": gx.lamb(SCHEDULE, mask=MATRICES),
    "norms of each array in the state": gx.novograd(0.1),
    "rows and columns": gx.adafactor(0.1, min_dim_size_to_factor=2),
    "axes": gx.sm3(0.1),
    "slow parameters": gx.lookahead(gx.adam(0.1), 2, 0.5),
    "slow parameters behind a norm": gx.lookahead(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1)), 2, 0.5, True),
    "an average beside it": gx.average_params(gx.adam(0.1), 0.9),
    "no sum over the arrays": gx.zero_nans(),
}
by_inner = pytest.mark.parametrize("inner", INNERS.values(), ids=INNERS)


@by_inner
@pytest.mark.parametrize("bad", [jnp.nan, pytest.param(-jnp.inf, marks=pytest.mark.slow)])
def test_a_step_that_is_skipped_leaves_no_trace(inner, bad):
    check_a_skipped_step(_run, inner, _gradients(3), bad)


@pytest.mark.slow
@by_inner
def test_what_goes_through_after_enough_is_computed_as_it_is(inner):
    first, second = _gradients(2)
    spoilt = jax.tree.map(lambda g: jnp.full_like(g, jnp.nan), second)
    out, states = _run(gx.skip_nonfinite(inner, 1), [first, spoilt, spoilt])
    assert [bool(state.skipped) for state in states] == [False, True, False]
    close([out[0], out[2]], _run(inner, [first, spoilt])[0])


@by_inner
def test_a_window_is_one_step_of_its_mean(inner):
    check_a_window(_run, inner, _gradients(4))


@pytest.mark.parametrize("name", ["a kernel with a schedule", "behind a norm", "norms of each array"])
def test_where_the_input_alone_is_checked(name):
    gate = partial(gx.skip_nonfinite, check_output=False)
    check_a_skipped_step(_run, INNERS[name], _gradients(3), gate=gate)
    check_a_skipped_step(_op_by_op, INNERS[name], _gradients(3), gate=gate)
    large = jax.tree.map(lambda p: jnp.full_like(p, 1e30), P)
    out, states = _run(gate(gx.square()), [large])
    assert not states[0].skipped
    assert np.all(np.isinf(out[0]["a"]))


def _op_by_op(tx, gradients):
    state, out, states = tx.init(P), [], []
    for g in gradients:
        u, state = tx.update(g, state, P)
        out.append(u)
        states.append(state)
    return out, states


@pytest.mark.parametrize("name", ["a kernel with a schedule", "norms of each array", "groups", "rows and columns"])
def test_op_by_op_it_is_the_same(name):
    check_a_window(_op_by_op, INNERS[name], _gradients(4))
    check_a_skipped_step(_op_by_op, INNERS[name], _gradients(3))


@pytest.mark.parametrize("run", [_run, _op_by_op])
def test_a_state_keeps_its_dtypes_where_the_pair_inside_does_not(run):
    def init(params):
        return jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.bfloat16), params)

    pair = gx.GradientTransformation(init, lambda g, state, params=None: (g, g))
    _, states = run(gx.accumulate_gradients(pair, 2), _gradients(2))
    assert [x.dtype for state in states for x in jax.tree.leaves(state.inner)] == [jnp.bfloat16] * 4


@pytest.mark.slow
@by_inner
def test_members_of_a_batch_are_skipped_alone(inner):
    first, second = _gradients(2)
    spoilt = {**second, "b": second["b"].at[0].set(jnp.nan)}
    tx = gx.skip_nonfinite(inner)
    state = tx.init(P)
    both = jax.tree.map(lambda *xs: jnp.stack(xs), first, spoilt)
    out, new = jax.jit(jax.vmap(lambda g: tx.update(g, state, P)))(both)
    np.testing.assert_array_equal(new.skipped, [False, True])
    close(jax.tree.map(lambda x: x[0], out), tx.update(first, state, P)[0])
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[1], y), new.inner, state.inner)


SKIPPING = {
    "optimizer": gx.skip_nonfinite(gx.chain(gx.clip_by_global_norm(0.5), gx.adamw(0.1, weight_decay=0.01))),
    "named outside": gx.let("m", gx.identity(), gx.skip_nonfinite(gx.chain(gx.use("m"), gx.square(), gx.scale(0.5)))),
}


@pytest.mark.parametrize("tx", SKIPPING.values(), ids=SKIPPING)
@pytest.mark.parametrize("batched", [False, True])
def test_derivatives_through_a_skipped_step_are_0(batched, tx):
    # Of what came in, of the parameters and of all numbers; 0 times NaN would be NaN.
    good, spoilt = _gradients(2)
    spoilt = {**spoilt, "a": spoilt["a"].at[1, 0].set(jnp.nan)}

    def total(tx, g, params):
        state = tx.init(params)
        updates = tx.update(g, state, params)[0]
        return sum(jnp.sum(u) for u in jax.tree.leaves(updates))

    def derivatives(g):
        return jax.grad(total, (0, 1, 2), allow_int=True)(tx, g, P)

    if batched:
        both = jax.tree.map(lambda *xs: jnp.stack(xs), good, spoilt)
        through, skipped = (jax.tree.map(lambda x, i=i: x[i], jax.jit(jax.vmap(derivatives))(both)) for i in (0, 1))
    else:
        through, skipped = jax.jit(derivatives)(good), jax.jit(derivatives)(spoilt)
    assert any(np.any(x) for x in jax.tree.leaves(through[0]))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(through))
    assert not any(np.any(x) for x in jax.tree.leaves(skipped))


@pytest.mark.parametrize(
    "name",
    [
        "behind a norm",
        *(
            pytest.param(x, marks=pytest.mark.slow)
            for x in ("a mask and a schedule", "norms of each array", "slow parameters")
        ),
    ],
)
@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_arrays_stay_spread_over_devices(kind, name):
    mesh = jax.make_mesh((2,), ("x",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
        params = jax.device_put({name: jnp.full((4, 2), value) for name, value in (("a", 1.0), ("b", -0.5))}, place)
        for tx in (gx.skip_nonfinite(INNERS[name]), gx.accumulate_gradients(INNERS[name], 1)):
            state = jax.jit(tx.init)(params)
            updates, new = jax.jit(tx.update)(params, state, params)
            whole = jax.tree.map(np.asarray, params)
            close(updates, tx.update(whole, tx.init(whole), whole)[0])
            for x in jax.tree.leaves((updates, new)):
                if x.shape == (4, 2):
                    assert x.sharding.is_equivalent_to(place, 2)


def test_keys_of_random_numbers_stay_where_they_are():
    def update(updates, key, params=None):
        key, own = jax.random.split(key)
        return jax.tree.map(lambda g: g + jax.random.normal(own, g.shape), updates), key

    tx = gx.skip_nonfinite(gx.treewise(update, lambda params: jax.random.key(0)))
    first, second = _gradients(2)
    spoilt = {**second, "b": second["b"].at[0].set(jnp.nan)}
    out, states = _run(tx, [first, spoilt, second])
    assert states[1].inner == states[0].inner
    assert states[2].inner != states[1].inner
    wanted, _ = _run(tx, [first, second])
    close([out[0], out[2]], wanted)


def _compiled(tx, size=100_000):
    params = {
        "w": jax.ShapeDtypeStruct((size // 100, 100), jnp.float32),
        "v": jax.ShapeDtypeStruct((100,), jnp.float32),
    }

    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return gx.apply_updates(params, updates), state

    state = jax.eval_shape(tx.init, params)
    return jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()


IN_PLACE = {
    "a kernel": gx.adamw(1e-3),
    "behind a norm": gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(1e-3)),
    "a mask and a schedule": gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(SCHEDULE, mask={"w": True, "v": False})),
    "numbers in the state": gx.inject(gx.adamw(1e-3)),
}


@pytest.mark.parametrize("inner", IN_PLACE.values(), ids=IN_PLACE)
def test_the_choice_costs_no_array(inner):
    # A truth for each number is written down to join them; a float would be 4 bytes, a branch 17.
    assert _compiled(gx.skip_nonfinite(inner)).memory_analysis().temp_size_in_bytes < 1.2 * 100_100
    assert _compiled(gx.accumulate_gradients(inner, 4)).memory_analysis().temp_size_in_bytes < 0.1 * 100_100


def test_a_look_for_what_is_not_finite_is_one_pass():
    compiled = jax.jit(gx.has_nonfinite).lower(jax.ShapeDtypeStruct((1000, 1000), jnp.float32)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1e4
    assert compiled.cost_analysis()["bytes accessed"] < 4.1e6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "complex64"])
def test_every_kind_of_number_that_is_not_finite_is_found(dtype):
    with jax.enable_x64(True):
        x = jnp.linspace(-1.0, 1.0, 50).astype(dtype).at[7].set(float(jnp.finfo(dtype).max))
        found = jax.jit(gx.has_nonfinite)
        assert not found(x)
        for bad in (jnp.nan, jnp.inf, -jnp.inf):
            assert found(x.at[31].set(bad)), bad
