"""Logistic regression by the optimizers of contrib that find the rate themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(75)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    y = (x @ rng.normal(size=4) + 0.3 * rng.normal(size=40) > 0).astype(np.float32)
    params = {"w": jnp.full(4, 0.1), "b": jnp.full(1, 0.1)}

    optimizers = {
        "prodigy": optax.contrib.prodigy(learning_rate=1.0, betas=(0.9, 0.99), estim_lr0=1e-2, weight_decay=1e-3),
        "dadapt_adamw": optax.contrib.dadapt_adamw(1.0, estim_lr0=1e-2),
        "dowg": optax.contrib.dowg(1.0),
        "cocob": optax.contrib.cocob(),
        "mechanize": optax.contrib.mechanize(optax.sgd(0.1), s_init=0.1),
    }

    def loss_fn(params):
        return optax.sigmoid_binary_cross_entropy(x @ params["w"] + params["b"], y).mean()

    def step(carry, _):
        new, losses = {}, []
        for name, (params, opt_state) in carry.items():
            value, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = optimizers[name].update(grads, opt_state, params)
            new[name] = optax.apply_updates(params, updates), opt_state
            losses.append(value)
        return new, jnp.stack(losses)

    @jax.jit
    def train(params):
        carry = {name: (params, optimizer.init(params)) for name, optimizer in optimizers.items()}
        return jax.lax.scan(step, carry, length=10)[1]

    return train(params).reshape(-1).tolist()
