"""Training whose rate falls on a plateau of the loss: contrib.reduce_on_plateau after Adam, with value= in update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(48)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (np.abs(x[:, 0]) + 0.5 * x[:, 1] + rng.normal(size=40)).astype(np.float32)
    params = {
        "w1": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32),
        "w2": jnp.asarray(0.3 * rng.normal(size=(4,)), jnp.float32),
    }
    opt = optax.chain(
        optax.adam(0.2),
        optax.contrib.reduce_on_plateau(
            factor=0.5, patience=2, rtol=0.02, atol=0.0, cooldown=1, accumulation_size=2, min_scale=0.02
        ),
    )
    opt_state = opt.init(params)

    def loss_fn(params, x, y):
        return optax.l2_loss(jax.nn.softplus(x @ params["w1"]) @ params["w2"], y).mean()

    @jax.jit
    def step(params, opt_state, x, y):
        value, grads = jax.value_and_grad(loss_fn)(params, x, y)
        updates, opt_state = opt.update(grads, opt_state, params, value=value)
        return optax.apply_updates(params, updates), opt_state, value

    results = []
    for i in range(30):
        batch = slice(20 * (i % 2), 20 * (i % 2) + 20)
        params, opt_state, value = step(params, opt_state, x[batch], y[batch])
        results += [float(value), float(optax.tree_utils.tree_get(opt_state, "scale"))]
    plateau = opt_state[1]
    results += [float(plateau.plateau_count), float(plateau.cooldown_count), float(plateau.best_value)]
    return results
