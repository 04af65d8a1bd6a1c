"""Data-parallel training over a mesh of all devices: batches are sharded, parameters and optimizer state replicated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P


def main() -> list[float]:
    devices = jax.devices()
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    replicated = NamedSharding(mesh, P())
    by_batch = NamedSharding(mesh, P("data"))

    rng = np.random.default_rng(60)
    batch = 4 * len(devices)
    x = rng.normal(size=(10, batch, 8)).astype(np.float32)
    y = np.argmax(x[..., :4] + 0.2 * rng.normal(size=(10, batch, 4)), axis=-1).astype(np.int32)
    params = {
        "w1": jnp.asarray(rng.normal(size=(8, 16)) / 3, jnp.float32),
        "b1": jnp.zeros(16),
        "w2": jnp.asarray(rng.normal(size=(16, 4)) / 4, jnp.float32),
    }
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-2, 2, 10), weight_decay=1e-2),
    )
    params = jax.device_put(params, replicated)
    opt_state = jax.jit(optimizer.init, out_shardings=replicated)(params)

    def train_step(params, opt_state, x, y):
        def loss_fn(params):
            logits = jnp.tanh(x @ params["w1"] + params["b1"][None, :]) @ params["w2"]
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    step = jax.jit(
        train_step,
        in_shardings=(replicated, replicated, by_batch, by_batch),
        out_shardings=(replicated, replicated, replicated),
        donate_argnums=(0, 1),
    )
    losses = []
    for xs, ys in zip(x, y, strict=True):
        xs, ys = jax.device_put((xs, ys), by_batch)
        params, opt_state, loss = step(params, opt_state, xs, ys)
        losses.append(float(loss))
    leaves = jax.tree.leaves(opt_state)
    assert all(leaf.sharding.is_equivalent_to(replicated, leaf.ndim) for leaf in leaves)
    return losses
