"""Schedule-free training: AdamW and a wrapped RMSProp without schedules, evaluated at the averaged parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(53)
    x = rng.normal(size=(32, 5)).astype(np.float32)
    y = (np.sin(x[:, 0]) + x[:, 1] > 0).astype(np.int32)
    params = {
        "w1": jnp.asarray(0.5 * rng.normal(size=(5, 8)), jnp.float32),
        "b1": jnp.zeros((1, 8)),
        "w2": jnp.asarray(0.5 * rng.normal(size=(8, 2)), jnp.float32),
    }

    def loss_fn(params):
        logits = jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    optimizers = [
        optax.contrib.schedule_free_adamw(learning_rate=5e-2, warmup_steps=4, b1=0.9, b2=0.99, weight_decay=1e-3),
        optax.contrib.schedule_free(
            optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(2e-2, decay=0.95)),
            learning_rate=2e-2,
            b1=0.9,
            weight_lr_power=2.0,
        ),
        optax.contrib.schedule_free_sgd(0.5, warmup_steps=3),
    ]

    @jax.jit
    def step(carry):
        new, losses = [], []
        for optimizer, (params, opt_state) in zip(optimizers, carry, strict=True):
            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            params = optax.apply_updates(params, updates)
            eval_params = optax.contrib.schedule_free_eval_params(opt_state, params)
            new.append((params, opt_state))
            losses += [loss, loss_fn(eval_params)]
        return new, losses

    carry = [(params, optimizer.init(params)) for optimizer in optimizers]
    results = []
    for _ in range(15):
        carry, losses = step(carry)
        results += [float(loss) for loss in losses]
    return results
