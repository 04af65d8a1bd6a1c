"""On a mesh with automatic axes XLA chooses how results are sharded: a state has to come out as `init` placed it."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx as gx

SPLITS = {
    "inputs": PartitionSpec("rows"),
    "outputs": PartitionSpec(None, "rows"),
    "both": PartitionSpec("rows", "columns"),
}
STACKED = {
    "layers": PartitionSpec("rows"),
    "inputs": PartitionSpec(None, "rows"),
    "layers and outputs": PartitionSpec("rows", None, "columns"),
}
OF_MATRICES = [case for case in CASES if case.matrices]
OTHERS = [
    case for case in CASES if not case.matrices and not case.name.startswith(("aggregate_privately", "dpsgd"))
]  # these have gradients with an axis more


def mesh():
    kinds = (AxisType.Auto,) * 2
    return jax.make_mesh((2, 2), ("rows", "columns"), axis_types=kinds, devices=jax.devices()[:4])


def check_shardings(tx, params, extras=lambda params: {}, numbers=True):
    """Raises if a compiled step would return another sharding than `init`; `numbers`: also of arrays without axes."""

    def step(params, state):
        updates, state = tx.update(jax.tree.map(lambda p: 0.1 * p, params), state, params, **extras(params))
        return gx.apply_updates(params, updates), state

    state = tx.init(params)
    _, after = jax.jit(step).lower(params, state).compile().output_shardings
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True):
        if numbers or old.ndim > 1:
            assert new.is_equivalent_to(old.sharding, old.ndim), f"{path}: {old.sharding} before, {new} after"


def parameters(split, case=None):
    params = {"w": jax.device_put(jnp.eye(8, 12) + 1.0, NamedSharding(mesh(), split))}
    if case is not None and not case.matrices:
        params["b"] = jax.device_put(jnp.linspace(-1.0, 1.0, 8), NamedSharding(mesh(), PartitionSpec("rows")))
    return params


@pytest.mark.parametrize("case", OF_MATRICES, ids=lambda case: case.name)
def test_matrices_that_are_split_both_ways(case):
    with jax.set_mesh(mesh()):
        check_shardings(case.transform, parameters(SPLITS["both"]), case.extras)


@pytest.mark.slow
@pytest.mark.parametrize("in_mesh", [True, False])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("case", OF_MATRICES + OTHERS, ids=lambda case: case.name)
def test_every_transform_with_every_split(case, split, in_mesh):
    with jax.set_mesh(mesh()) if in_mesh else nullcontext():
        check_shardings(case.transform, parameters(SPLITS[split], case), case.extras, numbers=in_mesh)


ADAM = gx.ratio(gx.identity(), gx.chain(gx.square(), gx.scale_by_ema(0.9), gx.sqrt()))
OF_STACKS = [
    gx.as_matrices(gx.precondition_by_whitening(max_dim=6), gx.matrix()),
    gx.as_matrices(gx.scale_by_dion(2), gx.matrix()),
    gx.as_matrices(gx.low_rank(gx.scale_by_adam(), 2), gx.matrix()),
    gx.as_matrices(gx.in_eigenbasis(ADAM, every=2), gx.matrix()),
    gx.as_matrices(gx.scale_by_row_ema(0.9), gx.matrix()),
    gx.over_layers(gx.prodigy(1e-3)),
]


@pytest.mark.parametrize("split", [STACKED["layers and outputs"]], ids=str)
@pytest.mark.parametrize("tx", OF_STACKS, ids=str)
def test_stacked_layers(tx, split):
    with jax.set_mesh(mesh()):
        check_shardings(tx, {"w": jax.device_put(jnp.ones((4, 6, 8)), NamedSharding(mesh(), split))})


def test_stacked_layers_of_which_some_are_split():
    tx = gx.over_layers(gx.scale_by_row_ema(0.9))
    with jax.set_mesh(mesh()):
        split = jax.device_put(jnp.ones((4, 6, 8)), NamedSharding(mesh(), STACKED["layers"]))
        check_shardings(tx, {"a": jnp.ones((4, 3, 2)), "b": split})


OVER = [gx.over_layers(tx.arguments["inner"]) for tx in OF_STACKS[:-1]]


@pytest.mark.slow
@pytest.mark.parametrize("split", STACKED)
@pytest.mark.parametrize("tx", [*OF_STACKS, *OVER, gx.over_layers(gx.precondition_by_lbfgs(2))], ids=str)
def test_stacked_layers_that_are_split_in_every_way(tx, split):
    with jax.set_mesh(mesh()):
        check_shardings(tx, {"w": jax.device_put(jnp.ones((4, 6, 6)), NamedSharding(mesh(), STACKED[split]))})


def test_a_step_that_was_compiled_ahead_of_time_runs_on_in_place():
    tx = gx.soap(1e-2, every=2)
    with jax.set_mesh(mesh()):
        params = parameters(SPLITS["outputs"])
        state = tx.init(params)

        def step(params, state):
            updates, state = tx.update(jax.tree.map(jnp.sin, params), state, params)
            return gx.apply_updates(params, updates), state

        compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state).compile()
        for _ in range(3):
            old = jax.tree.leaves(state)
            params, state = compiled(params, state)
            assert all(x.is_deleted() for x in old)


@pytest.mark.parametrize("tx", [gx.scale_by_soap(every=2), gx.precondition_by_whitening(), gx.scale_by_dion(2)])
def test_what_is_whole_already_needs_no_communication(tx):
    with jax.set_mesh(mesh()):
        params = parameters(PartitionSpec())
        text = jax.jit(tx.update).lower(params, tx.init(params), params).compile().as_text()
    assert not any(name in text for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute"))


def test_within_shard_map_over_some_of_the_axes():
    tx, g = gx.scale_by_soap(every=2), jnp.asarray(np.random.default_rng(0).standard_normal((6, 4)), jnp.float32)
    want = tx.update(g, tx.init(g), g)[0]
    with jax.set_mesh(mesh()):
        mapped = jax.shard_map(
            lambda g: tx.update(g, tx.init(g), g)[0],
            in_specs=PartitionSpec(),
            out_specs=PartitionSpec(),
            axis_names={"rows"},
        )
        np.testing.assert_allclose(jax.jit(mapped)(g), want, atol=1e-4)
