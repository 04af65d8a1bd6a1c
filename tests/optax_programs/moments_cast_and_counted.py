"""Optimizer states mapped by tree_map_params: the moments are counted, cast to bfloat16 for storage, and cast back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(67)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = np.sin(2 * x[:, 0]).astype(np.float32)
    params = {
        "w": jnp.asarray(0.5 * rng.normal(size=(4, 8)), jnp.float32),
        "v": jnp.asarray(0.5 * rng.normal(size=8), jnp.float32),
    }
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(optax.constant_schedule(2e-2), weight_decay=1e-3),
        optax.ema(0.5),
    )
    opt_state = tx.init(params)

    elements = []
    optax.tree_map_params(tx, lambda leaf: elements.append(leaf.size), opt_state)
    non_params = []
    optax.tree_map_params(
        tx, lambda leaf: leaf, opt_state, transform_non_params=lambda leaf: non_params.append(leaf.size)
    )

    def cast(state, dtype):
        return optax.tree_map_params(tx, lambda leaf: leaf.astype(dtype), state)

    @jax.jit
    def step(params, stored):
        def loss_fn(params):
            return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, cast(stored, jnp.float32), params)
        return optax.apply_updates(params, updates), cast(opt_state, jnp.bfloat16), loss

    stored = cast(opt_state, jnp.bfloat16)
    results = [float(sum(elements)), float(len(elements)), float(sum(non_params))]
    for _ in range(15):
        params, stored, loss = step(params, stored)
        results.append(float(loss))
    assert stored[1][0].mu["w"].dtype == jnp.bfloat16
    results.append(float(stored[1][0].count))
    half = optax.tree_utils.tree_cast(params, jnp.bfloat16)
    assert half["w"].dtype == jnp.bfloat16
    results.append(float(optax.tree_utils.tree_vdot(params, params)))
    return results
