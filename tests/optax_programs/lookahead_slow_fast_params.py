"""Lookahead over AdamW and over SGD: LookaheadParams holds fast and slow weights, the slow ones are evaluated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(52)
    x = rng.normal(size=(48, 4)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1).astype(np.int32)
    initial = {
        "hidden": jnp.asarray(0.5 * rng.normal(size=(4, 8)), jnp.float32),
        "out": jnp.asarray(0.5 * rng.normal(size=(8, 3)), jnp.float32),
    }

    def loss_fn(params, x, y):
        logits = jnp.tanh(x @ params["hidden"]) @ params["out"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    optimizers = [
        optax.lookahead(optax.adamw(3e-2, weight_decay=1e-3), sync_period=5, slow_step_size=0.5),
        optax.lookahead(optax.sgd(0.2, momentum=0.9), sync_period=3, slow_step_size=0.8, reset_state=True),
    ]

    @jax.jit
    def step(carry, x, y):
        new, losses = [], []
        for optimizer, (params, opt_state) in zip(optimizers, carry, strict=True):
            loss, grads = jax.value_and_grad(loss_fn)(params.fast, x, y)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            params = optax.apply_updates(params, updates)
            new.append((params, opt_state))
            losses.append((loss, loss_fn(params.slow, x, y)))
        return new, losses

    carry = []
    for optimizer in optimizers:
        params = optax.LookaheadParams.init_synced(initial)
        carry.append((params, optimizer.init(params)))
    results = []
    for i in range(17):
        batch = slice(16 * (i % 3), 16 * (i % 3) + 16)
        carry, losses = step(carry, x[batch], y[batch])
        results += [float(value) for pair in losses for value in pair]
    (first, state), _ = carry
    assert isinstance(first, optax.LookaheadParams)
    return [*results, float(state.steps_since_sync), float(state.fast_state[0].count)]
