"""State in 8 bits: what a row can hold, how it is rounded, and that training does not see the difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx as gx
from gradtx import codecs

CODEC = codecs.float8
PARAMS = {"kernel": jnp.linspace(-1.0, 1.0, 16 * 200).reshape(16, 200), "bias": jnp.ones(16), "few": jnp.ones(3)}
RNG = np.random.default_rng(0)
SHAPES = (8,), (300,), (5, 257), (2, 3, 128)

encode, decode = jax.jit(CODEC.encode), jax.jit(CODEC.decode)


def _through(x, step=0):
    return decode(encode(jnp.asarray(x, jnp.float32), jnp.int32(step)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("power", [1, 2])
def test_what_is_not_far_below_the_largest_is_kept_to_three_bits_at_any_scale(shape, power):
    x = RNG.standard_normal(shape) ** power
    largest = np.abs(x).max(axis=-1, keepdims=True)
    octaves = 14 if power == 1 else 30
    for scale in (1e-25, 1.0, 1e30):
        stored = encode(jnp.asarray(scale * x, jnp.float32), jnp.int32(1))
        assert (stored.codes.shape, stored.codes.dtype) == (shape, jnp.uint8)
        assert stored.exponents.shape == (*shape[:-1], 1)
        error = np.abs(np.asarray(decode(stored), np.float64) / (scale * x) - 1)
        assert error[np.abs(x) > largest * 2.0**-octaves].max() < 0.126


@pytest.mark.parametrize("power", [1, 2])
def test_over_the_steps_it_rounds_up_as_often_as_it_should(power):
    x = jnp.asarray(RNG.standard_normal(300) ** power, jnp.float32)
    kept = jnp.mean(jnp.stack([_through(x, step) for step in range(512)]), axis=0)
    assert jnp.max(jnp.abs(kept - x) / jnp.max(jnp.abs(x))) < 1e-3


def test_what_was_rounded_is_not_rounded_again():
    kept = _through(RNG.standard_normal(256))
    for step in range(20):
        np.testing.assert_array_equal(_through(kept, step), kept)
    # Nor where the largest number of the row has changed, as long as it is not out of reach.
    np.testing.assert_array_equal(_through(kept.at[0].set(16.0), 5)[1:], kept[1:])


def test_an_average_of_a_constant_arrives():
    tx = gx.store(gx.scale_by_ema(0.999), CODEC)
    step = lambda state, _: (tx.update(jnp.ones(300), state)[1], None)
    state, _ = jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.zeros(300)), length=5000))()
    np.testing.assert_allclose(decode(state.inner), 1.0, rtol=0.07)


def _averages(tx, gradients):
    step = lambda state, g: tx.update(g, state)[::-1]
    return jax.jit(lambda: jax.lax.scan(step, tx.init(gradients[0]), gradients)[1])()[1000:]


@pytest.mark.parametrize(("decay", "spread"), [(0.95, 0.12), (0.999, 0.2)])
def test_averages_of_squares_have_the_errors_that_its_docstring_says(decay, spread):
    squares = jnp.asarray(RNG.standard_normal((3000, 512)) ** 2, jnp.float32)
    error = _averages(gx.store(gx.scale_by_ema(decay), CODEC), squares) / _averages(gx.scale_by_ema(decay), squares) - 1
    assert jnp.std(error) < spread
    assert jnp.abs(jnp.mean(error)) < 0.03


@pytest.mark.parametrize(("decay", "part"), [(0.9, 0.02), (0.95, 0.05), (0.99, 0.75)])
def test_momenta_have_the_errors_that_its_docstring_says(decay, part):
    gradients = jnp.asarray(RNG.standard_normal((2500, 512)) + 0.3, jnp.float32)
    stored, wide = (
        _averages(tx, gradients) for tx in (gx.store(gx.scale_by_ema(decay), CODEC), gx.scale_by_ema(decay))
    )
    assert jnp.var(stored - wide) < part * jnp.var(wide)
    assert jnp.abs(jnp.mean(stored - wide)) < 0.01


@pytest.mark.parametrize("number", [3.4e38, -3.4028235e38, 1.2e-38, -1e-37, 0.0])
def test_numbers_at_the_edges(number):
    for step in range(8):
        np.testing.assert_allclose(_through(jnp.full(16, number), step), number, rtol=0.126)


@pytest.mark.parametrize("number", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_row_with_a_number_that_is_not_finite_is_nan_and_no_other(number):
    kept = _through(jnp.ones((2, 16)).at[0, 3].set(number))
    assert jnp.isnan(kept[0]).all()
    np.testing.assert_array_equal(kept[1], 1.0)


def test_a_second_moment_far_below_the_others_is_not_zero_and_a_momentum_may_be():
    """A root of 0 would be divided by; a momentum that never becomes 0 would be a step for ever."""
    tiny = jnp.full(16, 1e-15).at[0].set(1.0)
    second = jnp.stack([_through(tiny, step) for step in range(50)])
    assert (second > 0).all()
    first = jnp.stack([_through(tiny.at[1].set(-1.0), step) for step in range(50)])
    np.testing.assert_array_equal(first[:, 2:], 0.0)


def test_a_parameter_without_gradients_comes_to_rest():
    tx = gx.store(gx.adam(0.1), CODEC)
    gradients = RNG.standard_normal((200, 64)).astype(np.float32)
    gradients[1:, 0] = 0.0
    step = lambda state, g: tx.update(g, state)[::-1]
    _, updates = jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.zeros(64)), jnp.asarray(gradients)))()
    assert jnp.abs(updates[150:, 0]).max() < 1e-3 < jnp.abs(updates[150:, 1]).mean()


def test_a_quarter_of_the_bytes():
    params = {"kernel": jax.ShapeDtypeStruct((256, 1024), jnp.float32)}
    wide, narrow = (gx.summary(tx, params).nbytes for tx in (gx.adamw(0.1), gx.store(gx.adamw(0.1), CODEC)))
    assert 0.25 < narrow / wide < 0.26


def test_what_has_few_elements_along_the_last_axis_or_is_complex_stays_as_it_is():
    for p in (jnp.ones(()), jnp.ones((100, 7)), jnp.ones(16, jnp.complex64)):
        state = gx.store(gx.scale_by_ema(0.5), CODEC).init(p)
        assert state.inner.dtype == p.dtype


LABELS = gx.by_path({"kernel": "a", "**": "b"})
INSIDE = {
    "adamw": gx.store(gx.adamw(0.01), CODEC),
    "behind a norm": gx.chain(gx.clip_by_global_norm(1.0), gx.store(gx.adamw(0.01), CODEC)),
    "around a norm": gx.store(gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.01)), CODEC),
    "one moment": gx.chain(gx.ratio(gx.scale_by_ema(0.9), gx.store(gx.scale_by_rms(0.99), CODEC)), gx.scale(-0.01)),
    "accumulation": gx.accumulate_gradients(gx.store(gx.adam(0.01), CODEC), 2),
    "skipping": gx.skip_nonfinite(gx.store(gx.adam(0.01), CODEC)),
    "names": gx.store(gx.adan(0.01), CODEC),
    "groups": gx.store(gx.partition({"a": gx.lion(0.01), "b": gx.adam(0.01)}, LABELS), CODEC),
    "matrices": gx.store(gx.muon(0.01), CODEC),
    "an eigenbasis": gx.store(gx.soap(0.01, every=2), CODEC),
    "buckets": gx.store(gx.bucketed(gx.adam(0.01), min_count=1), CODEC),
    "injection": gx.inject(gx.store(gx.adam(0.01), CODEC)),
    "compiled": gx.compiled(gx.store(gx.rmsprop(0.01), CODEC)),
    "lookahead": gx.store(gx.lookahead(gx.adam(0.01), 2, 0.5), CODEC),
}
TAKES_LONG = set(INSIDE) - {"one moment", "groups", "an eigenbasis"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in TAKES_LONG)) for n in INSIDE])
def test_states_are_fixed_points_and_saved_by_name(name):
    tx = INSIDE[name]

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (gx.apply_updates(params, updates), state), None

    rows = jax.tree.map(lambda p: jnp.asarray(RNG.standard_normal((4, *p.shape)), jnp.float32), PARAMS)
    (params, state), _ = jax.jit(lambda: jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), rows))()
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(params))
    assert sum(x.dtype == jnp.uint8 for x in jax.tree.leaves(state))
    restored = gx.load_state_dict(tx, PARAMS, gx.state_dict(tx, state))
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_a_step_that_does_not_count_leaves_the_codes_as_they_are():
    tx = gx.skip_nonfinite(gx.store(gx.adam(0.01), CODEC))
    state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)[1]
    updates, after = jax.jit(tx.update)({**PARAMS, "bias": jnp.full(16, jnp.nan)}, state, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, after.inner, state.inner)
    assert not any(jnp.any(u) for u in jax.tree.leaves(updates))


def test_it_is_a_value_and_a_bucket_of_rows_is_refused():
    tx = gx.store(gx.adam(0.1), CODEC)
    assert repr(CODEC) == "codecs.float8"
    assert tx == eval(repr(tx), vars(gx)) == gx.from_config(gx.to_config(tx))
    with pytest.raises(TypeError, match=r"got store; put .* outside: .*store\(bucketed"):
        gx.bucketed(tx)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_on_a_mesh_the_codes_lie_as_their_parameters(kind):
    mesh = jax.make_mesh((2, 4), ("rows", "columns"), axis_types=(kind, kind))
    sharding = NamedSharding(mesh, PartitionSpec("rows", "columns"))
    x = jnp.asarray(RNG.standard_normal((8, 1024)), jnp.float32)
    tx = gx.store(gx.adam(0.01), CODEC)
    wanted, _ = jax.jit(tx.update)(x, tx.init(x), x)
    with jax.set_mesh(mesh):
        spread = jax.device_put(x, sharding)
        state = tx.init(spread)
        updates, after = jax.jit(tx.update)(spread, state, spread)
    assert updates.sharding.is_equivalent_to(sharding, 2)
    for before, now in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert now.sharding.is_equivalent_to(before.sharding, before.ndim)
        assert now.dtype != jnp.uint8 or now.sharding.is_equivalent_to(sharding, 2)
    np.testing.assert_allclose(updates, wanted, rtol=1e-5)


@pytest.mark.parametrize("codec", [codecs.bfloat16, pytest.param(CODEC, marks=pytest.mark.slow)])
def test_places_and_what_is_rotated_are_not_rounded(codec):
    """A step from a rounded place, or of the rounding in a coordinate without gradient, would be far too large."""
    p = {"w": jnp.asarray(RNG.standard_normal((24, 64)), jnp.float32)}
    g = {"w": jnp.asarray(RNG.standard_normal((24, 2)) @ RNG.standard_normal((2, 64)), jnp.float32)}
    for tx in (gx.schedule_free_sgd(1e-3), gx.soap(1e-3), gx.chain(gx.initial_params(), gx.scale(-1.0))):
        sizes = []
        for same in (tx, gx.store(tx, codec)):
            updates, _ = jax.jit(same.update)(g, same.init(p), p)
            sizes.append(float(gx.tree.norm(updates)))
        assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_adam_trains_as_in_float32():
    x, hidden = RNG.standard_normal((256, 32)), RNG.standard_normal((32, 16))
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(np.tanh(x @ hidden), jnp.float32)
    params = {
        "first": jnp.asarray(0.2 * RNG.standard_normal((32, 64)), jnp.float32),
        "second": jnp.asarray(0.2 * RNG.standard_normal((64, 16)), jnp.float32),
    }

    def loss_fn(params):
        return jnp.mean((jnp.tanh(x @ params["first"]) @ params["second"] - y) ** 2)

    def final(tx):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
            return (gx.apply_updates(params, updates), state), None

        return loss_fn(jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), length=400)[0][0])())

    wide = final(gx.adam(3e-3))
    assert wide < 0.2 * loss_fn(params)
    assert final(gx.store(gx.adam(3e-3), CODEC)) < 1.1 * wide


def test_a_state_in_float32_is_taken_over_and_given_back():
    wide, narrow = gx.adam(0.1), gx.store(gx.adam(0.1), CODEC)
    grads = jax.tree.map(lambda p: jnp.asarray(RNG.standard_normal(p.shape), jnp.float32), PARAMS)
    state = wide.init(PARAMS)
    for _ in range(5):
        wanted, state = wide.update(grads, state, PARAMS)
    with pytest.warns(UserWarning, match="store/count"):
        encoded = gx.load_state_dict(
            narrow, PARAMS, gx.state_dict(wide, state), strict=False, rename={"": "store/inner"}
        )
    got, encoded = narrow.update(grads, encoded, PARAMS)
    assert gx.tree.norm(jax.tree.map(jnp.subtract, got, wanted)) < 0.15 * gx.tree.norm(wanted)
    with pytest.warns(UserWarning, match="store/count"):
        back = gx.load_state_dict(
            wide, PARAMS, gx.state_dict(narrow, encoded), strict=False, rename={"store/inner": ""}
        )
    got, _ = wide.update(grads, back, PARAMS)
    assert gx.tree.norm(jax.tree.map(jnp.subtract, got, wanted)) < 0.15 * gx.tree.norm(wanted)


AROUND = {
    "chain": lambda tx: gx.chain(tx, gx.scale(1.0)),
    "compiled": gx.compiled,
    "skip_nonfinite": gx.skip_nonfinite,
    "partition": lambda tx: gx.partition({"a": tx}, gx.by_path({"**": "a"})),
    "add": lambda tx: gx.add(tx, gx.set_to_zero()),
    "let": lambda tx: gx.let("other", gx.square(), tx),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "chain")) for n in AROUND])
def test_what_is_rotated_inside_others_is_not_rounded(name):
    adam = gx.ratio(gx.use("m"), gx.chain(gx.square(), gx.scale_by_ema(0.9), gx.sqrt()))
    tx = gx.let("m", gx.scale_by_ema(0.9), AROUND[name](gx.in_eigenbasis(adam, every=2)))
    g = jnp.asarray(RNG.standard_normal((12, 2)) @ RNG.standard_normal((2, 16)), jnp.float32)
    sizes = []
    for same in (tx, gx.store(tx, CODEC)):
        updates, _ = jax.jit(same.update)({"w": g}, same.init({"w": g}), {"w": g})
        sizes.append(float(gx.tree.norm(updates)))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


@pytest.mark.parametrize("codec", [codecs.bfloat16, CODEC])
def test_places_are_carried_along_with_the_basis(codec):
    tx = gx.store(gx.in_eigenbasis(gx.schedule_free_averaging(0.01), every=1), codec)
    p = {"w": jnp.asarray(RNG.standard_normal((12, 16)), jnp.float32)}
    state, step = tx.init(p), jax.jit(tx.update)
    for _ in range(2):
        updates, state = step(p, state, p)
    assert jnp.isfinite(updates["w"]).all()
