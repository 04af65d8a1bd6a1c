"""Gradients of low rank and rows without gradient: rounding errors in a basis do not become steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import linalg
from gradtx._preconditioners import rounding

RANDOM = np.random.default_rng(0)
LOW = RANDOM.standard_normal((24, 3)) @ RANDOM.standard_normal((3, 16))
EMPTY_ROWS, EMPTY_COLUMNS = [1, 2, 7], [0, 11]


@functools.cache
def compiled(tx):
    """Once for equal transforms: to compile takes nearly all of the time here."""
    return jax.jit(tx.update)


def run(tx, gradients, dtype=jnp.float32, step=None):
    state, step, out = tx.init(jnp.zeros(gradients[0].shape, dtype)), step or compiled(tx), []
    for g in gradients:
        u, state = step(jnp.asarray(g, dtype), state, jnp.zeros(g.shape, dtype))
        out.append(u)
    return out


def outside(u, g):
    """The norm of what is not in the spaces of the rows and columns of g."""
    left, right = np.linalg.svd(g)[0][:, :3], np.linalg.svd(g)[2][:3]
    return np.linalg.norm(u - left @ (left.T @ u @ right.T) @ right)


@pytest.mark.parametrize(
    ("tx", "scale"),
    [
        (gx.scale_by_soap(), 1.0),
        (gx.scale_by_soap(every=2), 1e15),
        (gx.scale_by_soap(every=2, eps=0.0), 1e-15),
        (gx.in_eigenbasis(gx.sign(), every=2), 1e-30),
        (gx.in_eigenbasis(gx.sign(), every=2), 1e30),
        (gx.in_eigenbasis(gx.scale_by_adam(), every=2), 1.0),
    ],
    ids=["soap", "large", "small", "sign, tiny", "sign, huge", "momentum inside"],
)
def test_a_gradient_of_low_rank_makes_steps_of_low_rank(tx, scale):
    for u in run(tx, [LOW * scale] * 6):
        assert outside(np.asarray(u, float), LOW) < 1e-4
        np.testing.assert_allclose(np.linalg.norm(u), 3**0.5, rtol=1e-3)


@pytest.mark.parametrize(
    "factors",
    [[(-1) ** t for t in range(25)], [1 - 2 * (t > 7) for t in range(25)], [float(t % 3 != 1) for t in range(12)]],
    ids=["alternating", "turned once", "with zeros"],
)
def test_where_the_momentum_cancels_too(factors):
    gradients = [LOW * factor for factor in factors]
    with jax.enable_x64(True):
        want = run(gx.scale_by_soap(eps=0.0), gradients, jnp.float64)
    for u, v in zip(run(gx.scale_by_soap(), gradients), want, strict=True):
        np.testing.assert_allclose(u, v, atol=2e-3)


def test_a_projection_of_higher_rank_than_the_gradient():
    tx = gx.low_rank(gx.scale_by_adam(), rank=8)
    with jax.enable_x64(True):
        want = run(tx, [LOW] * 3, jnp.float64)
    for u, v in zip(run(tx, [LOW] * 3), want, strict=True):
        np.testing.assert_allclose(u, v, atol=1e-4)


@pytest.mark.parametrize("tx", [gx.scale_by_soap(first="skip", every=2), gx.low_rank(gx.scale_by_adam(), 4)])
def test_gradients_of_full_rank_are_what_they_were(tx, monkeypatch):
    gradients = [RANDOM.standard_normal((8, 8)) for _ in range(6)]
    cleaned = run(tx, gradients)
    monkeypatch.setattr(rounding, "ERRORS", 0.0)
    traced_again = jax.jit(lambda *given: tx.update(*given))
    jax.tree.map(np.testing.assert_array_equal, cleaned, run(tx, gradients, step=traced_again))


OF_MATRICES = [
    gx.soap(1.0),
    gx.soap(1.0, every=2),
    gx.soap(1.0, first="skip", every=2),
    gx.soap(1.0, sides="smaller"),
    gx.shampoo(1.0),
    gx.kl_shampoo(1.0),
    gx.galore_adamw(1.0, rank=8),
    gx.psgd_kron(1.0),
    gx.muon(1.0),
]


def with_holes(gradients):
    holes = [g.copy() for g in gradients]
    for g in holes:
        g[EMPTY_ROWS], g[:, EMPTY_COLUMNS] = 0.0, 0.0
    return holes


@pytest.mark.parametrize("rank", [1, 16])
@pytest.mark.parametrize("tx", OF_MATRICES, ids=lambda tx: tx.factory_name)
def test_rows_and_columns_without_gradient_get_no_update(tx, rank):
    gradients = [RANDOM.standard_normal((24, rank)) @ RANDOM.standard_normal((rank, 16)) for _ in range(5)]
    for u in run(tx, with_holes(gradients)):
        assert not np.any(u[np.array(EMPTY_ROWS)]), "rows"
        assert not np.any(u[:, np.array(EMPTY_COLUMNS)]), "columns"


def test_rows_and_columns_without_gradient_change_nothing_elsewhere():
    gradients = [RANDOM.standard_normal((9, 8)) for _ in range(5)]
    larger = [np.insert(np.insert(g, [2, 5], 0.0, 0), [0, 3], 0.0, 1) for g in gradients]
    tx = gx.scale_by_soap(every=2, sides="smaller")
    for u, v in zip(run(tx, larger), run(tx, gradients), strict=True):
        np.testing.assert_allclose(u, np.insert(np.insert(v, [2, 5], 0.0, 0), [0, 3], 0.0, 1), atol=1e-4)


def test_rows_that_get_a_gradient_later():
    gradients = [RANDOM.standard_normal((24, 16)) for _ in range(8)]
    tx = gx.scale_by_soap(every=2)
    out = run(tx, [*with_holes(gradients[:4]), *gradients[4:]])
    assert not np.any(out[3][np.array(EMPTY_ROWS)])
    assert all(np.any(u[np.array(EMPTY_ROWS)]) and np.all(np.isfinite(u)) for u in out[4:])


@pytest.mark.parametrize("empty", [[0], [1, 4], [0, 1, 5], [0, 1, 2, 3, 4, 5], []])
@pytest.mark.parametrize("rank", [1, 6])
def test_bases_of_matrices_with_rows_of_zeros(empty, rank):
    x = RANDOM.standard_normal((6, rank))
    x[empty] = 0.0
    a = jnp.asarray(x @ x.T, jnp.float32)
    mixed = jnp.asarray(np.linalg.qr(RANDOM.standard_normal((6, 6)))[0], jnp.float32)
    first = linalg.eigenbasis(a)
    for q in (first, linalg.next_basis(a, first), linalg.next_basis(a, mixed)):
        np.testing.assert_allclose(q.T @ q, np.eye(6), atol=1e-5)
        rows = np.asarray(q)[empty]
        assert set(np.unique(rows)) <= {0.0, 1.0}
        np.testing.assert_array_equal(rows.sum(1), 1.0)
    np.testing.assert_array_equal(np.asarray(first)[empty][:, len(empty) and -len(empty) :].sum(), len(empty))
