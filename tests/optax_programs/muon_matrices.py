"""A matrix-valued network trained by Muon, the vectors by its Adam; the losses are given to two digits only."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(57)
    x = rng.normal(size=(32, 6)).astype(np.float32)
    y = np.tanh(x @ rng.normal(size=(6, 6)) / 2).astype(np.float32)
    params = {
        "up": {"kernel": jnp.asarray(rng.normal(size=(6, 12)) / 3, jnp.float32), "bias": jnp.zeros(12)},
        "down": {"kernel": jnp.asarray(rng.normal(size=(12, 6)) / 4, jnp.float32), "bias": jnp.zeros(6)},
    }
    optimizer = optax.contrib.muon(
        learning_rate=optax.cosine_decay_schedule(0.04, 15, alpha=0.2),
        ns_steps=5,
        beta=0.95,
        weight_decay=1e-3,
        nesterov=True,
        adam_b1=0.9,
        adam_b2=0.95,
    )

    def loss_fn(params):
        hidden = jax.nn.silu(x @ params["up"]["kernel"] + params["up"]["bias"][None, :])
        return optax.squared_error(hidden @ params["down"]["kernel"] + params["down"]["bias"][None, :], y).mean()

    @jax.jit
    def step(params, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state = optimizer.init(params)
    losses = []
    for i in range(16):
        params, opt_state, loss = step(params, opt_state)
        if i % 3 == 0:
            losses.append(round(float(loss), 2))
    return losses
