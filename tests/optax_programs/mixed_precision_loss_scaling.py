"""Mixed precision: float32 weights, a float16 forward pass, a dynamic loss scale, steps with infinities skipped."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class DynamicScale(NamedTuple):
    scale: jax.Array
    good_steps: jax.Array


def adjust(state: DynamicScale, finite: jax.Array, period: int = 4) -> DynamicScale:
    grow = finite & (state.good_steps >= period - 1)
    scale = jnp.where(finite, jnp.where(grow, state.scale * 2.0, state.scale), state.scale * 0.5)
    return DynamicScale(scale, jnp.where(finite & ~grow, state.good_steps + 1, 0))


def main() -> list[float]:
    rng = np.random.default_rng(69)
    x = rng.normal(size=(18, 16, 4)).astype(np.float32)
    y = np.argmax(x[..., :3], axis=-1).astype(np.int32)
    x[5, 0, 0] = np.inf
    params = {
        "w1": jnp.asarray(0.5 * rng.normal(size=(4, 8)), jnp.float32),
        "w2": jnp.asarray(0.5 * rng.normal(size=(8, 3)), jnp.float32),
    }
    tx = optax.apply_if_finite(
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-2, mu_dtype="float32")), max_consecutive_errors=5
    )
    opt_state = tx.init(params)
    scale = DynamicScale(jnp.asarray(2.0**10, jnp.float32), jnp.zeros([], jnp.int32))

    @jax.jit
    def step(params, opt_state, scale, x, y):
        def loss_fn(params):
            half = optax.tree_utils.tree_cast(params, jnp.float16)
            logits = jnp.tanh(x.astype(jnp.float16) @ half["w1"]) @ half["w2"]
            loss = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), y).mean()
            return loss * scale.scale, loss

        grads, loss = jax.grad(loss_fn, has_aux=True)(params)
        grads = jax.tree.map(lambda g: g / scale.scale, grads)
        updates, opt_state = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        return params, opt_state, adjust(scale, opt_state.last_finite), loss

    results = []
    for xs, ys in zip(x, y, strict=True):
        params, opt_state, scale, loss = step(params, opt_state, scale, xs, ys)
        results.append(float(loss) if np.isfinite(float(loss)) else -1.0)
    results += [float(scale.scale), float(opt_state.total_notfinite), float(opt_state.notfinite_count)]
    return results
