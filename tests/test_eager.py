"""Updates compiled for loops that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx._executions.compiled import _update

P = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), "b": jnp.ones(2)}


def _run(tx, **extra):
    state, out = tx.init(P), []
    for scale in (1.0, -0.5, 2.0):
        updates, state = tx.update(jax.tree.map(lambda p, s=scale: s * p, P), state, P, **extra)
        out.append(updates)
    return out


def _same(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), left, right)


@pytest.mark.parametrize(
    "tx",
    [gx.adamw(0.1), gx.adam(gx.schedules.linear(0.1, 0.0, 3)), gx.lamb(0.1), optax.adam(0.1)],
    ids=["adamw", "scheduled", "lamb", "optax"],
)
def test_it_changes_nothing(tx):
    with jax.numpy_dtype_promotion("standard"):
        _same(_run(gx.compiled(tx)), _run(tx))


def test_one_program_for_all_learning_rates_and_for_transforms_made_again():
    _run(gx.compiled(gx.adamw(0.1)))
    before = _update._cache_size()
    for rate in (0.1, 0.2, 0.3):
        _run(gx.compiled(gx.adamw(rate)))
    assert _update._cache_size() == before


def test_extras_that_are_numbers_are_traced_and_functions_are_not():
    tx = gx.compiled(gx.chain(gx.sgd(0.1), gx.reduce_on_plateau()))
    _run(tx, value=1.0)
    before = _update._cache_size()
    _same(_run(tx, value=2.0), _run(gx.chain(gx.sgd(0.1), gx.reduce_on_plateau()), value=2.0))
    assert _update._cache_size() == before
    slope = lambda p: jax.tree.map(lambda x: 2 * x, p)
    ahead = gx.sharpness_aware(gx.sgd(0.1), 0.1)
    _same(_run(gx.compiled(ahead), grad_fn=slope), _run(ahead, grad_fn=slope))


def test_an_extra_that_is_neither():
    tx = gx.compiled(gx.sgd(0.1))
    with pytest.raises(
        TypeError, match=r"in compiled: expected an array or a hashable object as the extra argument 'log'"
    ):
        tx.update(P, tx.init(P), log={"name", "other"})
    with pytest.raises(ValueError, match="in compiled: expected the state of compiled"):
        tx.update(P, gx.sgd(0.1).init(P), P)
