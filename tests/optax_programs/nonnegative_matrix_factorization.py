"""Non-negative matrix factorization by keep_params_nonnegative, and projected gradients onto simplex and ball."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(70)
    matrix = (rng.uniform(size=(8, 3)) @ rng.uniform(size=(3, 10))).astype(np.float32)
    factors = {
        "w": jnp.asarray(rng.uniform(0.1, 1, size=(8, 3)), jnp.float32),
        "h": jnp.asarray(rng.uniform(0.1, 1, size=(3, 10)), jnp.float32),
    }
    tx = optax.chain(optax.adam(0.1), optax.keep_params_nonnegative())
    weights = jnp.full(8, 1 / 8)
    projected = optax.sgd(0.3)

    def factor_loss(factors):
        return jnp.mean(optax.squared_error(factors["w"] @ factors["h"], matrix))

    def weight_loss(weights):
        return jnp.sum((weights @ matrix - matrix[2]) ** 2)

    @jax.jit
    def step(factors, opt_state, weights, weight_state):
        loss, grads = jax.value_and_grad(factor_loss)(factors)
        updates, opt_state = tx.update(grads, opt_state, factors)
        factors = optax.apply_updates(factors, updates)
        other_loss, grads = jax.value_and_grad(weight_loss)(weights)
        updates, weight_state = projected.update(grads, weight_state)
        weights = optax.projections.projection_simplex(optax.apply_updates(weights, updates * 0.05))
        return factors, opt_state, weights, weight_state, loss, other_loss

    opt_state, weight_state = tx.init(factors), projected.init(weights)
    results = []
    for _ in range(20):
        factors, opt_state, weights, weight_state, loss, other_loss = step(factors, opt_state, weights, weight_state)
        results += [float(loss), float(other_loss)]
    assert all(bool((factor >= 0).all()) for factor in factors.values())
    clipped = optax.projections.projection_l2_ball(weights, 0.5)
    return [*results, float(weights.sum()), float(jnp.linalg.norm(clipped))]
