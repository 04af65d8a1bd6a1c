"""Logistic regression by further optimizers of contrib; two of them take the value of the loss in update."""

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
        "momo": optax.contrib.momo(0.5, beta=0.8),
        "momo_adam": optax.contrib.momo_adam(0.05, lower_bound=0.0),
        "adopt": optax.contrib.adopt(0.1, b2=0.99),
        "ademamix": optax.contrib.ademamix(0.05, b3=0.99, alpha=2.0),
        "madgrad": optax.contrib.madgrad(0.05, momentum=0.9),
        "acprop": optax.contrib.acprop(0.02, b2=0.99),
    }

    def loss_fn(params):
        return optax.sigmoid_binary_cross_entropy(x @ params["w"] + params["b"], y).mean()

    def step(carry, _):
        new, losses = {}, []
        for name, (params, opt_state) in carry.items():
            value, grads = jax.value_and_grad(loss_fn)(params)
            extra = {"value": value} if name.startswith("momo") else {}
            updates, opt_state = optimizers[name].update(grads, opt_state, params, **extra)
            new[name] = optax.apply_updates(params, updates), opt_state
            losses.append(value)
        return new, jnp.stack(losses)

    @jax.jit
    def train(params):
        carry = {name: (params, optimizer.init(params)) for name, optimizer in optimizers.items()}
        return jax.lax.scan(step, carry, length=10)[1]

    return train(params).reshape(-1).tolist()
