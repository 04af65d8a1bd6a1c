"""Fully sharded training: shardings of the optimizer state follow from those of the parameters (tree_map_params)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P


def main() -> list[float]:
    devices = jax.devices()
    mesh = jax.make_mesh((len(devices),), ("fsdp",), axis_types=(AxisType.Auto,), devices=devices)
    rng = np.random.default_rng(61)
    width = 8 * len(devices)
    x = rng.normal(size=(16, 4)).astype(np.float32)
    y = np.sin(x.sum(axis=1)).astype(np.float32)
    params = {
        "w": jnp.asarray(rng.normal(size=(4, width)) / 2, jnp.float32),
        "v": jnp.asarray(rng.normal(size=(width,)) / np.sqrt(width), jnp.float32),
        "bias": jnp.zeros(()),
    }
    param_shardings = {
        "w": NamedSharding(mesh, P(None, "fsdp")),
        "v": NamedSharding(mesh, P("fsdp")),
        "bias": NamedSharding(mesh, P()),
    }
    optimizer = optax.chain(
        optax.scale_by_adam(b2=0.95), optax.scale_by_schedule(optax.linear_schedule(-0.05, -0.01, 10))
    )

    # No array is made here: the shapes alone say which parts of the state are like parameters.
    abstract_state = jax.eval_shape(optimizer.init, params)
    state_shardings = optax.tree_map_params(
        optimizer,
        lambda _, sharding: sharding,
        abstract_state,
        param_shardings,
        transform_non_params=lambda _: NamedSharding(mesh, P()),
    )
    params = jax.device_put(params, param_shardings)
    opt_state = jax.jit(optimizer.init, out_shardings=state_shardings)(params)
    assert opt_state[0].mu["w"].sharding.spec == P(None, "fsdp")

    def loss_fn(params):
        return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"] + params["bias"], y).mean()

    def train_step(params, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    step = jax.jit(train_step, out_shardings=(param_shardings, state_shardings, None))
    losses = []
    for _ in range(10):
        params, opt_state, loss = step(params, opt_state)
        losses.append(float(loss))
    assert opt_state[0].nu["v"].sharding.spec == P("fsdp")
    return losses
