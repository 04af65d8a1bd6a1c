"""Descent on one array in a while_loop, stopped by the size of the updates, and in a fori_loop with donated buffers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax


def energy(positions):
    distance = positions[:, None, :] - positions[None, :, :]
    squared = jnp.sum(distance**2, axis=-1) + jnp.eye(positions.shape[0])
    bonds = jnp.exp(-squared) * (1.0 - jnp.eye(positions.shape[0]))
    return jnp.sum(bonds) + 0.05 * jnp.sum(positions**2)


def main() -> list[float]:
    rng = np.random.default_rng(91)
    positions = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    optimizer = optax.chain(optax.clip_by_block_rms(0.5), optax.sgd(0.2, momentum=0.3))

    @jax.jit
    def relax(positions):
        def unfinished(carry):
            _, _, change, count = carry
            return (count < 30) & (change > 0.05)

        def body(carry):
            positions, opt_state, _, count = carry
            updates, opt_state = optimizer.update(jax.grad(energy)(positions), opt_state, positions)
            return optax.apply_updates(positions, updates), opt_state, optax.tree.norm(updates), count + 1

        start = (positions, optimizer.init(positions), jnp.asarray(jnp.inf, jnp.float32), jnp.zeros([], jnp.int32))
        return jax.lax.while_loop(unfinished, body, start)

    relaxed, opt_state, change, count = relax(positions)
    results = [float(energy(positions)), float(energy(relaxed)), float(change), float(count)]

    refine = optax.amsgrad(optax.linear_schedule(2e-2, 0.0, 12), b1=0.8)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def three_steps(positions, opt_state):
        def body(_, carry):
            positions, opt_state = carry
            updates, opt_state = refine.update(jax.grad(energy)(positions), opt_state)
            return optax.apply_updates(positions, updates), opt_state

        positions, opt_state = jax.lax.fori_loop(0, 3, body, (positions, opt_state))
        return positions, opt_state, energy(positions)

    opt_state = refine.init(relaxed)
    for _ in range(4):
        relaxed, opt_state, value = three_steps(relaxed, opt_state)
        results.append(float(value))
    return results
