"""Sharpness-aware minimization by contrib.sam: in alternating steps, and opaque with a gradient function."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(56)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = np.cos(x.sum(axis=1)).astype(np.float32)
    params = {
        "w": jnp.asarray(0.6 * rng.normal(size=(4, 8)), jnp.float32),
        "v": jnp.asarray(0.6 * rng.normal(size=8), jnp.float32),
    }

    def loss_fn(params):
        return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y).mean()

    rho = 0.05
    adv_opt = optax.chain(optax.contrib.normalize(), optax.sgd(rho))
    alternating = optax.contrib.sam(optax.sgd(0.1, momentum=0.9), adv_opt, sync_period=2)
    opaque = optax.contrib.sam(
        optax.adam(2e-2), optax.chain(optax.contrib.normalize(), optax.sgd(rho)), sync_period=2, opaque_mode=True
    )
    grad_fn = jax.grad(lambda params, _: loss_fn(params))

    @jax.jit
    def step(params, state, other, other_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, state = alternating.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        other_loss, grads = jax.value_and_grad(loss_fn)(other)
        updates, other_state = opaque.update(grads, other_state, other, grad_fn=grad_fn)
        return params, state, optax.apply_updates(other, updates), other_state, loss, other_loss

    state, other, other_state = alternating.init(params), params, opaque.init(params)
    results = []
    for _ in range(16):
        params, state, other, other_state, loss, other_loss = step(params, state, other, other_state)
        results += [float(loss), float(other_loss)]
    return results
