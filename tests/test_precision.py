"""Half precision, extremes and mixed dtypes: what peers got wrong."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import tree


def _run(tx, params, gradients):
    state, step = tx.init(params), jax.jit(tx.update)
    for g in gradients:
        updates, state = step(g, state, params)
    return updates, state


def test_the_second_moment_of_bfloat16_parameters_keeps_moving():
    # Constant gradients for 5,000 steps: 1 - 0.999**5000 = 0.9933; in bfloat16 an average sticks at half of it.
    tx, params = gx.scale_by_adam(), jnp.zeros(4, jnp.bfloat16)
    g = jnp.ones(4, jnp.bfloat16)
    state = jax.jit(lambda: jax.lax.scan(lambda s, _: (tx.update(g, s)[1], None), tx.init(params), length=5000)[0])()
    second_moment = state[1][1]
    assert second_moment.dtype == jnp.float32
    np.testing.assert_allclose(second_moment, 0.9933, atol=1e-3)


@pytest.mark.parametrize(
    ("params_dtype", "updates_dtype"),
    [("bfloat16", "float32"), ("float32", "bfloat16"), ("float16", "float16"), ("bfloat16", "float16")],
)
def test_adam_in_mixed_precision_is_within_a_percent_of_float32(params_dtype, updates_dtype):
    random = np.random.default_rng(0)
    gradients = [jnp.asarray(random.standard_normal(16) * 1e-4, updates_dtype) for _ in range(20)]
    params = jnp.asarray(random.standard_normal(16), params_dtype)
    tx = gx.adam(1e-3)
    updates, state = _run(tx, params, gradients)
    wanted, _ = _run(tx, params.astype(jnp.float32), [g.astype(jnp.float32) for g in gradients])
    np.testing.assert_allclose(updates, wanted, rtol=1e-2)
    assert jax.tree.map(lambda x: x.dtype, state) == jax.tree.map(lambda x: x.dtype, tx.init(params))
    assert gx.apply_updates(params, updates).dtype == params.dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("size", [0.0, 1e-4])
def test_zero_and_small_gradients_in_adam(dtype, size):
    # eps=1e-8 is 0 in float16: 0/0 must be 0 all the same.
    g = jnp.full(4, size, dtype)
    updates, _ = _run(gx.adam(1e-3), jnp.ones(4, dtype), [g] * 3)
    np.testing.assert_allclose(updates, -1e-3 * np.sign(size), rtol=1e-2)


def test_a_zero_gradient_moves_nothing_whatever_the_constants():
    for make in (gx.adam, gx.rmsprop, partial(gx.adagrad, initial_accumulator_value=0.0), gx.adamax):
        tx = make(0.1, eps=0.0)
        updates, _ = _run(tx, jnp.ones(3), [jnp.zeros(3)] * 2)
        assert np.all(np.asarray(updates) == 0)


def test_updates_are_added_in_the_wider_dtype_and_parameters_keep_theirs():
    # 1 + 2^-9 + 2^-9 in bfloat16 rounds to 1 twice, unless the sum is taken in float32 first.
    params = {"half": jnp.ones(2, jnp.bfloat16), "whole": jnp.ones(2), "index": jnp.arange(2), "none": None}
    updates = {"half": jnp.full(2, 2.0**-8), "whole": jnp.ones(2, jnp.bfloat16), "index": None, "none": None}
    new = gx.apply_updates(params, updates)
    assert jax.tree.map(lambda x: x.dtype, new) == jax.tree.map(lambda x: x.dtype, params)
    np.testing.assert_array_equal(new["whole"], 2.0)
    np.testing.assert_array_equal(new["index"], [0, 1])


def test_numpy_arrays_and_python_floats_as_leaves():
    params = {"numpy": np.ones(3), "python": 2.0}
    for tx in (gx.adamw(0.1), gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1, 0.9))):
        state = tx.init(params)
        updates, state = tx.update(params, state, params)
        assert {leaf.dtype for leaf in jax.tree.leaves((updates, state))} == {jnp.asarray(np.ones(3)).dtype}
    np.testing.assert_allclose(tree.norm(params), np.sqrt(7.0), rtol=1e-6)


def test_numpy_scalars_and_python_ints_widen_nothing():
    with jax.enable_x64(True):
        g = jnp.ones(3, jnp.float32)
        for number in (
            np.float64(0.1),
            np.float32(0.1),
            np.int64(1),
            1,
            jnp.float64(0.1),
            jnp.asarray(0.1, jnp.bfloat16),
        ):
            for tx in (gx.sgd(number), gx.adam(number), gx.scale(number), gx.clip_by_global_norm(number)):
                assert tx.update(g, tx.init(g), g)[0].dtype == jnp.float32


def _clipped(g, max_norm):
    return jax.jit(lambda g, m: gx.clip_by_global_norm(m).update(g, ())[0])(g, max_norm)


@pytest.mark.parametrize(
    ("size", "dtype"), [(1e-30, "float32"), (1e25, "float32"), (1e36, "float32"), (6e4, "float16"), (1e-6, "float16")]
)
def test_clipping_by_the_global_norm_is_right_for_any_size(size, dtype):
    g = {"a": jnp.full(100, size, dtype), "b": jnp.full((5, 60), -size, dtype)}
    exact = np.sqrt(400.0) * float(g["a"][0])
    rtol = 0.06 if size == 1e-6 else 1e-3  # half of that has only three bits in float16
    np.testing.assert_allclose(tree.norm(_clipped(g, 0.5 * exact)), 0.5 * exact, rtol=rtol)
    np.testing.assert_array_equal(_clipped(g, 2 * exact)["a"], g["a"].astype(jnp.float32))


def test_the_norm_of_many_bfloat16_leaves():
    random = np.random.default_rng(0)
    leaves = [jnp.asarray(random.standard_normal(50), jnp.bfloat16) for _ in range(100)]
    exact = np.sqrt(sum(np.sum(np.asarray(leaf, np.float64) ** 2) for leaf in leaves))
    np.testing.assert_allclose(jax.jit(tree.norm)(leaves), exact, rtol=1e-6)
    np.testing.assert_allclose(tree.norm(_clipped(leaves, 1.0)), 1.0, rtol=1e-4)  # the updates are rounded


def test_the_norm_of_mixed_sizes_keeps_the_large_and_the_small():
    np.testing.assert_allclose(tree.norm([jnp.asarray([3e25, 4e25]), jnp.asarray(1e-30)]), 5e25, rtol=1e-6)
    np.testing.assert_allclose(tree.norm([jnp.asarray([3e-25, 4e-25])]), 5e-25, rtol=1e-6)
    np.testing.assert_allclose(tree.norm([jnp.asarray(6e4, jnp.float16)] * 4), 1.2e5, rtol=1e-3)
    assert tree.norm({}) == 0
    with jax.enable_x64(True):
        np.testing.assert_allclose(tree.norm([jnp.asarray([3e200, 4e200])]), 5e200, rtol=1e-12)


def test_a_leaf_of_constant_zeros_does_not_make_a_tiny_norm_nan():
    # XLA knows that such a leaf is zero, and takes the square of the scale apart from it: 0 times its overflow is NaN.
    norm = jax.jit(lambda x: tree.norm([x, jnp.zeros(2), jnp.ones(3) * 0]))
    np.testing.assert_array_equal(norm(jnp.zeros(2)), 0.0)
    np.testing.assert_allclose(norm(jnp.asarray([3e-30, 4e-30])), 5e-30, rtol=1e-6)
    np.testing.assert_allclose(norm(jnp.asarray([3e30, 4e30])), 5e30, rtol=1e-6)


def test_a_norm_beyond_float32_clips_to_something_finite():
    assert np.all(np.isfinite(_clipped(jnp.full(400, 3e38), 1.0)))


def test_zero_gradients_and_a_maximal_norm_of_zero():
    np.testing.assert_array_equal(_clipped(jnp.zeros(3), 0.0), 0.0)
    np.testing.assert_array_equal(_clipped(jnp.ones(3), 0.0), 0.0)


def test_clipping_of_mixed_dtypes_with_an_array_as_maximal_norm():
    g = {"half": jnp.full(3, 4.0, jnp.bfloat16), "whole": jnp.full(4, 5.0)}
    out = gx.clip_by_global_norm(jnp.asarray(1.0)).update(g, ())[0]
    np.testing.assert_array_equal(out["half"], jnp.bfloat16(4 / np.sqrt(148)))
    np.testing.assert_allclose(out["whole"], 5 / np.sqrt(148), rtol=1e-6)


def test_a_nan_is_not_hidden_by_clipping():
    assert np.all(np.isnan(_clipped(jnp.asarray([1.0, np.nan]), 1.0)))


def test_the_norm_has_finite_derivatives_at_zero():
    assert np.all(np.isfinite(jax.grad(tree.norm)(jnp.zeros(3))))


def test_integer_zero_updates_leave_frozen_integers_alone():
    params = {"table": jnp.arange(3), "w": jnp.ones(2)}
    tx = gx.partition({"frozen": gx.set_to_zero(), "free": gx.adam(0.1)}, {"table": "frozen", "w": "free"})
    grads = jax.grad(lambda p: jnp.sum(p["w"]), allow_int=True)(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    new = gx.apply_updates(params, updates)
    np.testing.assert_array_equal(new["table"], [0, 1, 2])
    assert new["table"].dtype == params["table"].dtype


def test_the_norm_has_its_derivative_at_any_size():
    for x in ([3.0, 4.0], [3e25, 4e25], [3e-30, 4e-30]):
        x = jnp.asarray(x)
        both = jax.jit(jax.grad(lambda x: tree.norm([x, jnp.zeros(2)])))
        np.testing.assert_allclose(both(x), [0.6, 0.8], rtol=1e-5)
        np.testing.assert_array_equal(both(0 * x), 0.0)
    z = jnp.asarray([3 + 4j], jnp.complex64)
    np.testing.assert_allclose(jax.grad(tree.norm)(z), z.conj() / 5, rtol=1e-6)
