"""Errors of Adam in float32 and bfloat16, of gradtx and Optax, against NumPy in float64.

    python -m benchmarks.precision

Gradients are standard normal. An error is relative to the update, elementwise, at a learning rate of 1e-3.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx as gx

SIZE, STEPS = 10_000, 1_000
B1, B2, EPS, RATE = 0.9, 0.999, 1e-8, 1e-3


def references(gradients):
    """The updates of Adam, in float64, one by one."""
    m, v = np.zeros(SIZE), np.zeros(SIZE)
    for t, g in enumerate(gradients.astype(np.float64), 1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        yield -RATE * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)


def errors(tx, gradients):
    """The relative errors, an array of a row per step."""
    params = jnp.zeros(SIZE, jnp.float32)
    state, step, found = tx.init(params), jax.jit(tx.update), []
    for g, wanted in zip(gradients, references(gradients), strict=True):
        updates, state = step(jnp.asarray(g), state, params)
        found.append(np.abs(np.asarray(updates, np.float64) - wanted) / np.abs(wanted))
    return np.stack(found)


def second_moment(tx, steps=5_000):
    """The second moment after equal gradients of 1, for bfloat16 parameters."""
    g = jnp.ones(4, jnp.bfloat16)

    def run():
        return jax.lax.scan(lambda state, _: (tx.update(g, state)[1], None), tx.init(g), length=steps)[0]

    arrays = [x for x in jax.tree.leaves(jax.jit(run)()) if x.shape == g.shape]
    return float(arrays[-1][0])  # both states have the second moment last


def main():
    gradients = np.random.default_rng(0).standard_normal((STEPS, SIZE)).astype(np.float32)
    print(f"JAX {jax.__version__}, {jax.devices()[0].platform}; Optax {optax.__version__}")
    for name, adam, direction in (("gradtx", gx.adam, gx.scale_by_adam), ("Optax", optax.adam, optax.scale_by_adam)):
        found = errors(adam(RATE, b1=B1, b2=B2, eps=EPS), gradients)
        print(
            f"{name}: first step at most {found[0].max():.2g}, median of {STEPS} steps {np.median(found):.2g}, "
            f"second moment {second_moment(direction(b1=B1, b2=B2, eps=EPS)):.4f}"
        )
    print(f"second moment in theory {1 - B2**5_000:.4f}")


if __name__ == "__main__":
    main()
