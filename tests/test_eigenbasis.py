"""Transforms in Shampoo's eigenbasis: invariances, hard inputs, what is carried, and that nothing hangs."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import linalg

RANDOM = np.random.default_rng(0)
G1, G2, G3 = (
    jnp.asarray(g)
    for g in (
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        [[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]],
        [[0.0, 1.0, 1.0], [-1.0, 2.0, 0.5]],
    )
)


@functools.cache
def _step(tx):
    """Compiled once for equal transforms: to compile takes nearly all of the time here."""
    return jax.jit(tx.update)


def _run(tx, gradients, params=None):
    params = jnp.zeros_like(gradients[0]) if params is None else params
    state, out = tx.init(params), []
    step = _step(tx)
    for g in gradients:
        u, state = step(g, state, params)
        out.append(u)
    return out, state


def _gradients(count, *shape, dtype=float):
    return [jnp.asarray(RANDOM.standard_normal(shape), dtype) for _ in range(count)]


def test_known_numbers():
    with jax.enable_x64(True):
        out, _ = _run(gx.scale_by_soap(first="skip", every=1), [g.astype(float) for g in (G1, G2, G3)])
    assert not out[0].any()
    # G2 has no component along a null vector of G1, up to rounding, which eps limits.
    np.testing.assert_allclose(
        out[1], [[0.824964982, -0.156493781, -1.137955369], [0.993024403, 0.80136007, 0.609692171]], atol=1e-5
    )


def test_the_first_step_is_the_polar_factor():
    g = _gradients(1, 5, 3, dtype=jnp.float32)[0]
    out, _ = _run(gx.scale_by_soap(), [g])
    np.testing.assert_allclose(out[0], linalg.polar(g, method="svd"), atol=2e-5)


def test_without_a_basis_it_is_adam():
    gradients = _gradients(4, 4, 3, dtype=jnp.float32)
    adam = gx.scale_by_adam(0.9, 0.95)
    ours, _ = _run(gx.scale_by_soap(0.9, 0.95, max_dim=0), gradients)
    for u, v in zip(ours, _run(adam, gradients)[0], strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-6)


def test_factors_that_are_never_filled_change_nothing():
    gradients = _gradients(4, 3, 3, dtype=jnp.float32)
    inner = gx.ratio(gx.identity(), gx.chain(gx.square(), gx.scale_by_ema(0.9), gx.sqrt()))
    frozen, _ = _run(gx.in_eigenbasis(inner, decay=1.0, every=2), gradients)
    for u, v in zip(frozen, _run(inner, gradients)[0], strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-6)


def test_it_is_equivariant_along_the_whole_way():
    with jax.enable_x64(True):
        gradients = _gradients(12, 4, 4)
        u, v = (jnp.asarray(np.linalg.qr(RANDOM.standard_normal((4, 4)))[0]) for _ in range(2))
        tx = gx.scale_by_soap(every=3, first="skip")
        plain, _ = _run(tx, gradients)
        turned, _ = _run(tx, [u @ g @ v for g in gradients])
        for a, b in zip(plain, turned, strict=True):
            np.testing.assert_allclose(u @ a @ v, b, atol=1e-9)


@pytest.mark.parametrize("power", [-90, 40, 100])
def test_bases_do_not_depend_on_the_scale(power):
    gradients = _gradients(5, 4, 3, dtype=jnp.float32)
    tx = gx.in_eigenbasis(gx.identity(), every=2)
    plain, scaled = (_run(tx, [g * 2.0**p for g in gradients])[1] for p in (0, power))
    for a, b in zip(jax.tree.leaves(plain.bases), jax.tree.leaves(scaled.bases), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bases_stay_orthogonal_and_second_moments_nonnegative():
    gradients = _gradients(300, 6, 4, dtype=jnp.float32)
    _, state = _run(gx.scale_by_soap(every=1), gradients)
    inside = state[-1]
    for q in jax.tree.leaves(inside.bases):
        np.testing.assert_allclose(q.T @ q, np.eye(len(q)), atol=1e-5)
    second = jax.tree.leaves(inside.inner)
    assert all(np.all(np.asarray(x) >= 0) for x in second if jnp.ndim(x) == 2)
    assert int(inside.rejected) == 0


def test_a_gradient_that_is_not_a_number_poisons_no_factor():
    gradients = _gradients(4, 3, 3, dtype=jnp.float32)
    bad = [gradients[0], gradients[1].at[0, 0].set(jnp.nan), *gradients[2:]]
    out, state = _run(gx.in_eigenbasis(gx.identity(), every=1), bad)
    assert np.isnan(out[1]).any()
    assert all(np.all(np.isfinite(x)) for x in (*out[2:], *jax.tree.leaves((state.factors, state.bases))))
    np.testing.assert_allclose(out[3], gradients[3], atol=1e-5)  # rotated there and back


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 2)])
def test_a_stack_is_its_layers(shape):
    gradients = _gradients(5, *shape, dtype=jnp.float32)
    tx = gx.scale_by_soap(every=2)
    whole, _ = _run(gx.as_matrices(tx), gradients)
    for index in np.ndindex(*shape[:-2]):
        alone, _ = _run(tx, [g[index] for g in gradients])
        for a, b in zip(whole, alone, strict=True):
            np.testing.assert_allclose(a[index], b, atol=3e-3)


def test_the_sides_that_have_a_basis():
    params = {"w": jax.ShapeDtypeStruct((8, 32), jnp.float32)}

    def nbytes(**arguments):
        return gx.summary(gx.scale_by_soap(**arguments), params).nbytes / 256

    assert abs(nbytes() - (8 + 8 * (8 * 8 + 32 * 32) / 256)) < 0.2
    assert abs(nbytes(sides="smaller") - (8 + 8 * 8 * 8 / 256)) < 0.2
    assert abs(nbytes(max_dim=16) - nbytes(sides="smaller")) < 1e-6
    assert abs(nbytes(max_dim=0) - 8) < 0.2


def test_soap_then_muon_is_one_line():
    tx = gx.as_matrices(gx.chain(gx.scale_by_soap(), gx.orthogonalize(9), gx.scale_by_shape()))
    out, _ = _run(tx, _gradients(3, 6, 4, dtype=jnp.float32))
    np.testing.assert_allclose(np.linalg.svd(out[-1])[1], 0.2 * 6**0.5, rtol=1e-3)


@pytest.mark.parametrize("wrong", [{"first": "svd"}, {"sides": "left"}, {"every": 0}, {"max_dim": -1}])
def test_bad_arguments(wrong):
    with pytest.raises(gx.GradtxValueError, match=next(iter(wrong))):
        gx.in_eigenbasis(gx.identity(), **wrong)


@pytest.mark.slow
@pytest.mark.parametrize("tx", [gx.scale_by_soap(every=1), gx.precondition_by_kronecker()])
def test_forty_matrices_under_vmap_come_to_an_end(tx):
    """Some 32 batched factorizations that can run at once wait for each other on a CPU for ever."""
    params = {f"w{index}": jnp.asarray(RANDOM.standard_normal((4, 64, 64)), jnp.float32) for index in range(40)}

    def two_steps(g):
        state = tx.init(g)
        for _ in range(2):
            u, state = tx.update(g, state, g)
        return u

    done = threading.Thread(target=lambda: jax.block_until_ready(jax.jit(jax.vmap(two_steps))(params)), daemon=True)
    done.start()
    done.join(120)
    assert not done.is_alive()


@pytest.mark.slow
def test_factorizations_of_one_size_take_the_places_of_their_arguments():
    """The stacks are the largest buffers of SOAP: without it they need two arrays more."""
    params = {f"w{index}": jax.ShapeDtypeStruct((64, 128), jnp.float32) for index in range(4)}
    tx = gx.scale_by_soap()

    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return gx.apply_updates(params, updates), state

    state = jax.eval_shape(tx.init, params)
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 12.3 * 4 * gx.tree.size(params)
