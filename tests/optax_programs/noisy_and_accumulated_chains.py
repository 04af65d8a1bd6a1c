"""Chains of single parts: gradient noise, traces, averages, root sums of squares, deviations, signs and clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def chains(key) -> dict[str, optax.GradientTransformation]:
    return {
        "noise": optax.chain(optax.add_noise(eta=0.05, gamma=0.55, key=key), optax.sgd(0.1)),
        "noisy_sgd": optax.noisy_sgd(0.1, eta=0.02, gamma=0.6, key=key),
        "ema": optax.chain(optax.ema(0.9, debias=True), optax.scale(-0.2)),
        "ema_float32": optax.chain(optax.ema(0.8, debias=False, accumulator_dtype=jnp.float32), optax.scale(-0.3)),
        "trace": optax.chain(optax.trace(decay=0.8, nesterov=True), optax.scale(-0.05)),
        "rss": optax.chain(optax.scale_by_rss(initial_accumulator_value=0.1, eps=1e-6), optax.scale(-0.2)),
        "stddev": optax.chain(optax.scale_by_stddev(decay=0.9, eps=1e-4, initial_scale=1.0), optax.scale(-0.03)),
        "rms": optax.chain(optax.centralize(), optax.scale_by_rms(decay=0.95), optax.scale(-0.01)),
        "sign": optax.chain(optax.clip(0.5), optax.scale_by_sign(), optax.scale(-0.005)),
        "belief": optax.chain(
            optax.scale_by_belief(b1=0.8), optax.scale_by_trust_ratio(min_norm=1e-3), optax.scale(-0.1)
        ),
        "normalized": optax.chain(optax.normalize_by_update_norm(scale_factor=1.0), optax.scale(-0.1)),
        "param_rms": optax.chain(optax.scale_by_adam(), optax.scale_by_param_block_rms(0.01), optax.scale(-0.1)),
        "every": optax.chain(optax.apply_every(3), optax.scale(-0.1)),
        "zero_nans": optax.chain(optax.zero_nans(), optax.flatten(optax.clip_by_global_norm(0.3)), optax.scale(-0.3)),
        "agc": optax.chain(optax.adaptive_grad_clip(0.1, eps=1e-2), optax.sgd(0.2, momentum=0.5)),
    }


def main() -> list[float]:
    rng = np.random.default_rng(65)
    x = rng.normal(size=(24, 3)).astype(np.float32)
    y = (np.sin(x[:, 0]) + 0.3 * x[:, 1]).astype(np.float32)
    params = {
        "w": jnp.asarray(0.7 * rng.normal(size=(3, 6)), jnp.float32),
        "v": jnp.asarray(0.7 * rng.normal(size=6), jnp.float32),
    }
    optimizers = chains(jax.random.key(65))

    def loss_fn(params):
        return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y).mean()

    @jax.jit
    def step(carry):
        new, losses = {}, {}
        for name, (params, opt_state) in carry.items():
            losses[name], grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = optimizers[name].update(grads, opt_state, params)
            new[name] = optax.apply_updates(params, updates), opt_state
        return new, losses

    carry = {name: (params, optimizer.init(params)) for name, optimizer in optimizers.items()}
    results = []
    for _ in range(7):
        carry, losses = step(carry)
        results += [float(losses[name]) for name in optimizers]
    return results
