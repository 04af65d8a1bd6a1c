"""Steps of a transform, one by one, as several test files take them."""

import jax
import jax.numpy as jnp
import numpy as np


def gradients_like(params, steps, dtype=jnp.float32):
    """Gradients for as many steps, drawn from a normal distribution."""
    random = np.random.default_rng(0)
    return [jax.tree.map(lambda p: jnp.asarray(random.standard_normal(p.shape), dtype), params) for _ in range(steps)]


def run(tx, gradients, params, **extra):
    """Updates and states of each step, compiled once; lists among the extras are one for each step."""
    step = jax.jit(lambda g, state, extra: tx.update(g, state, params, **extra))
    state, out, states = tx.init(params), [], []
    for index, g in enumerate(gradients):
        now = {name: x[index] if isinstance(x, list) else x for name, x in extra.items()}
        u, state = step(g, state, now)
        out.append(u)
        states.append(state)
    return out, states
