"""A loop that logs the norms of gradients, updates and parameters at each step, and clips by hand above a limit."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax


def global_norm(tree):
    # Optax 0.2.8 has a warning for optax.global_norm, which programs call nevertheless.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return optax.global_norm(tree)


def main() -> list[float]:
    rng = np.random.default_rng(76)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = (x @ np.array([2.0, -1.0, 0.5, 0.0]) + 1.0).astype(np.float32)
    params = [jnp.zeros(4), jnp.zeros(())]
    rate = optax.warmup_constant_schedule(init_value=0.05, peak_value=0.3, warmup_steps=5)
    optimizer = optax.sgd(rate, momentum=0.6, accumulator_dtype=jnp.float32)

    @jax.jit
    def step(params, opt_state):
        def loss_fn(params):
            w, b = params
            return optax.huber_loss(x @ w + b, y, delta=2.0).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        norm = global_norm(grads)
        grads = jax.tree_util.tree_map(lambda g: g * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), grads)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        metrics = {
            "loss": loss,
            "grad_norm": norm,
            "update_norm": global_norm(updates),
            "param_norm": optax.safe_norm(params[0], min_norm=1e-6),
        }
        return optax.apply_updates(params, updates), opt_state, metrics

    opt_state = optimizer.init(params)
    results = []
    for count in range(16):
        params, opt_state, metrics = step(params, opt_state)
        results += [float(metrics[name]) for name in ("loss", "grad_norm", "update_norm", "param_norm")]
        results.append(float(rate(count)))
    return results
