"""Labels and masks: as trees, prefix trees, functions and paths, and to the same answer in init and update."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gradtx as gx

PARAMS = {
    "encoder": [{"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}],
    "scale": jnp.ones(()),
}
MATRICES = {"encoder": [{"kernel": True, "bias": False}] * 2, "scale": False}


def _moved(tx, params=PARAMS, with_params=True):
    """Which leaves get an update."""
    state = tx.init(params)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), state, params if with_params else None)
    return jax.tree.map(lambda u: bool(jnp.any(u != 0)), updates)


def _masked(mask):
    return gx.masked(gx.sgd(0.1), mask, rest=gx.set_to_zero())


WAYS = {
    "a tree": MATRICES,
    "a prefix tree": {"encoder": [{"kernel": True, "bias": False}] * 2, "scale": False},
    "a function": lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    "a function of paths": lambda params: gx.tree.map_with_path(lambda path, p: path.endswith("kernel"), params),
    "by path": gx.by_path({"**/kernel": True, "**": False}),
    "where": gx.where(lambda path, p: p.ndim > 1),
    "where, by path": gx.where(lambda path, p: path.startswith("encoder") and "kernel" in path),
    "booleans of NumPy": jax.tree.map(np.bool_, MATRICES),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("with_params", [True, False])
def test_a_mask_in_any_form(way, with_params):
    assert _moved(_masked(WAYS[way]), with_params=with_params) == MATRICES
    jitted = gx.masked(gx.sgd(0.1), WAYS[way], rest=gx.set_to_zero())
    updates = jax.jit(lambda p: jitted.update(p, jitted.init(p), p)[0])(PARAMS)
    assert jax.tree.map(lambda u: bool(jnp.any(u != 0)), updates) == MATRICES


def test_optax_takes_labels_for_functions():
    masks = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    for mask in (gx.where(lambda path, p: p.ndim > 1), gx.by_path({"w": True, "**": False})):
        with jax.numpy_dtype_promotion("standard"):
            tx = optax.masked(gx.sgd(1.0), mask)
            updates, _ = tx.update(masks, tx.init(masks), masks)
        assert (float(updates["w"][0, 0]), float(updates["b"][0])) == (-1, 1)


def test_a_module_may_have_a_parameter_called_value():
    class Attention(eqx.Module):
        query: jax.Array
        value: jax.Array

    params = {"attention": Attention(jnp.ones(2), jnp.ones(2))}
    assert gx.tree.paths(params) == ["attention/query", "attention/value"]
    assert _moved(_masked(gx.by_path({"**/value": True, "**": False})), params)["attention"].value


def test_variables_of_nnx_have_the_path_of_their_array():
    state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param)
    assert gx.tree.paths(state) == gx.tree.paths(nnx.as_pure(state)) == ["bias", "kernel"]


def test_prefix_trees_label_whole_branches():
    assert _moved(_masked({"encoder": True, "scale": False})) == {
        "encoder": [{"kernel": True, "bias": True}] * 2,
        "scale": False,
    }
    assert _moved(_masked({"encoder": [True, False], "scale": True}))["encoder"][1] == {"kernel": False, "bias": False}
    assert all(jax.tree.leaves(_moved(_masked(True))))


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("**", ["encoder/0/bias", "encoder/0/kernel", "encoder/1/bias", "encoder/1/kernel", "scale"]),
        ("scale", ["scale"]),
        ("**/scale", ["scale"]),
        ("*", ["scale"]),
        ("**/bias", ["encoder/0/bias", "encoder/1/bias"]),
        ("encoder/1/**", ["encoder/1/bias", "encoder/1/kernel"]),
        ("encoder/*/b*", ["encoder/0/bias", "encoder/1/bias"]),
        ("**/0/**", ["encoder/0/bias", "encoder/0/kernel"]),
        ("encoder/**/kernel", ["encoder/0/kernel", "encoder/1/kernel"]),
        ("encoder", []),
        ("bias", []),
    ],
)
def test_patterns(pattern, matches):
    labels = gx.by_path({pattern: "yes"} | ({} if pattern == "**" else {"**": "no"}), allow_unused=True)(PARAMS)
    assert [
        path for path, label in zip(gx.tree.paths(PARAMS), jax.tree.leaves(labels), strict=True) if label == "yes"
    ] == matches


def test_the_first_pattern_that_matches_counts():
    labels = gx.by_path({"**/bias": "plain", "encoder/**": "decayed", "**": "rest"})(PARAMS)
    assert labels["encoder"][0] == {"bias": "plain", "kernel": "decayed"}
    assert labels["scale"] == "rest"


def test_names_with_slashes_are_paths_too():
    # Haiku calls its modules `mlp/~/linear_0`.
    labels = gx.by_path({"**/linear_*/b": "bias", "**": "other"})({"mlp/~/linear_0": {"w": 1, "b": 2}})
    assert labels == {"mlp/~/linear_0": {"w": "other", "b": "bias"}}


def test_functions_see_no_values_and_not_the_updates():
    seen = []

    def mask(params):
        seen.append([(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(params)])
        return jax.tree.map(lambda p: isinstance(p, jax.Array), params)

    params = {"w": jnp.ones((2, 2), jnp.bfloat16)}
    tx = _masked(mask)
    tx.update({"w": jnp.full((2, 2), jnp.nan)}, tx.init(params), params)
    assert seen == [[((2, 2), jnp.bfloat16)]] * 2


def test_a_mask_by_dtype_needs_the_parameters_in_update():
    tx = _masked(lambda params: jax.tree.map(lambda p: p.dtype == jnp.bfloat16, params))
    params, grads = {"w": jnp.ones(2, jnp.bfloat16)}, {"w": jnp.ones(2)}
    assert tx.update(grads, tx.init(params), params)[0]["w"][0] != 0
    with pytest.raises(
        ValueError, match=r"the labels depend on the parameters' dtypes; call tx.update\(grads, state, params"
    ):
        tx.update(grads, tx.init(params))


def test_a_callable_module_is_a_tree_and_not_a_function():
    module = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    params = eqx.filter(module, eqx.is_inexact_array)
    mask = jax.tree.map(lambda p: p.ndim > 1, params)
    moved = _moved(_masked(mask), params)
    assert (moved.weight, moved.bias) == (True, False)


def test_each_group_has_its_transform_and_its_state():
    tx = gx.partition(
        {"fast": gx.sgd(1.0, 0.5), "slow": gx.adam(0.1), "unused": gx.adam(0.1)},
        gx.by_path({"**/bias": "fast", "**": "slow"}),
        allow_unused=True,
    )
    state = tx.init(PARAMS)
    assert [leaf.shape for leaf in jax.tree.leaves(state["fast"])] == [(2,), (3,)]
    updates, _ = tx.update(PARAMS, state, PARAMS)
    alone = gx.adam(0.1).update(PARAMS["scale"], gx.adam(0.1).init(PARAMS["scale"]))[0]
    np.testing.assert_array_equal(updates["scale"], alone)
    np.testing.assert_array_equal(updates["encoder"][0]["bias"], -1.0)


def test_partitions_nest_and_see_the_paths_of_the_whole():
    inner = gx.partition({"w": gx.sgd(1.0), "b": gx.sgd(2.0)}, gx.by_path({"encoder/*/kernel": "w", "encoder/**": "b"}))
    tx = gx.partition({"net": inner, "rest": gx.sgd(3.0)}, gx.by_path({"encoder/**": "net", "**": "rest"}))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    got = jax.tree.map(lambda u: float(u.ravel()[0]), updates)
    assert got == {"encoder": [{"kernel": -1.0, "bias": -2.0}] * 2, "scale": -3.0}


def test_a_global_norm_within_a_group_is_of_that_group():
    tx = gx.masked(gx.clip_by_global_norm(1.0), {"a": True, "b": False})
    updates, _ = tx.update(
        {"a": jnp.full(4, 3.0), "b": jnp.full(4, 100.0)}, tx.init({"a": jnp.ones(4), "b": jnp.ones(4)})
    )
    np.testing.assert_allclose(updates["a"], 0.5)
    np.testing.assert_array_equal(updates["b"], 100.0)


def test_extras_reach_every_group():
    @gx.transformation
    def times_value():
        return gx.treewise(lambda updates, state, params, *, value: (jax.tree.map(lambda g: value * g, updates), state))

    tx = gx.partition({"a": gx.chain(times_value()), "b": gx.identity()}, {"x": "a", "y": "b"})
    params = {"x": jnp.ones(1), "y": jnp.ones(1)}
    updates, _ = tx.update(params, tx.init(params), params, value=7.0)
    assert (updates["x"][0], updates["y"][0]) == (7, 1)


def test_adamw_with_masks_decays_what_is_chosen():
    params = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for mask in (
        gx.where(lambda path, p: p.ndim > 1),
        {"kernel": True, "bias": False},
        gx.by_path({"kernel": True, "**": False}),
    ):
        tx = gx.adamw(0.1, weight_decay=0.5, mask=mask)
        updates, _ = tx.update(zeros, tx.init(params), params)
        np.testing.assert_allclose(updates["kernel"], -0.1)
        np.testing.assert_array_equal(updates["bias"], 0.0)
