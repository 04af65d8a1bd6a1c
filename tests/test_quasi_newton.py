"""Quasi-Newton directions against their references, and what they do with bad pairs and bad curvature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import lbfgs_direction, newton_cg_direction

import gradtx as gx
from gradtx import linalg

BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
HESSIAN = (BASIS * np.geomspace(1, 30, 6)) @ BASIS.T


def _tree(x):
    return {"a": jnp.asarray(x[:2]), "b": jnp.asarray(x[2:]).reshape(2, 2)}


def _flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


@pytest.mark.parametrize("memory_size", [1, 3, 10])
def test_lbfgs_is_the_product_with_the_inverse_hessian_of_the_last_pairs(memory_size):
    with jax.enable_x64(True):
        rng, tx = np.random.default_rng(1), gx.precondition_by_lbfgs(memory_size)
        x, pairs, before = rng.normal(size=6), [], None
        state, step = tx.init(_tree(x)), jax.jit(tx.update)
        for _ in range(8):
            g = HESSIAN @ x + 0.1 * np.sin(5 * x)
            if before is not None:
                pairs = [*pairs, (x - before[0], g - before[1])][-memory_size:]
            updates, state = step(_tree(g), state, _tree(x))
            wanted = -lbfgs_direction(pairs, g) if pairs else g / np.linalg.norm(g)
            np.testing.assert_allclose(_flat(updates), wanted, rtol=1e-10, atol=1e-12)
            before, x = (x, g), x + rng.normal(size=6)
        assert int(state.count) == 7


def test_with_an_exact_search_it_ends_a_quadratic_in_as_many_steps_as_variables():
    with jax.enable_x64(True):
        tx, x = gx.precondition_by_lbfgs(6), jnp.ones(6)
        state, conjugate, rest = tx.init(x), np.ones(6), -HESSIAN @ np.ones(6)
        way = rest
        for _ in range(6):
            g = HESSIAN @ x
            d, state = tx.update(g, state, x)
            x = x - (g @ d) / (d @ HESSIAN @ d) * d
            step = (rest @ rest) / (way @ HESSIAN @ way)
            conjugate, new = conjugate + step * way, rest - step * HESSIAN @ way
            way, rest = new + (new @ new) / (rest @ rest) * way, new
            np.testing.assert_allclose(x, conjugate, atol=1e-10)
        assert 0.5 * x @ HESSIAN @ x < 1e-15


def test_only_safe_pairs_are_kept():
    tx, p = gx.precondition_by_lbfgs(4), jnp.asarray([1.0, 2.0])
    state = tx.init(p)

    def after(state, move, change):
        g = state.updates + jnp.asarray(change)
        return tx.update(g, state, state.params + jnp.asarray(move))[1]

    state = tx.update(p, state, p)[1]
    assert int(state.count) == 0  # there is one gradient
    for move, change in [
        ([1.0, 0.0], [-1.0, 0.0]),  # negative curvature
        ([1.0, 0.0], [0.0, 1.0]),  # none
        ([0.0, 0.0], [1.0, 0.0]),  # no step
        ([1.0, 0.0], [0.0, 0.0]),  # no change
        ([1.0, 0.0], [1e-9, 1.0]),  # rounding
    ]:
        assert int(after(state, move, change).count) == 0
    good = after(state, [1.0, 0.0], [3.0, 1.0])
    assert int(good.count) == 1
    bad = tx.update(jnp.asarray([jnp.nan, 1.0]), good, p)
    assert int(bad[1].count) == 1
    assert jnp.isnan(bad[0]).any()


@pytest.mark.parametrize("exponent", [-100, -40, 40, 100])
def test_a_scale_of_the_loss_cancels(exponent):
    tx, factor = gx.precondition_by_lbfgs(3), 2.0**exponent
    rng = np.random.default_rng(2)
    xs = jnp.asarray(rng.normal(size=(6, 6)), jnp.float32)
    states = [tx.init(xs[0]), tx.init(xs[0])]
    for x in xs:
        g = jnp.asarray(HESSIAN, jnp.float32) @ x
        (plain, states[0]), (scaled, states[1]) = tx.update(g, states[0], x), tx.update(factor * g, states[1], x)
        if abs(exponent) <= 40:  # beyond it norms are summed in another order
            np.testing.assert_array_equal(plain, scaled)
        np.testing.assert_allclose(plain, scaled, rtol=1e-4)


def test_the_state_is_twice_the_memory_and_two():
    params = {"w": jnp.ones((3, 4), jnp.bfloat16), "b": jnp.ones(5)}
    state = gx.precondition_by_lbfgs(7).init(params)
    counted = jax.tree.leaves((state.params, state.updates, state.steps, state.changes))
    assert sum(x.size for x in counted) == (2 * 7 + 2) * 17
    assert {x.dtype for x in counted} == {jnp.dtype("float32")}
    assert sum(x.size for x in jax.tree.leaves(state)) == (2 * 7 + 2) * 17 + 2 * 7 + 2
    assert "precondition_by_lbfgs/steps/w" in gx.state_dict(gx.precondition_by_lbfgs(7), state)


CURVED = np.diag([1.0, 2.0, -3.0, 4.0, 5.0, 6.0])


@pytest.mark.parametrize("hessian", [HESSIAN, CURVED, -HESSIAN], ids=["convex", "a saddle", "concave"])
@pytest.mark.parametrize("rtol", [1e-10, 0.3])
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_newtons_direction_is_that_of_the_reference(hessian, rtol, damping):
    with jax.enable_x64(True):
        x = np.random.default_rng(3).normal(size=6)
        grad_fn = lambda tree: _tree(jnp.asarray(hessian) @ jnp.concatenate([tree["a"], tree["b"].ravel()]))
        g = hessian @ x
        tx = gx.precondition_by_cg(damping, rtol=rtol)
        updates, _ = tx.update(_tree(g), tx.init(_tree(x)), _tree(x), grad_fn=grad_fn)
        wanted = -newton_cg_direction(hessian, g, damping, rtol=rtol)
        if np.allclose(wanted, g):  # the curvature is not positive at once
            wanted = g / np.linalg.norm(g)
        np.testing.assert_allclose(_flat(updates), wanted, rtol=1e-8, atol=1e-10)
        assert g @ _flat(updates) > 0


def test_the_default_tolerance_of_newtons_direction_falls_with_the_gradient():
    with jax.enable_x64(True):
        tx, x = gx.precondition_by_cg(), jnp.ones(6)
        grad_fn = lambda x: jnp.asarray(HESSIAN) @ x
        state = tx.init(x)
        for size, limit in [(1.0, 0.5), (1e-4, 1e-2), (1e-8, 1e-4)]:
            g = grad_fn(size * x)
            d, state = tx.update(g, state, x, grad_fn=grad_fn)
            residual = np.linalg.norm(grad_fn(d) - g) / np.linalg.norm(g)
            assert residual <= limit
        np.testing.assert_allclose(state, np.linalg.norm(HESSIAN @ np.ones(6)))


def test_conjugate_gradients_solve_a_system():
    b = {"x": jnp.asarray([1 + 1j, 2.0, -1j], jnp.complex64), "y": jnp.ones(2)}
    a = jnp.asarray([[3, 1j, 0], [-1j, 2, 0.5], [0, 0.5, 1]], jnp.complex64)
    matvec = lambda v: {"x": a @ v["x"], "y": 2 * v["y"]}
    found = linalg.cg(matvec, b, rtol=1e-6)
    np.testing.assert_allclose(found.x["x"], jnp.linalg.solve(a, b["x"]), rtol=1e-4)
    np.testing.assert_allclose(found.x["y"], 0.5)
    assert bool(found.is_positive)
    assert int(found.steps) <= 6
    assert float(found.residual) < 1e-5
    zero = linalg.cg(matvec, jax.tree.map(jnp.zeros_like, b))
    assert int(zero.steps) == 0
    assert all(jnp.all(x == 0) for x in jax.tree.leaves(zero.x))
    assert int(linalg.cg(matvec, b, max_steps=2).steps) == 2
    assert not bool(linalg.cg(lambda v: jax.tree.map(jnp.negative, v), b).is_positive)
