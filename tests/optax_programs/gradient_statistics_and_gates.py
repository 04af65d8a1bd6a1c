"""Statistics kept in the state (monitor, snapshot), frozen leaves, and updates under conditions, in one network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(84)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = np.tanh(x[:, 0] - x[:, 1]).astype(np.float32)
    x[7] *= 40.0
    params = {
        "embed": jnp.asarray(0.5 * rng.normal(size=(4, 6)), jnp.float32),
        "head": jnp.asarray(0.5 * rng.normal(size=6), jnp.float32),
    }
    frozen = {"embed": True, "head": False}

    optimizers = {
        "monitored": optax.chain(
            optax.monitor(
                {
                    "norm_before": optax.tree.norm,
                    "clipped": optax.measure_with_ema(
                        lambda updates: (optax.tree.norm(updates) > 0.2).astype(jnp.float32), decay=0.5
                    ),
                }
            ),
            optax.clip_by_global_norm(0.2),
            optax.snapshot("norm_after", lambda updates: optax.tree.norm(updates)),
            optax.adam(3e-2),
        ),
        "frozen": optax.chain(optax.adamw(3e-2, weight_decay=0.1), optax.freeze(frozen)),
        "selective": optax.selective_transform(optax.sgd(0.3), freeze_mask=frozen),
        "early_decay": optax.chain(
            optax.trace(0.9),
            optax.conditionally_transform(optax.add_decayed_weights(0.2), lambda step: step < 5),
            optax.conditionally_mask(optax.scale(2.0), lambda step: step % 2 == 0),
            optax.scale(-0.05),
        ),
        "skipping": optax.MultiSteps(
            optax.adam(3e-2),
            1,
            should_skip_update_fn=lambda updates, gradient_step, params: optax.skip_large_updates(
                updates, gradient_step, params, max_squared_norm=1.0
            ),
        ).gradient_transformation(),
    }

    def loss_fn(params, x, y):
        return optax.huber_loss(jnp.tanh(x @ params["embed"]) @ params["head"], y).mean() + 0.02 * jnp.mean(
            (x @ params["embed"]) ** 2
        )

    @jax.jit
    def step(carry, x, y):
        new, losses = {}, {}
        for name, (params, opt_state) in carry.items():
            losses[name], grads = jax.value_and_grad(loss_fn)(params, x, y)
            updates, opt_state = optimizers[name].update(grads, opt_state, params)
            new[name] = optax.apply_updates(params, updates), opt_state
        return new, losses

    carry = jax.jit(lambda p: {name: (p, optimizer.init(p)) for name, optimizer in optimizers.items()})(params)
    results = []
    for i in range(12):
        rows = slice(8 * (i % 4), 8 * (i % 4) + 8)
        carry, losses = step(carry, x[rows], y[rows])
        state = carry["monitored"][1]
        results += [float(losses[name]) for name in optimizers]
        results += [float(optax.tree.get(state, name)) for name in ("norm_before", "clipped", "norm_after")]
    assert np.array_equal(carry["frozen"][0]["embed"], params["embed"])
    assert np.array_equal(carry["selective"][0]["embed"], params["embed"])
    skipped = carry["skipping"][1]
    return [*results, float(skipped.gradient_step), float(skipped.skip_state["norm_squared"])]
