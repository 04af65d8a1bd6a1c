"""Variational Monte Carlo for a harmonic oscillator: scale_by_adam, a decaying schedule, and scale(-1)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

RATE, DELAY, DECAY = 5e-2, 10, 1.0


def log_psi(params, x):
    hidden = jnp.tanh(params["w"] * x + params["b"])
    return -0.5 * params["scale"] * x**2 + jnp.dot(params["c"], hidden)


def local_energy(params, x):
    first = jax.grad(log_psi, argnums=1)
    second = jax.grad(first, argnums=1)
    kinetic = -0.5 * (second(params, x) + first(params, x) ** 2)
    return kinetic + 0.5 * x**2


@jax.custom_jvp
def total_energy(params, walkers):
    return jnp.mean(jax.vmap(local_energy, (None, 0))(params, walkers))


@total_energy.defjvp
def total_energy_jvp(primals, tangents):
    params, walkers = primals
    energies = jax.vmap(local_energy, (None, 0))(params, walkers)
    loss = jnp.mean(energies)
    _, psi_tangent = jax.jvp(lambda p: jax.vmap(log_psi, (None, 0))(p, walkers), (params,), (tangents[0],))
    spread = jnp.mean(jnp.abs(energies - loss))
    clipped = jnp.clip(energies, loss - 5.0 * spread, loss + 5.0 * spread)
    return loss, 2.0 * jnp.mean(psi_tangent * (clipped - loss))


def main() -> list[float]:
    rng = np.random.default_rng(35)
    params = {
        "scale": jnp.asarray(0.6, jnp.float32),
        "w": jnp.asarray(rng.normal(size=4), jnp.float32),
        "b": jnp.asarray(0.1 * rng.normal(size=4), jnp.float32),
        "c": jnp.asarray(0.1 * rng.normal(size=4), jnp.float32),
    }

    def learning_rate_schedule(t_: jax.Array) -> jax.Array:
        return RATE * jnp.power(1.0 / (1.0 + (t_ / DELAY)), DECAY)

    optimizer = optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0),
        optax.scale_by_schedule(learning_rate_schedule),
        optax.scale(-1.0),
    )
    opt_state = optimizer.init(params)

    @jax.jit
    def step(params, opt_state, walkers):
        energy, grads = jax.value_and_grad(total_energy)(params, walkers)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, energy

    results = []
    for _ in range(25):
        walkers = rng.normal(scale=0.8, size=64).astype(np.float32)
        params, opt_state, energy = step(params, opt_state, walkers)
        results.append(float(energy))
    results.append(float(params["scale"]))
    return results
