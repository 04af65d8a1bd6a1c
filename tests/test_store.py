"""Memory in a codec: moves as it should, reads back what was kept, and halves the bytes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import codecs

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), "b": jnp.ones(2)}


def _run(tx, gradients, params):
    def step(state, g):
        updates, state = tx.update(g, state, params)
        return state, updates

    return jax.jit(lambda gradients: jax.lax.scan(step, tx.init(params), gradients))(gradients)


def test_an_average_of_a_constant_arrives():
    # To the nearest it would stop at about half, where 0.001 of what is missing is half of the last place.
    tx = gx.store(gx.scale_by_ema(0.999), codecs.bfloat16)
    _, means = _run(tx, jnp.ones((5000, 3)), jnp.zeros(3))
    wanted = 1 - 0.999 ** np.arange(1, 5001)
    np.testing.assert_allclose(means[1000:, 0], wanted[1000:], rtol=0.02)
    assert means[-1, 0] > 0.985


@pytest.mark.parametrize(("decay", "spread"), [(0.9, 0.005), (0.999, 0.03)])
def test_averages_of_squares_lean_to_no_side(decay, spread):
    # What rounding adds at each step stays for 1 / (1 - decay) steps; it must not add up in one direction.
    squares = np.random.default_rng(0).standard_normal((3000, 500)) ** 2
    _, got = _run(gx.store(gx.scale_by_ema(decay), codecs.bfloat16), jnp.asarray(squares, jnp.float32), jnp.zeros(500))
    _, wanted = _run(gx.scale_by_ema(decay), jnp.asarray(squares, jnp.float32), jnp.zeros(500))
    error = got[1000:] / wanted[1000:] - 1
    assert jnp.std(error) < spread
    assert jnp.abs(jnp.mean(error)) < 0.2 * spread


def test_adam_trains_as_in_float32():
    def train(tx):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jax.tree.map(lambda p: p - 3.0, params), state, params)
            return (gx.apply_updates(params, updates), state), None

        return jax.jit(lambda: jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=300)[0][0])()

    ours, wide = train(gx.store(gx.adam(0.05), codecs.bfloat16)), train(gx.adam(0.05))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.02), ours, wide)


def test_what_follows_reads_what_is_kept():
    tx = gx.store(gx.running_sum(), codecs.bfloat16)
    updates, state = tx.update(jnp.asarray([1.0 + 2**-12]), tx.init(jnp.zeros(1)))
    assert state.inner.dtype == jnp.bfloat16
    assert updates.dtype == jnp.float32
    np.testing.assert_array_equal(updates, state.inner.astype(jnp.float32))


def test_half_the_bytes_and_float32_clocks():
    state = jax.eval_shape(gx.store(gx.adam(0.1), codecs.bfloat16).init, jnp.zeros(1000))
    assert [x.dtype for x in jax.tree.leaves(state) if x.size == 1000] == [jnp.bfloat16] * 2
    assert {x.dtype for x in jax.tree.leaves(state) if x.size < 10} == {jnp.dtype(jnp.int32), jnp.dtype(jnp.float32)}


def test_slow_parameters_are_no_memory_to_be_encoded():
    state = gx.store(gx.lookahead(gx.adam(0.1), 2, 0.5), codecs.bfloat16).init(PARAMS)
    assert {x.dtype for x in jax.tree.leaves(state.inner["slow"].params)} == {jnp.dtype(jnp.float32)}
    assert jnp.dtype(jnp.bfloat16) in {x.dtype for x in jax.tree.leaves(state.inner["inner"])}


def test_it_distributes_over_what_needs_the_whole_tree():
    whole = gx.store(gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1)), codecs.bfloat16)
    parts = gx.chain(gx.clip_by_global_norm(1.0), gx.store(gx.adamw(0.1), codecs.bfloat16))
    state = whole.init(PARAMS)
    updates, _ = whole.update(PARAMS, state, PARAMS)
    wanted, _ = parts.update(PARAMS, parts.init(PARAMS), PARAMS)
    jax.tree.map(np.testing.assert_array_equal, updates, wanted)
    assert "bfloat16" in str(gx.summary(whole, PARAMS))
    for tx in (
        gx.lamb(0.1),
        gx.partition({"a": gx.adam(0.1)}, gx.by_path({"**": "a"})),
        gx.accumulate_gradients(gx.adam(0.1), 2),
    ):
        state = gx.store(tx, codecs.bfloat16).init(PARAMS)
        assert sum(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(state)) == 4


@pytest.mark.parametrize("number", [jnp.inf, -jnp.inf, 3.4e38, -3.4e38, 1e-40, 0.0, -0.0])
def test_numbers_at_the_edges(number):
    for step in range(5):
        kept = codecs.bfloat16.decode(codecs.bfloat16.encode(jnp.float32(number), jnp.int32(step)))
        assert jnp.isfinite(kept) == jnp.isfinite(number)
        assert jnp.signbit(kept) == jnp.signbit(number)
        np.testing.assert_allclose(kept, number, rtol=2**-7, atol=1e-40)


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7FFFE000, 0xFFFFFFFF])
def test_nan_stays_nan_with_any_bits(bits):
    # 0x7FFFE000 is float16's NaN with all bits set: rounded up it would be -0.
    number = jax.lax.bitcast_convert_type(jnp.uint32(bits), jnp.float32)
    for step in range(5):
        assert jnp.isnan(codecs.bfloat16.encode(number, jnp.int32(step)))


def test_over_the_steps_it_rounds_up_as_often_as_it_should():
    x = 1 + jnp.asarray([0.1, 0.25, 0.5, 0.9], jnp.float32) * 2**-7
    kept = jnp.stack([codecs.bfloat16.encode(x, jnp.int32(step)) for step in range(200)]).astype(jnp.float32)
    np.testing.assert_allclose(jnp.mean(kept, axis=0), x, atol=0.02 * 2**-7)


def test_half_precision_and_complex_parameters():
    tx = gx.store(gx.add_momentum(0.5), codecs.bfloat16)
    params = {"h": jnp.ones(2, jnp.float16), "z": jnp.ones(2, jnp.complex64)}
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state)
    assert {name: x.dtype for name, x in state.inner.items()} == {"h": jnp.bfloat16, "z": jnp.complex64}
    np.testing.assert_allclose(updates["h"], 1.5)


def test_codecs_are_values():
    tx = gx.store(gx.adam(0.1), codecs.bfloat16)
    assert repr(codecs.bfloat16) == "codecs.bfloat16"
    assert tx == eval(repr(tx), vars(gx)) == gx.from_config(gx.to_config(tx))


def test_bad_input():
    with pytest.raises(
        TypeError, match=r"in store: expected a codec, codecs.bfloat16 or codecs.float8, got 'bfloat16'"
    ):
        gx.store(gx.adam(0.1), "bfloat16").init(PARAMS)
    with pytest.raises(TypeError, match=r"in store: a bare pair does not say which arrays .*make it of parts"):
        gx.store(optax.adam(0.1), codecs.bfloat16).init(PARAMS)
