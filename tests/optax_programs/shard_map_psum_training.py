"""Data parallelism with collectives by hand: shard_map over all devices, and a psum of the gradients before Adam."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P


def main() -> list[float]:
    devices = jax.devices()
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)
    rng = np.random.default_rng(85)
    rows = 4 * len(devices)
    x = rng.normal(size=(12, rows, 3)).astype(np.float32)
    y = (x[..., 0] - x[..., 1] * x[..., 2]).astype(np.float32)
    params = {
        "w": jnp.asarray(rng.normal(size=(3, 8)), jnp.float32),
        "v": jnp.asarray(0.3 * rng.normal(size=8), jnp.float32),
    }
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(2e-2), optax.ema(0.5, debias=False))

    def local_loss(params, x, y):
        return jnp.sum(optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y)) / rows

    def update(params, opt_state, x, y):
        loss, grads = jax.value_and_grad(local_loss)(params, x, y)
        loss, grads = jax.lax.psum((loss, grads), axis_name="batch")
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    step = jax.jit(
        jax.shard_map(
            update, mesh=mesh, in_specs=(P(), P(), P("batch"), P("batch")), out_specs=(P(), P(), P()), check_vma=False
        )
    )
    opt_state = tx.init(params)
    losses = []
    for xs, ys in zip(x, y, strict=True):
        params, opt_state, loss = step(params, opt_state, xs, ys)
        losses.append(float(loss))
    return losses
