"""Differentially private training: per-example gradients by vmap, clipped and noised by the aggregate of contrib."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(68)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    y = (x @ rng.normal(size=5) > 0).astype(np.int32)
    params = {"w": jnp.asarray(0.1 * rng.normal(size=(5, 2)), jnp.float32), "b": jnp.zeros(2)}

    tx = optax.chain(
        optax.contrib.differentially_private_aggregate(
            l2_norm_clip=0.7, noise_multiplier=0.4, key=jax.random.key(1337)
        ),
        optax.sgd(0.4, momentum=0.5),
    )
    # Without noise it is clipping alone; contrib.dpsgd takes a seed only, of which Optax warns.
    whole = optax.chain(
        optax.contrib.differentially_private_aggregate(1.0, 0.0, key=jax.random.key(7)), optax.adam(3e-2)
    )

    def loss_fn(params, example):
        features, label = example
        logits = features @ params["w"] + params["b"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)

    def batch_loss(params, batch):
        return jax.vmap(loss_fn, in_axes=(None, 0))(params, batch).mean()

    per_example_grads = jax.vmap(jax.grad(loss_fn), in_axes=(None, 0))

    @jax.jit
    def private_step(params, opt_state, other, other_state, batch):
        losses = batch_loss(params, batch), batch_loss(other, batch)
        updates, opt_state = tx.update(per_example_grads(params, batch), opt_state, params)
        params = optax.apply_updates(params, updates)
        updates, other_state = whole.update(per_example_grads(other, batch), other_state, other)
        return params, opt_state, optax.apply_updates(other, updates), other_state, losses

    @jax.jit
    def clipped_share(params, batch):
        clipped, number = optax.per_example_global_norm_clip(jax.tree.leaves(per_example_grads(params, batch)), 0.5)
        return jnp.stack([optax.tree_utils.tree_norm(clipped), number.astype(jnp.float32)])

    opt_state, other, other_state = tx.init(params), params, whole.init(params)
    results = []
    for i in range(12):
        rows = slice(16 * (i % 4), 16 * (i % 4) + 16)
        params, opt_state, other, other_state, losses = private_step(
            params, opt_state, other, other_state, (x[rows], y[rows])
        )
        results += [float(loss) for loss in losses]
    return [*results, *clipped_share(params, (x, y)).tolist()]
