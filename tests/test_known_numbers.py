"""Numbers of matrix and quasi-Newton methods that were computed elsewhere, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import linalg

G = [np.array(x) for x in ([[1.0, 2, 3], [4, 5, 6]], [[1.0, 0, -1], [2, 1, 0]])]


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True):
        yield


def _directions(tx, gradients):
    state, out = tx.init(jnp.zeros_like(jnp.asarray(gradients[0]))), []
    for g in gradients:
        u, state = tx.update(jnp.asarray(g), state, jnp.zeros_like(jnp.asarray(g)))
        out.append(np.asarray(u))
    return out


def test_the_second_direction_of_muon():
    tx = gx.chain(gx.add_momentum(0.95, nesterov=True), gx.orthogonalize(method="svd"))
    known = [[0.775532676, 0.074306784, -0.626919109], [0.481541692, 0.572548544, 0.663555396]]
    np.testing.assert_allclose(_directions(tx, G)[1], known, atol=1e-9)


def test_singular_values_after_five_of_kellers_steps():
    values = np.linalg.svd(linalg.polar(jnp.asarray(G[0]), 5, method="keller"), compute_uv=False)
    np.testing.assert_allclose(values, [0.920395087, 0.700026982], atol=1e-9)


ROWS = [
    (8.470329, -25.108075, 18.629276),
    (4.182834, -3.108701, 0.580607),
    (3.961857, -2.954064, 0.562976),
    (3.286586, -2.464720, 0.507358),
    (2.273750, -1.644660, 0.416191),
]


def test_the_minimax_rows_without_a_cushion():
    found = linalg.minimax_polynomials(5, 1e-3, 0.0)
    np.testing.assert_allclose(found.coefficients, ROWS, atol=2e-6)
    np.testing.assert_allclose(found.band, [0.886552, 1.113448], atol=1e-6)


def _rosenbrock(p):
    return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2


def test_the_first_steps_of_lbfgs_on_rosenbrock():
    x0 = jnp.asarray([-1.2, 1.0])
    g0 = jax.grad(_rosenbrock)(x0)
    np.testing.assert_allclose([_rosenbrock(x0), *g0], [24.2, -215.6, -88.0], rtol=1e-12)
    tx = gx.precondition_by_lbfgs()
    d, state = tx.update(g0, tx.init(x0), x0)
    x1 = x0 - d  # the first trial is of length 1
    np.testing.assert_allclose(x1, [-0.274152356, 1.377896997], atol=1e-9)
    np.testing.assert_allclose(_rosenbrock(x1), 171.335959, atol=1e-6)
    d, state = tx.update(jax.grad(_rosenbrock)(x1), state, x1)
    s, y = x1 - x0, jax.grad(_rosenbrock)(x1) - g0
    np.testing.assert_allclose([s @ y, (s @ y) / (y @ y)], [461.234520, 0.00185863189], rtol=1e-8)
    np.testing.assert_allclose(state.cosines[0] * jnp.linalg.norm(s) * jnp.linalg.norm(y), s @ y, rtol=1e-12)
    np.testing.assert_allclose(-d, [-0.324946783, -0.323383933], atol=1e-8)
