"""Low ranks, and the oracles of norms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import dion2, scion

import gradtx as gx

SHAPE = (6, 4)


def _updates(tx, gradients):
    with jax.enable_x64(True):
        state, out, step = tx.init(jnp.zeros(SHAPE)), [], jax.jit(tx.update)
        for g in gradients:
            u, state = step(jnp.asarray(g), state, jnp.zeros(SHAPE))
            out.append(np.asarray(u))
        return np.stack(out)


GRADIENTS = np.random.default_rng(0).normal(size=(6, *SHAPE))


@pytest.mark.parametrize("norm", ["spectral", "sign", "columns", "rows", "rms"])
def test_oracles_are_those_of_the_reference(norm):
    theirs = scion(GRADIENTS, np.zeros(SHAPE), learning_rate=-1.0, radius=1.0, decay=0.0, norm=norm, constrained=False)
    ours = _updates(gx.lmo(norm, "svd"), GRADIENTS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert not np.any(_updates(gx.lmo(norm), [np.zeros(SHAPE)]))


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("side", [None, "inputs", "outputs"])
def test_the_largest_slices_are_those_of_the_reference(fraction, side):
    theirs = dion2(GRADIENTS, np.zeros(SHAPE), learning_rate=-1.0, fraction=fraction, side=side)
    tx = gx.chain(gx.orthogonalize_largest(fraction, side=side, method="svd"), gx.scale_by_shape("spectral"))
    np.testing.assert_allclose(_updates(tx, GRADIENTS), theirs, rtol=1e-12, atol=1e-12)


def test_of_full_rank_a_projection_is_a_rotation():
    # What is linear does not see it.
    tx = gx.low_rank(gx.scale_by_ema(0.9), 4, every=100, factor=1.0)
    np.testing.assert_allclose(_updates(tx, GRADIENTS), _updates(gx.scale_by_ema(0.9), GRADIENTS), atol=1e-12)


def test_a_projection_keeps_the_largest_singular_vectors_and_little_state():
    params = jnp.zeros((5, 30, 200))
    tx = gx.as_matrices(gx.low_rank(gx.scale_by_adam(), 3), gx.matrix(-2, -1))
    state = tx.init(params)
    sizes = sorted(x.size for x in jax.tree.leaves(state) if x.size > 5)
    assert sizes == [5 * 30 * 3, 5 * 3 * 200, 5 * 3 * 200]
    g = jax.random.normal(jax.random.key(0), params.shape)
    plain = gx.as_matrices(gx.low_rank(gx.identity(), 3, factor=1.0), gx.matrix(-2, -1))
    u, _ = jax.jit(plain.update)(g, plain.init(params), params)
    for one, out in zip(np.asarray(g), np.asarray(u), strict=True):
        a, s, b = np.linalg.svd(one, full_matrices=False)
        np.testing.assert_allclose(out, (a[:, :3] * s[:3]) @ b[:3], atol=2e-2)


def test_the_projection_is_renewed_after_so_many_steps():
    tx = gx.low_rank(gx.identity(), 1, every=3)
    state, bases, step = tx.init(jnp.zeros(SHAPE)), [], jax.jit(tx.update)
    for g in GRADIENTS:
        _, state = step(jnp.asarray(g, jnp.float32), state, jnp.zeros(SHAPE))
        bases.append(np.asarray(state.projections))
    assert [bool(np.array_equal(a, b)) for a, b in itertools.pairwise(bases)] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_a_step_of_dion_is_of_its_rank_and_what_is_left_stays():
    tx = gx.scale_by_dion(2, decay=0.0)
    g = jnp.asarray(GRADIENTS[0], jnp.float32)
    u, state = tx.update(g, tx.init(g), g)
    values = np.linalg.svd(u, compute_uv=False)
    assert np.sum(values > 1e-5) == 2
    np.testing.assert_allclose(np.linalg.norm(state.basis, axis=0), 1.0, rtol=1e-5)
    # Without a decay the used part is gone: nothing is left along the directions of the step.
    along = np.linalg.svd(u)[2][:2]
    np.testing.assert_allclose(state.momentum @ along.T, 0, atol=1e-4)
