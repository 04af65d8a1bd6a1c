"""Within `jax.shard_map`, with its default checks: every state is a fixed point, varying axes included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, the_others_wait
from jax.sharding import AxisType, PartitionSpec

import gradtx as gx

PARAMS = {"w": jnp.linspace(0.5, 1.5, 24).reshape(8, 3), "b": jnp.linspace(-1.0, 1.0, 8)}
PER_EXAMPLE = {"aggregate_privately", "dpsgd"}  # their updates have an axis more than the parameters


def scan_within_shard_map(tx, spec, extras=lambda params: {}, count=2):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])

    def body(params):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jax.tree.map(lambda p: 0.1 * p, params), state, params, **extras(params))
            return (gx.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), length=count)[0][0]

    return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec))


@pytest.mark.parametrize("spec", [PartitionSpec("d"), PartitionSpec()], ids=["sharded", "replicated"])
@pytest.mark.parametrize("case", the_others_wait(case for case in CASES if case.name not in PER_EXAMPLE))
def test_every_transform_can_be_scanned(case, spec):
    params = {"w": PARAMS["w"]} if case.matrices else PARAMS
    scan_within_shard_map(case.transform, spec, case.extras).lower(params)


@pytest.mark.parametrize(
    "tx",
    [
        gx.adamw(0.1),
        gx.accumulate_gradients(gx.lamb(0.1), 2),
        gx.skip_nonfinite(gx.lookahead(gx.sgd(0.1), 2, 0.5)),
        gx.switch(lambda count: count % 2, gx.novograd(0.1), gx.clip_by_global_norm(1.0)),
    ],
    ids=lambda tx: tx.factory_name,
)
def test_replicated_parameters_get_what_they_get_outside(tx):
    got = scan_within_shard_map(tx, PartitionSpec(), count=3)(PARAMS)
    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(3):
        updates, state = tx.update(jax.tree.map(lambda p: 0.1 * p, params), state, params)
        params = gx.apply_updates(params, updates)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), got, params)
