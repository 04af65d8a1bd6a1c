"""On a mesh with explicit axes, which `jax.make_mesh` makes, the type of an array says how it is sharded.

Every transform can be stepped there, updates are sharded as their parameters, and the state as before the step.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx as gx

PER_EXAMPLE = {"aggregate_privately", "dpsgd"}  # their updates have an axis more than the parameters
MATRIX = {"w": jnp.linspace(0.5, 1.5, 24).reshape(8, 3) + jnp.eye(8, 3)}
PARAMS = MATRIX | {"b": jnp.linspace(-1.0, 1.0, 8)}


def mesh_of(kind=AxisType.Explicit, names=("rows", "columns")):
    shape = (4,) if len(names) == 1 else (2, 2)
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(names), devices=jax.devices()[:4])


def sharded(params, mesh, **specs):
    return {
        name: jax.device_put(p, NamedSharding(mesh, specs.get(name, PartitionSpec()))) for name, p in params.items()
    }


def step_of(tx, extras=lambda params: {}, gradient=lambda p: 0.1 * p):
    def step(params, state):
        updates, state = tx.update(jax.tree.map(gradient, params), state, params, **extras(params))
        return gx.apply_updates(params, updates), state

    return step


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in PER_EXAMPLE], ids=lambda case: case.name)
def test_every_transform_keeps_the_shardings(case):
    mesh = mesh_of(names=("rows",))
    with jax.set_mesh(mesh):
        params = sharded(MATRIX if case.matrices else PARAMS, mesh, w=PartitionSpec("rows"), b=PartitionSpec("rows"))
        state = jax.eval_shape(case.transform.init, params)
        after = jax.eval_shape(step_of(case.transform, case.extras), params, state)
    jax.tree.map(lambda old, new: check_equal(axes_of(old), axes_of(new)), (params, state), after)


def axes_of(x):
    axes = () if x.sharding is None else tuple(x.sharding.spec)
    return axes + (None,) * (x.ndim - len(axes))


def check_equal(old, new):
    assert old == new


def scheduled(name, **arguments):
    return getattr(gx, name)(gx.schedules.cosine_decay(0.1, 10), **arguments)


OF_MATRICES = [
    scheduled("muon"),
    scheduled("soap"),
    scheduled("shampoo"),
    scheduled("kl_shampoo"),
    scheduled("psgd_kron"),
    scheduled("dion", rank=2),
    scheduled("galore_adamw", rank=2),
    gx.accumulate_gradients(gx.muon(0.1), 2),
    gx.skip_nonfinite(gx.normuon(0.1)),
    gx.masked(gx.scale_by_shape("spectral", gx.schedules.linear(1.0, 0.5, 10)), {"w": True, "b": False}),
    gx.masked(gx.chain(gx.matrixwise(lambda g: g @ g.T @ g)), {"w": True, "b": False}),
]


@pytest.mark.parametrize("tx", OF_MATRICES, ids=lambda tx: tx.factory_name)
def test_matrices_that_are_split_both_ways_get_what_they_get_on_one_device(tx):
    params = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(8, 8)), jnp.float32), "b": PARAMS["b"]}
    step = step_of(tx, gradient=lambda p: jnp.sin(7 * p))  # in no basis alike at two steps

    def run(params):
        state = tx.init(params)
        for _ in range(2):
            params, state = jax.jit(step)(params, state)
        return params

    want, mesh = run(params), mesh_of()
    with jax.set_mesh(mesh):
        got = run(sharded(params, mesh, w=PartitionSpec("rows", "columns"), b=PartitionSpec("rows")))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4), got, want)


def test_a_learning_rate_on_the_mesh_reaches_a_matrix():
    mesh = mesh_of()

    @gx.transformation
    def cubed(factor: gx.Scalar):
        return gx.matrixwise(lambda g: factor * (g @ g.T @ g))

    with jax.set_mesh(mesh):
        g = sharded(MATRIX, mesh, w=PartitionSpec("rows"))
        found, _ = cubed(jnp.float32(2.0)).update(g, cubed(2.0).init(g))
    np.testing.assert_allclose(found["w"], 2 * MATRIX["w"] @ MATRIX["w"].T @ MATRIX["w"], rtol=1e-5)


def test_lbfgs_minimizes_on_the_mesh():
    mesh = mesh_of()
    with jax.set_mesh(mesh):
        start = sharded(PARAMS, mesh, w=PartitionSpec("rows"), b=PartitionSpec("columns"))
        result = gx.minimize(lambda p: sum(jnp.sum((x - 1) ** 2) for x in p.values()), gx.lbfgs(), start)
    assert result.converged
    jax.tree.map(lambda x: np.testing.assert_allclose(x, 1.0, atol=1e-4), result.params)


STACKED = [
    gx.in_eigenbasis(gx.scale_by_ema(0.9), 0.9, 2),
    gx.precondition_by_kronecker(),
    gx.scale_by_row_ema(0.9),
    gx.precondition_by_whitening(),
]


@pytest.mark.parametrize("tx", STACKED, ids=lambda tx: tx.factory_name)
def test_what_is_stored_for_layers_is_split_as_the_layers(tx):
    mesh, tx = mesh_of(), gx.as_matrices(tx, gx.matrix())
    with jax.set_mesh(mesh):
        state = tx.init(sharded({"w": jnp.ones((4, 6, 2))}, mesh, w=PartitionSpec("rows", None, "columns")))
    assert {x.sharding.spec[0] for x in jax.tree.leaves(state) if x.ndim} == {"rows"}


def test_the_pairs_of_lbfgs_are_split_as_their_parameters():
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = mesh_of(kind)
        with jax.set_mesh(mesh):
            state = gx.precondition_by_lbfgs(3).init(sharded(PARAMS, mesh, w=PartitionSpec("rows")))
        assert state.steps["w"].sharding.spec[1] == "rows"


def test_transforms_as_arguments_and_gradients_that_are_elsewhere():
    tx = gx.chain(gx.matrixwise(lambda g: g @ g.T @ g), gx.scale_by_learning_rate(0.1))
    mesh = mesh_of()
    with jax.set_mesh(mesh):
        params = sharded(MATRIX, mesh, w=PartitionSpec("rows"))
        jax.jit(lambda tx, p: tx.update(p, tx.init(p), p)[0])(jax.tree.map(jnp.float32, tx), params)
        simplex = gx.project_simplex(axis=0)
        out, _ = simplex.update({"w": jnp.ones((8, 3))}, simplex.init(params), params)
    np.testing.assert_allclose(np.sum(params["w"] + out["w"], 0), 1.0, rtol=1e-5)


def test_a_batch_in_parts():
    mesh = mesh_of(names=("rows",))
    with jax.set_mesh(mesh):
        params = sharded(MATRIX, mesh, w=PartitionSpec("rows"))
        tx = gx.adam(0.1)
        step = gx.make_train_step(lambda p, x: jnp.sum(p["w"] ** 2) * jnp.mean(x), tx, accumulate=2)
        params, _, _ = step(params, tx.init(params), jnp.ones(4))
    assert params["w"].sharding.spec[0] == "rows"
