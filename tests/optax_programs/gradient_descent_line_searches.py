"""Gradient descent on a convex quadratic with the backtracking line search, after sgd and after scale_by_lbfgs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(50)
    half = rng.normal(size=(6, 6)) / 3
    matrix = jnp.asarray(half @ half.T + np.eye(6), jnp.float32)
    target = jnp.asarray(rng.normal(size=6), jnp.float32)

    def fn(x):
        return 0.5 * jnp.vdot(x - target, matrix @ (x - target)) + 1.0

    backtracking = optax.chain(
        optax.sgd(learning_rate=1.0),
        optax.scale_by_backtracking_linesearch(max_backtracking_steps=15, store_grad=True),
    )
    # The memory of L-BFGS and a backtracking search without the stored gradient.
    quasi_newton = optax.chain(
        optax.scale_by_lbfgs(memory_size=4),
        optax.scale(-1.0),
        optax.scale_by_backtracking_linesearch(max_backtracking_steps=20, slope_rtol=1e-4, decrease_factor=0.5),
    )
    value_and_grad = optax.value_and_grad_from_state(fn)

    @jax.jit
    def train(x):
        def step(carry, _):
            x, state, z, other = carry
            value, grad = value_and_grad(x, state=state)
            updates, state = backtracking.update(grad, state, x, value=value, grad=grad, value_fn=fn)
            x = optax.apply_updates(x, updates)
            value, grad = jax.value_and_grad(fn)(z)
            updates, other = quasi_newton.update(grad, other, z, value=value, grad=grad, value_fn=fn)
            z = optax.apply_updates(z, updates)
            return (x, state, z, other), None

        start = (x, backtracking.init(x), x, quasi_newton.init(x))
        (x, state, z, _), _ = jax.lax.scan(step, start, length=30)
        return fn(x), fn(z), optax.tree_utils.tree_get(state, "value")

    x = jnp.zeros(6)
    return [round(float(value), 4) for value in (fn(x), *train(x))]
