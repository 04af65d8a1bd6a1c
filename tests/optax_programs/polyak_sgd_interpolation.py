"""Over-parametrized least squares with Polyak's step size: polyak_sgd, and scale_by_polyak in a chain, with value=."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(51)
    features = rng.normal(size=(16, 24)).astype(np.float32)
    labels = rng.normal(size=16).astype(np.float32)

    def loss_fn(w, x, y):
        return 0.5 * jnp.mean((x @ w - y) ** 2)

    solvers = [
        optax.polyak_sgd(max_learning_rate=0.5, f_min=0.0),
        optax.polyak_sgd(max_learning_rate=1.0, scaling=optax.linear_schedule(0.5, 0.1, 10), eps=0.01, variant="sps+"),
        optax.chain(optax.scale_by_polyak(max_learning_rate=0.3), optax.scale(-0.7)),
    ]

    @jax.jit
    def step(carry, x, y):
        new, values = [], []
        for solver, (params, state) in zip(solvers, carry, strict=True):
            value, grad = jax.value_and_grad(loss_fn)(params, x, y)
            updates, state = solver.update(grad, state, params, value=value)
            new.append((optax.apply_updates(params, updates), state))
            values.append(value)
        return new, values

    params = jnp.zeros(24)
    carry = [(params, solver.init(params)) for solver in solvers]
    results = []
    for i in range(16):
        batch = np.arange(4 * i, 4 * i + 8) % 16
        carry, values = step(carry, features[batch], labels[batch])
        results += [float(value) for value in values]
    return results
