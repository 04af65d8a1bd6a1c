"""Names for what several branches read."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import let, use

PARAMS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(3.0)}
MEAN = gx.scale_by_ema(0.5)


def _run(tx, steps=3):
    state, out = tx.init(PARAMS), []
    for count in range(steps):
        updates, state = tx.update(jax.tree.map(lambda p, c=count: p * (1.0 + c), PARAMS), state, PARAMS)
        out.append(updates)
    return out


def _same(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), _run(left), _run(right))


TWICE = gx.product(use("m"), use("m"))
HOMES = {
    "alone": lambda body: let("m", MEAN, body),
    "after a step": lambda body: gx.chain(gx.scale(1.0), let("m", MEAN, body)),
    "of a whole tree": lambda body: let("m", gx.chain(MEAN, gx.clip_by_global_norm(1e9)), body),
    "around a partition": lambda body: let(
        "m", MEAN, gx.partition({"a": body, "b": body}, gx.by_path({"w": "a", "b": "b"}))
    ),
    "inside a partition": lambda body: gx.partition(
        {"a": let("m", MEAN, body), "b": let("m", MEAN, body)}, gx.by_path({"w": "a", "b": "b"})
    ),
    "around a mask": lambda body: let("m", MEAN, gx.masked(body, gx.by_path({"**": True}))),
    "through another name": lambda body: let("m", MEAN, let("n", gx.sign(), body)),
    "around a wrapper": lambda body: let("m", MEAN, gx.skip_nonfinite(body)),
    "around accumulation": lambda body: let("m", MEAN, gx.accumulate_gradients(body, 1)),
    "around numbers in the state": lambda body: let("m", MEAN, gx.inject(gx.chain(body, gx.scale(1.0)))),
}


@pytest.mark.parametrize("home", HOMES)
def test_a_name_is_read_wherever_it_is_in_sight(home):
    _same(HOMES[home](TWICE), gx.product(MEAN, MEAN))


def test_what_has_a_name_is_stored_once():
    tx = let("m", gx.scale_by_ema(0.9), gx.ratio(gx.difference(gx.identity(), use("m")), use("m"), 0.1))
    assert sum(leaf.size for leaf in jax.tree.leaves(tx.init(PARAMS))) == 3


def test_a_name_is_of_the_updates_before_the_let():
    # Not of what the body has made of them on the way to `use`.
    _same(let("g", gx.identity(), gx.chain(gx.scale(5.0), use("g"))), gx.identity())


def test_a_name_without_a_let():
    tx = let("m", MEAN, gx.chain(use("n")))
    for wrong in (tx, let("m", MEAN, gx.chain(use("n"), gx.clip_by_global_norm(1.0)))):
        with pytest.raises(ValueError, match=r"use\('n'\) is outside let\('n', value, body\); known names: m"):
            wrong.update(PARAMS, wrong.init(PARAMS))
    with pytest.raises(ValueError, match=r"use\('n'\) is outside .*; known names: none"):
        use("n").update(PARAMS, use("n").init(PARAMS))


def test_the_value_of_a_let_does_not_see_its_own_name():
    tx = let("m", gx.chain(use("m")), use("m"))
    with pytest.raises(ValueError, match=r"in let > chain > use: use\('m'\) is outside"):
        tx.update(PARAMS, tx.init(PARAMS))


def test_a_wrong_state():
    tx = let("m", gx.clip_by_global_norm(1.0), use("m"))
    with pytest.raises(ValueError, match=r"in let: expected the state of let"):
        tx.update(PARAMS, (), PARAMS)


def test_parts_of_optax_do_not_see_names():
    tx = let("m", optax.trace(0.5), gx.chain(optax.scale(2.0), use("m")))
    _same(tx, gx.add_momentum(0.5))


def test_names_are_values():
    tx = let("m", MEAN, TWICE)
    assert tx == eval(repr(tx), vars(gx)) == gx.from_config(gx.to_config(tx))
    assert tx != let("n", MEAN, gx.product(use("n"), use("n")))
