"""Tree helpers: norms, random trees, and single places in nested states."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradtx as gx
from gradtx import tree

TREE = {"a": jnp.asarray([3.0, -4.0]), "b": {"none": None, "c": jnp.asarray(12.0), "empty": jnp.zeros((0, 2))}}


# Norms.


@pytest.mark.parametrize(("order", "wanted"), [(1, 19.0), (2, 13.0), (np.inf, 12.0), (2.0, 13.0)])
def test_norms(order, wanted):
    assert tree.norm(TREE, order) == wanted
    assert tree.norm({"z": jnp.asarray([3 + 4j, 0])}, order) == 5
    assert tree.norm({}, order) == 0


def test_the_norm_is_the_global_norm_unless_told():
    assert tree.norm(TREE) == tree.norm(TREE) == 13


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize(
    ("dtype", "size"), [(jnp.float16, 6e4), (jnp.float16, 6e-8), (jnp.bfloat16, 1e36), (jnp.float32, 1e37)]
)
def test_norms_neither_overflow_nor_underflow(order, dtype, size):
    x = jnp.full(9, size, dtype)
    norm = tree.norm({"x": x, "y": jnp.zeros((), jnp.float32)}, order)
    assert norm.dtype == jnp.float32
    np.testing.assert_allclose(norm, {1: 9, 2: 3, np.inf: 1}[order] * float(x[0]), rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_norms_do_not_hide_nan_and_have_finite_derivatives(order):
    norm = functools.partial(tree.norm, ord=order)
    assert jnp.isnan(norm([jnp.asarray([1.0, jnp.nan]), jnp.ones(1)]))
    assert jnp.isinf(norm([jnp.asarray([1.0, -jnp.inf]), jnp.ones(1)]))
    large = jnp.ones((300, 400)).at[200, 30].set(jnp.nan)  # a maximum of so many may lose it
    assert jnp.isnan(norm([jnp.ones(3), large]))
    for x in (jnp.zeros(3), jnp.zeros(3, jnp.complex64)):
        assert jnp.all(jnp.isfinite(jax.grad(norm)(x)))


def test_norms_that_are_refused():
    with pytest.raises(gx.GradtxValueError, match="norm: ord: expected 1, 2 or infinity, got 3"):
        tree.norm(TREE, 3)
    for order in (1, 2):
        with pytest.raises(gx.GradtxTypeError, match="the leaf 'n' of the tree is int32"):
            tree.norm({"n": jnp.arange(3)}, order)


# Random trees.


def test_random_trees_have_the_form_of_the_tree():
    like = {"w": jnp.ones((3, 2), jnp.bfloat16), "z": jnp.ones(2, jnp.complex64), "none": None}
    drawn = tree.random_like(jax.random.key(0), like)
    assert jax.eval_shape(lambda: drawn) == jax.eval_shape(lambda: like)
    assert jax.tree.leaves(tree.random_like(jax.random.key(0), {})) == []
    abstract = jax.eval_shape(lambda: like)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, tree.random_like(jax.random.key(0), abstract), drawn))


def test_random_leaves_are_independent_and_of_the_sampler_and_dtype_given():
    like = {"a": jnp.zeros(400, jnp.bfloat16), "b": jnp.zeros(400, jnp.bfloat16)}
    drawn = jax.jit(lambda key: tree.random_like(key, like, dtype=jnp.float32))(jax.random.PRNGKey(1))
    a, b = drawn["a"], drawn["b"]
    assert a.dtype == jnp.float32
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.15
    assert 0.85 < a.std() < 1.15
    signs = tree.random_like(jax.random.key(1), like, jax.random.rademacher)
    assert set(np.asarray(signs["a"], np.float32)) == {-1.0, 1.0}


# Places in a nested tree.


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Node:
    mean: dict
    count: jax.Array


def nested():
    mean = {"w": jnp.ones(2, jnp.bfloat16), "b": None}
    return ({"inner": (Node(mean, jnp.zeros((), jnp.int32)),), "rate": jnp.float32(0.1)}, [jnp.arange(3)])


def test_find_by_the_end_of_the_path():
    state = nested()
    assert tree.find(state, "mean") is state[0]["inner"][0].mean
    assert tree.find(state, "mean/w") is tree.find(state, "w") is state[0]["inner"][0].mean["w"]
    assert tree.find(state, "0/inner/0/count") is tree.find(state, "count") is state[0]["inner"][0].count
    assert tree.find(state, "rate") == np.float32(0.1)
    assert tree.find(state, "1/0") is state[1][0]


def test_a_whole_path_tells_a_part_from_those_further_down():
    state = {"inner": {"inner": jnp.ones(1), "x": jnp.zeros(1)}}
    assert tree.find(state, "inner") is state["inner"]
    assert tree.find(state, "inner/inner") is state["inner"]["inner"]


def test_find_in_states_of_transforms():
    params = {"w": jnp.ones(2), "b": jnp.ones(1)}
    labels = gx.by_path({"w": "a", "**": "b"})
    tx = gx.chain(
        ("clip", gx.clip(1.0)),
        ("opt", gx.partition({"a": gx.lookahead(gx.adam(0.1), 2, 0.5), "b": gx.sgd(0.1)}, labels)),
    )
    state = tx.init(params)
    assert tree.find(state, "slow/params")["w"].shape == (2,)
    assert tree.find(state, "a/inner") is state["opt"]["a"]["inner"]
    state = tree.replace(state, count=1)
    updates, _ = tx.update(params, state, params)
    np.testing.assert_allclose(updates["w"], -0.05, rtol=1e-5)  # so that this step synchronizes


def test_find_that_fails_says_what_there_is():
    with pytest.raises(
        gx.GradtxValueError, match=r"no path ends in 'means'; did you mean 'mean'\?; known paths: 0/inner/0/mean/w, "
    ):
        tree.find(nested(), "means")
    with pytest.raises(gx.GradtxValueError, match="find: several paths end in '1': a/1, b/1; give more of the path"):
        tree.find({"a": (1, 2), "b": (3, 4)}, "1")
    with pytest.raises(gx.GradtxValueError, match="find: no path ends in 'x'; known paths: none"):
        tree.find({}, "x")
    with pytest.raises(gx.GradtxValueError, match="no path ends in 'b'"):
        tree.find(nested(), "b")  # which is None


def test_replace_keeps_the_form():
    state = nested()
    new = tree.replace(state, {"inner/0/count": 7}, w=0.5, rate=1)
    assert jax.eval_shape(lambda: new) == jax.eval_shape(lambda: state)
    assert new[0]["inner"][0].count == 7
    assert jnp.all(new[0]["inner"][0].mean["w"] == 0.5)
    assert new[0]["rate"] == 1
    assert state[0]["inner"][0].count == 0, "the old one is as it was"
    mean = tree.replace(state, mean={"w": np.asarray([2.0, 3.0]), "b": None})[0]["inner"][0].mean
    assert mean["w"].dtype == jnp.bfloat16


def test_replace_does_not_compile_again():
    tx, traces = gx.sgd(0.1, 0.9), []

    @jax.jit
    def update(g, state):
        traces.append(1)
        return tx.update(g, state)

    g = {"w": jnp.ones(2)}
    _, state = update(g, tx.init(g))
    _, state = update(g, tree.replace(state, w=1.0))
    np.testing.assert_allclose(tree.find(state, "w"), 1.9)
    assert len(traces) == update._cache_size() == 1
    assert jax.jit(lambda s: tree.replace(s, w=2.0))(state)[0]["w"][0] == 2


def test_replace_of_keys_and_of_variables():
    state = {"key": jax.random.key(0), "v": nnx.Param(jnp.ones(2))}
    new = tree.replace(state, key=jax.random.key(1), v=3.0)
    assert jnp.array_equal(jax.random.key_data(new["key"]), jax.random.key_data(jax.random.key(1)))
    assert isinstance(new["v"], nnx.Param)
    assert jnp.all(jax.tree.leaves(new["v"])[0] == 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0.5}, r"replace: count: expected a number of shape \(\), got 0.5; the dtype is int32"),
        ({"w": jnp.ones(3)}, r"replace: w: expected an array of shape \(2,\), got .*; the dtype is bfloat16"),
        ({"rate": 1j}, r"replace: rate: expected a number of shape \(\), got 1j"),
        ({"rate": None}, "replace: rate: expected a number"),
        ({"mean": 1.0}, "replace: mean: expected the structure of the old part: only the old part have w"),
        ({"nu": 1.0}, "replace: no path ends in 'nu'"),
    ],
)
def test_replace_that_fails(changes, message):
    with pytest.raises(gx.GradtxValueError, match=message):
        tree.replace(nested(), changes)


@pytest.mark.parametrize("name", ["count", "mu"])
def test_fields_of_optax_are_told_where_they_are(name):
    with pytest.raises(gx.GradtxValueError, match=f"the states of gradtx.optax have '{name}'"):
        gx.tree.find(gx.adam(1e-3).init(jnp.ones(2)), name)
