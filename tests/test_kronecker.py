"""Shampoo, KL-Shampoo and PSGD: equations between them and others, bad gradients, and many matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import kl_shampoo

import gradtx as gx

G1, G2, G3 = (np.array(x) for x in ([[1.0, 2, 3], [4, 5, 6]], [[1.0, 0, -1], [2, 1, 0]], [[0, 1, 1], [-1, 2, 0.5]]))


def _run(tx, gradients):
    """The updates in float64, and the last state."""
    with jax.enable_x64(True):
        state, out, step = tx.init(jnp.zeros(np.shape(gradients[0]))), [], jax.jit(tx.update)
        for g in gradients:
            u, state = step(jnp.asarray(g), state, jnp.zeros(np.shape(g)))
            out.append(np.asarray(u))
        return out, state


def _polar(g):
    u, _, v = np.linalg.svd(g, full_matrices=False)
    return u @ v


def test_shampoo_of_one_gradient_is_its_polar_factor():
    for sides in ("both", "smaller"):
        (u,), _ = _run(gx.precondition_by_kronecker(decay=0.0, ridge=1e-13, sides=sides), [G1])
        np.testing.assert_allclose(u, _polar(G1), rtol=1e-5)


def test_shampoo_of_sums_gives_the_known_direction():
    out, _ = _run(gx.precondition_by_kronecker(decay=1.0, ridge=1e-14), [G1, G2])
    known = [[0.330636307, -0.040303689, -0.411243685], [0.301721312, 0.143838825, -0.014043662]]
    np.testing.assert_allclose(out[1], known, atol=1e-6)


def test_shampoo_of_diagonal_gradients_is_adagrad_of_the_diagonal():
    diagonals = np.random.default_rng(0).normal(size=(5, 4))
    ours, _ = _run(gx.precondition_by_kronecker(decay=1.0, ridge=1e-13), [np.diag(d) for d in diagonals])
    theirs, _ = _run(gx.scale_by_rss(0.0, 0.0), list(diagonals))
    for u, v in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.diag(u), v, rtol=1e-6)
        np.testing.assert_allclose(u - np.diag(np.diag(u)), 0, atol=1e-9)


def test_a_turned_problem_is_solved_in_turn():
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (4, 3))
    gradients = rng.normal(size=(4, 4, 3))
    for tx in (gx.precondition_by_kronecker(), gx.precondition_by_kl_kronecker(), gx.precondition_by_whitening()):
        plain, _ = _run(tx, list(gradients))
        turned, _ = _run(tx, [left @ g @ right for g in gradients])
        for u, v in zip(plain, turned, strict=True):
            if tx != gx.precondition_by_whitening():  # the bound of its norm, and the size it begins with, are not
                np.testing.assert_allclose(left @ u @ right, v, rtol=1e-5, atol=1e-7)


def test_the_factors_of_kl_shampoo_are_shares_of_the_square():
    with jax.enable_x64(True):
        tx = gx.precondition_by_kl_kronecker(decay=0.0, initial=1.0, ridge=1e-15)
        _, state = _run(tx, [G1])
        traces = [float(jnp.trace(f) * s[0, 0] ** 2) for f, s in zip(state.factors, state.scales, strict=True)]
    np.testing.assert_allclose(traces, [91 / 3, 91 / 2], rtol=1e-9)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_shampoo_does_not_depend_on_the_scale_of_the_gradient(size):
    tx = gx.precondition_by_kronecker(gx.scale_by_ema(0.9))
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 3)), jnp.float32)
    states, step = [tx.init(gradients[0]), tx.init(gradients[0])], jax.jit(tx.update)
    for g in gradients:
        plain, states[0] = step(g, states[0], g)
        scaled, states[1] = step(size * g, states[1], g)
        np.testing.assert_allclose(scaled, plain, rtol=1e-3, atol=1e-4)


DIRECTIONS = {
    "shampoo": gx.precondition_by_kronecker(every=2),
    "kl_shampoo": gx.precondition_by_kl_kronecker(every=2),
    "psgd": gx.precondition_by_whitening(),
    "galore": gx.low_rank(gx.scale_by_adam(), 2, every=2),
    "dion": gx.scale_by_dion(2),
    "dion2": gx.orthogonalize_largest(0.5),
}


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1), (0, 3), (3, 3), (2, 3, 4)])
def test_all_shapes_and_zero_gradients(name, shape):
    tx = gx.as_matrices(DIRECTIONS[name], gx.matrix(-2, -1))
    zeros, step = jnp.zeros(shape), jax.jit(tx.update)
    state = tx.init(zeros)
    for size in (0.0, 1.0, 0.0, 0.0, 1e-20, 1.0):
        g = np.asarray(size * np.random.default_rng(0).normal(size=shape), np.float32)
        u, state = step(jnp.asarray(g), state, zeros)
        assert u.shape == shape
        assert np.all(np.isfinite(u))
    u, state = step(zeros, tx.init(zeros), zeros)
    assert not np.any(u)


@pytest.mark.parametrize("name", ["shampoo", "kl_shampoo", "psgd"])
def test_one_bad_gradient_does_no_lasting_harm(name):
    tx, rng = DIRECTIONS[name], np.random.default_rng(0)
    gradients = [jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(4)]
    state, step = tx.init(gradients[0]), jax.jit(tx.update)
    for g in (*gradients[:2], gradients[2].at[0, 0].set(jnp.nan), *gradients[3:]):
        u, state = step(g, state, g)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((u, state)))


def test_after_a_thousand_steps_without_a_gradient_it_begins_again():
    tx = gx.precondition_by_kronecker(decay=0.9)
    g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)

    @jax.jit
    def steps(state):
        nothing = lambda _, state: tx.update(jnp.zeros_like(g), state, g)[1]
        return jax.lax.fori_loop(0, 1000, nothing, state)

    step = jax.jit(tx.update)
    first, state = step(g, tx.init(g), g)
    again, _ = step(g, steps(state), g)
    np.testing.assert_allclose(again, first, rtol=1e-3, atol=1e-4)


def test_psgd_whitens_what_it_has_seen_for_long():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(4, 4)), rng.normal(size=(3, 3))
    tx = gx.precondition_by_whitening(0.05)
    gradients = jnp.asarray(left @ rng.normal(size=(4000, 4, 3)) @ right, jnp.float32)
    state, out = jax.lax.scan(lambda s, g: tx.update(g, s, g)[::-1], tx.init(gradients[0]), gradients)
    late = np.asarray(out[2000:])
    for product in (np.einsum("tij,tkj->ik", late, late) / 3, np.einsum("tij,tik->jk", late, late) / 4):
        np.testing.assert_allclose(product / len(late), np.eye(len(product)), atol=0.15)
    # The scale of the gradient, which the fit has found, divides out.
    scaled = jax.lax.scan(lambda s, g: tx.update(1e-6 * g, s, g)[::-1], tx.init(gradients[0]), gradients)[1]
    np.testing.assert_allclose(scaled[-10:], out[-10:], rtol=0.02, atol=0.02)
    assert int(state.count) == 4000


def test_long_sides_have_no_factor_or_a_diagonal():
    p = jnp.zeros((3, 50))
    state = gx.precondition_by_kronecker(max_dim=10).init(p)
    assert state.factors.right is None
    assert state.factors.left.shape == (3, 3)
    state = gx.precondition_by_kl_kronecker(max_dim=10).init(p)
    assert state.roots.right is None
    state = gx.precondition_by_whitening(max_dim=10).init(p)
    assert (state.left.shape, state.right.shape) == ((3, 3), (50,))
    (u,), _ = _run(gx.precondition_by_kronecker(decay=0.0, max_dim=2, ridge=1e-13), [G1])
    np.testing.assert_allclose(u, _polar(G1), rtol=1e-5)  # by one side


@pytest.mark.parametrize("every", [1, 3])
def test_kl_shampoo_with_stale_roots_is_that_of_the_reference(every):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(7, 4, 3))
    tx = gx.precondition_by_kl_kronecker(gx.scale_by_ema(0.9), 0.9, every, ridge=1e-12)
    ours, _ = _run(tx, list(gradients))
    theirs = kl_shampoo(gradients, np.zeros((4, 3)), learning_rate=-1.0, decay=0.9, every=every)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_wrong_arguments():
    for power in (0.25, 0, "root", -0.3):
        with pytest.raises(ValueError, match=r"power: expected None or -1/p for a whole number p, as -0.25, got"):
            gx.precondition_by_kronecker(power=power)
    for ridge in (0.0, 1.0, -1e-6, "small"):
        with pytest.raises(ValueError, match="ridge: expected a number above 0 and below 1"):
            gx.precondition_by_kronecker(ridge=ridge)
    with pytest.raises(ValueError, match="sides: expected 'both' or 'smaller', got 'left'"):
        gx.precondition_by_kl_kronecker(sides="left")
    with pytest.raises(ValueError, match="rank: expected a positive whole number, got 0"):
        gx.low_rank(gx.scale_by_adam(), 0)
    with pytest.raises(ValueError, match="fraction: expected a number above 0 and at most 1, got 0"):
        gx.orthogonalize_largest(0)
    with pytest.raises(ValueError, match="side: expected None, 'inputs' or 'outputs', got 'rows'"):
        gx.orthogonalize_largest(side="rows")
    with pytest.raises(ValueError, match=r"norm: expected one of 'spectral', 'sign', .*, got 'nuclear'"):
        gx.lmo("nuclear")
    for tx in DIRECTIONS.values():
        with pytest.raises(ValueError, match=r"the leaf 'b' of the shape .* is not a matrix"):
            tx.init({"b": jnp.ones(3)})
