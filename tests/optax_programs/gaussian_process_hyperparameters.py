"""Hyperparameters of a Gaussian process by AdamW on the log marginal likelihood, with parameters in log space."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def kernel(params, a, b):
    distance = (a[:, None] - b[None, :]) / jnp.exp(params["log_lengthscale"])
    return jnp.exp(2 * params["log_amplitude"]) * jnp.exp(-0.5 * distance**2)


def negative_mll(params, x, y):
    noise = jnp.exp(2 * params["log_noise"])
    gram = kernel(params, x, x) + (noise + 1e-5) * jnp.eye(x.shape[0])
    chol = jnp.linalg.cholesky(gram)
    alpha = jax.scipy.linalg.solve_triangular(chol, y - params["mean"], lower=True)
    return 0.5 * jnp.sum(alpha**2) + jnp.sum(jnp.log(jnp.diag(chol))) + 0.5 * x.shape[0] * jnp.log(2 * jnp.pi)


def fit(objective, params, optim: optax.GradientTransformation, num_iters: int):
    @jax.jit
    def run(params):
        def step(carry, _):
            params, opt_state = carry
            loss, grads = jax.value_and_grad(objective)(params)
            updates, opt_state = optim.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        return jax.lax.scan(step, (params, optim.init(params)), jnp.arange(num_iters))

    (params, _), history = run(params)
    return params, history


def main() -> list[float]:
    rng = np.random.default_rng(73)
    x = np.sort(rng.uniform(-2, 2, size=15)).astype(np.float32)
    y = (np.sin(2 * x) + 0.2 * rng.normal(size=15)).astype(np.float32)
    names = ("log_lengthscale", "log_amplitude", "log_noise", "mean")
    params = {name: jnp.asarray(value, jnp.float32) for name, value in zip(names, (0.5, 0.0, -1.0, 0.2), strict=True)}
    no_decay_for_mean = {name: name != "mean" for name in names}
    optim = optax.chain(
        optax.zero_nans(), optax.adamw(learning_rate=0.05, weight_decay=1e-3, mask=no_decay_for_mean, nesterov=True)
    )
    fitted, history = fit(lambda p: negative_mll(p, x, y), params, optim, num_iters=25)
    return [*history.tolist(), *(float(jnp.exp(fitted[name])) for name in names)]
