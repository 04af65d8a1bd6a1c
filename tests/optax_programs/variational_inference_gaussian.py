"""Variational inference for a Bayesian linear model: the ELBO of a diagonal Gaussian, raised by Adam in a scan."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def log_joint(theta, x, y):
    prior = -0.5 * jnp.sum(theta**2)
    likelihood = -0.5 * jnp.sum((y - x @ theta) ** 2) / 0.25
    return prior + likelihood


def negative_elbo(params, noise, x, y):
    std = jax.nn.softplus(params["rho"])
    samples = params["loc"][None, :] + std[None, :] * noise
    entropy = jnp.sum(jnp.log(std)) + 0.5 * std.shape[0] * (1.0 + jnp.log(2 * jnp.pi))
    return -(jnp.mean(jax.vmap(log_joint, (0, None, None))(samples, x, y)) + entropy)


def main() -> list[float]:
    rng = np.random.default_rng(63)
    x = rng.normal(size=(30, 3)).astype(np.float32)
    y = (x @ np.array([1.5, -1.0, 0.5]) + 0.5 * rng.normal(size=30)).astype(np.float32)
    noise = rng.normal(size=(30, 8, 3)).astype(np.float32)
    params = {"loc": jnp.zeros(3), "rho": jnp.full(3, -1.0)}
    optimizer = optax.adam(learning_rate=optax.cosine_decay_schedule(0.15, decay_steps=30, alpha=0.01, exponent=1.5))

    @jax.jit
    def fit(params, noise):
        def step(carry, eps):
            params, opt_state = carry
            loss, grads = jax.value_and_grad(negative_elbo)(params, eps, x, y)
            updates, opt_state = optimizer.update(grads, opt_state)
            return (optax.apply_updates(params, updates), opt_state), loss

        return jax.lax.scan(step, (params, optimizer.init(params)), noise)

    (params, _), losses = fit(params, noise)
    return [*losses.tolist(), *params["loc"].tolist(), *jax.nn.softplus(params["rho"]).tolist()]
