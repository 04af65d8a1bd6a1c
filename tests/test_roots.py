"""Inverse roots from products, and what happens to matrices without one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.matrices_third import inverse_root

from gradtx import linalg


def _matrix(condition, size=128, seed=0):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    a = jnp.asarray((basis * np.geomspace(1 / condition, 1, size)) @ basis.T, jnp.float32)
    return (a + a.T) / 2


# The inverse of a matrix of another scale would be out of the range of float32.
SCALES = [(1, 1.0, 4e-3), *((p, scale, error) for p, error in [(2, 2e-3), (4, 1e-3)] for scale in (1.0, 1e-36, 1e30))]


@pytest.mark.parametrize(("p", "scale", "error"), SCALES)
def test_roots_of_ill_conditioned_matrices_are_accurate(p, scale, error):
    for seed in range(3):
        a = _matrix(1e6, seed=seed) * scale
        found = linalg.inverse_root(a, p, 1e-6)
        wanted = inverse_root(np.asarray(a, float), p, 1e-6)
        assert np.linalg.norm(np.asarray(found.root, float) - wanted) < error * np.linalg.norm(wanted)
        assert found.residual < 0.1


def test_they_are_more_accurate_than_those_from_eigenvectors():
    a = _matrix(1e6)
    values, vectors = jnp.linalg.eigh(a + 1e-6 * jnp.linalg.norm(a) * jnp.eye(128))
    wanted = inverse_root(np.asarray(a, float), 2, 1e-6)
    root = np.asarray(vectors) * np.abs(np.asarray(values)) ** -0.5 @ np.asarray(vectors).T
    by_eigenvectors = np.linalg.norm(root - wanted)
    ours = np.linalg.norm(linalg.inverse_root(a, 2, 1e-6).root - wanted)
    assert ours < 0.3 * by_eigenvectors


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_all_roots_in_all_precisions(p, dtype):
    with jax.enable_x64(True):
        rng = np.random.default_rng(p)
        x = rng.normal(size=(2, 5, 5)) + (1j * rng.normal(size=(2, 5, 5)) if "complex" in dtype else 0)
        a = jnp.asarray(x @ np.swapaxes(x.conj(), -2, -1), dtype)
        found = linalg.inverse_root(a, p, 1e-2)
        assert found.root.dtype == dtype
        assert found.residual.shape == (2,)
        for one, root in zip(a, found.root, strict=True):
            wanted = inverse_root(np.asarray(one), p, 1e-2)
            np.testing.assert_allclose(
                root,
                wanted,
                atol=(1e-11 if "64" in dtype[-3:] and dtype != "complex64" else 1e-4) * np.max(np.abs(wanted)),
            )


HARD = {
    "zero": np.zeros((3, 3)),
    "rank one": np.outer(np.arange(3.0), np.arange(3.0)),
    "tiny": 1e-36 * np.eye(3),
    "huge": 1e36 * np.eye(3),
    "slightly indefinite": np.diag([1.0, 0.5, -2e-3]),
    "one number": np.full((1, 1), 4.0),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("p", [2, 3, 4])
def test_roots_of_hard_matrices_are_those_of_the_reference(name, p):
    a = jnp.asarray(HARD[name], jnp.float32)
    found = linalg.inverse_root(a, p, 1e-6)
    wanted = inverse_root(HARD[name], p, 1e-6)
    np.testing.assert_allclose(found.root, wanted, rtol=2e-3, atol=2e-3 * np.max(np.abs(wanted)))


def test_nan_stays_and_one_bad_matrix_does_not_harm_the_others():
    a = jnp.stack([jnp.full((3, 3), jnp.nan), jnp.eye(3), jnp.diag(jnp.asarray([1.0, 0.5, -2e-3]))])
    found = linalg.inverse_root(a, 2)
    assert bool(jnp.all(jnp.isnan(found.root[0])))
    for index in (1, 2):
        np.testing.assert_allclose(found.root[index], linalg.inverse_root(a[index], 2).root, rtol=1e-6)
    assert not bool(found.residual[0] < 1)


def test_roots_have_no_derivatives():
    loss = lambda x: jnp.sum(linalg.inverse_root(x @ x.T, 2).root) + jnp.sum(x)
    np.testing.assert_allclose(jax.grad(loss)(jnp.eye(3)), 1.0)
    with pytest.raises(ValueError, match=r"p: expected a positive whole number, got 0\.5"):
        linalg.inverse_root(jnp.eye(3), 0.5)
