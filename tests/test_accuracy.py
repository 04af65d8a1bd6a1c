"""Agreement with the NumPy float64 references over 1,000 steps of random gradients, in float64 and in float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from cases import CASES

import gradtx as gx
from gradtx import schedules

STEPS, SHAPE = 1000, (64,)

REFERENCED = [case for case in CASES if case.reference is not None]


@functools.cache
def _stream(steps=STEPS, shape=SHAPE):
    """Gradients and parameters that are exact in float32."""
    random = np.random.default_rng(0)
    gradients, params = random.standard_normal((steps, *shape)), random.standard_normal(shape)
    return gradients.astype(np.float32).astype(np.float64), params.astype(np.float32).astype(np.float64)


def _updates(tx, gradients, params, dtype, extras=lambda params: {}):
    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params, **extras(params))
        return (gx.apply_updates(params, updates), state), updates

    def scan(params, gradients):
        return jax.lax.scan(step, (params, tx.init(params)), gradients)[1]

    return np.asarray(jax.jit(scan)(jnp.asarray(params, dtype), jnp.asarray(gradients, dtype)), np.float64)


def _wanted(case):
    """A stream for the case, and what its reference makes of it."""
    gradients, params = _stream(case.compared, case.shape or SHAPE)
    return gradients, params, case.reference(gradients, params)


@pytest.mark.parametrize("case", REFERENCED, ids=lambda case: case.name)
def test_float64_agrees_to_1e_12(case):
    gradients, params, wanted = _wanted(case)
    with jax.enable_x64(True):
        got = _updates(case.transform, gradients, params, jnp.float64, case.extras)
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12 * np.max(np.abs(wanted)))


@pytest.mark.slow
@pytest.mark.parametrize("case", REFERENCED, ids=lambda case: case.name)
def test_float32_stays_within_1e_5_of_the_largest_update(case):
    gradients, params, wanted = _wanted(case)
    got = _updates(case.transform, gradients, params, jnp.float32, case.extras)
    error, size = np.abs(got - wanted), np.abs(wanted)
    assert np.max(error) < 1e-5 * case.magnified * np.max(size)
    assert np.max(error[:50]) < case.tolerance * np.max(size[:50])


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_the_averages_of_schedule_free_agree_to_1e_12(name):
    gradients, params = _stream(200)
    tx = getattr(gx, name)(0.1, warmup_steps=10, weight_decay=0.1)
    wanted = getattr(references, f"{name}_average")(
        gradients, params, learning_rate=0.1, warmup_steps=10, weight_decay=0.1
    )

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = gx.apply_updates(params, updates)
        return (params, state), gx.eval_params(state, params)

    with jax.enable_x64(True):
        params = jnp.asarray(params)
        got = jax.jit(lambda gs: jax.lax.scan(step, (params, tx.init(params)), gs)[1])(jnp.asarray(gradients))
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_median_relative_error_of_adam_in_float32():
    gradients, params = _stream()
    wanted = references.adam(gradients, params, learning_rate=1e-3)
    got = _updates(gx.adam(1e-3), gradients, params, jnp.float32)
    assert np.median(np.abs(got / wanted - 1)) < 3e-7


def test_the_first_adam_step_is_within_3e_7_of_float64():
    gradients, params = _stream(1, (100_000,))
    wanted = references.adam(gradients, params, learning_rate=1e-3)
    got = _updates(gx.adam(1e-3), gradients, params, jnp.float32)
    assert np.max(np.abs(got / wanted - 1)) < 3e-7


def test_adam_is_right_after_a_million_steps():
    # The clock of the bias correction goes on adding; what it has lost to rounding must not show.
    tx, steps = gx.bias_correction(0.9999999), 1_000_000

    def step(state, _):
        factor, state = tx.update(jnp.ones(()), state)
        return state, factor

    factors = jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.ones(())), length=steps)[1])()
    for count in (1, 1000, 999_999, steps):
        wanted = -1 / np.expm1(count * np.log(0.9999999))
        np.testing.assert_allclose(factors[count - 1], wanted, rtol=3e-7)


@pytest.mark.parametrize("decays", [(0.5, 0.9), (0.0, 0.999), (0.999, 0.0)])
def test_bias_correction_is_exact_for_a_scheduled_decay(decays):
    # What is corrected for is the sum of the weights: a constant stream must come out as it is.
    decay = schedules.linear(*decays, 50)
    tx = gx.chain(gx.scale_by_ema(decay), gx.bias_correction(decay))
    out = _updates(tx, np.full((200, 3), 2.0), np.zeros(3), jnp.float32)
    np.testing.assert_allclose(out, 2.0, rtol=5e-6)


def test_an_average_does_not_drift():
    # The weights 0.999 and 0.001 rounded to float32 do not add up to 1: with both, the error tends to 1.3e-5.
    squares = _stream(20_000, (8,))[0] ** 2
    mean = np.zeros(8)
    for g in squares:
        mean = 0.999 * mean + 0.001 * g
    out = _updates(gx.scale_by_ema(0.999), squares, np.zeros(8), jnp.float32)
    np.testing.assert_allclose(out[-1], mean, rtol=4e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9])
def test_an_average_that_forgets_fast_is_as_exact_as_one_that_does_not(decay):
    gradients, params = _stream(50)
    out = _updates(gx.scale_by_ema(decay), gradients, params, jnp.float32)
    mean, wanted = 0.0, []
    for g in gradients:
        mean = decay * mean + (1 - decay) * g
        wanted.append(mean)
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-7)


def test_the_centred_variance_does_not_cancel():
    # Gradients that hardly vary: E[g^2] - E[g]^2 has no digit left in float32.
    random = np.random.default_rng(0)
    gradients = (1 + 1e-3 * random.standard_normal((300, 8))).astype(np.float32).astype(np.float64)
    wanted = references.rmsprop(gradients, np.zeros(8), learning_rate=1.0, centered=True)
    got = _updates(gx.rmsprop(1.0, centered=True), gradients, np.zeros(8), jnp.float32)
    np.testing.assert_allclose(got[150:], wanted[150:], rtol=1e-3)


def test_complex_moments_are_of_the_squared_magnitude_and_real():
    random = np.random.default_rng(0)
    gradients = random.standard_normal((20, 5)) + 1j * random.standard_normal((20, 5))
    params = np.zeros(5, complex)
    for name in ("adam", "rmsprop", "adagrad", "adamax"):
        tx, reference = getattr(gx, name)(0.1), getattr(references, name)
        state, out, step = tx.init(jnp.asarray(params, jnp.complex64)), [], jax.jit(tx.update)
        for g in gradients:
            u, state = step(jnp.asarray(g, jnp.complex64), state)
            out.append(u)
        np.testing.assert_allclose(np.stack(out), reference(gradients, params, learning_rate=0.1), rtol=1e-5)
        complex_memories = [leaf for leaf in jax.tree.leaves(state) if jnp.iscomplexobj(leaf)]
        assert len(complex_memories) == (name in ("adam", "adamax")), "only a first moment is complex"


def test_descent_on_a_complex_parameter_with_conjugated_gradients():
    # JAX gives the conjugate of the direction of steepest ascent; who calls jax.grad conjugates once.
    target = jnp.asarray([1 + 2j, -3 + 0.5j], jnp.complex64)
    for tx in (gx.sgd(0.1), gx.adam(0.1), gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.3, 0.5))):
        z = jnp.zeros(2, jnp.complex64)

        def step(_, carry, tx=tx):
            z, state = carry
            grads = jax.grad(lambda z: jnp.sum(abs(z - target) ** 2))(z).conj()
            updates, state = tx.update(grads, state, z)
            return gx.apply_updates(z, updates), state

        z, _ = jax.jit(lambda carry, step=step: jax.lax.fori_loop(0, 300, step, carry))((z, tx.init(z)))
        np.testing.assert_allclose(z, target, atol=1e-2)
