"""Functa-like meta-learning: inner steps by hand on modulations of a sine network, outer Adam on its weights."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

INNER_LR, INNER_STEPS = 1e-2, 2


class Siren(hk.Module):
    def __call__(self, coords):
        shift = hk.get_parameter("modulation_shift", [12], init=jnp.zeros)
        h = jnp.sin(5.0 * hk.Linear(12, w_init=hk.initializers.RandomUniform(-0.4, 0.4))(coords) + shift[None, :])
        h = jnp.sin(5.0 * hk.Linear(12, w_init=hk.initializers.RandomUniform(-0.15, 0.15))(h))
        return hk.Linear(1)(h)


def is_modulation(module_name: str, name: str, value) -> bool:
    return name.startswith("modulation")


def main() -> list[float]:
    rng = np.random.default_rng(39)
    coords = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
    phases = rng.uniform(0, np.pi, size=(10, 4, 1, 1))
    signals = np.sin(2.5 * coords[None, None] + phases).astype(np.float32)

    forward = hk.without_apply_rng(hk.transform(lambda c: Siren()(c)))
    params = jax.jit(forward.init)(jax.random.PRNGKey(39), coords)
    modulations, weights = hk.data_structures.partition(is_modulation, params)
    opt_inner = optax.sgd(learning_rate=INNER_LR)
    opt_outer = optax.chain(
        optax.clip(1.0),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        optax.scale(-5e-3),
    )

    def image_loss(modulations, weights, signal):
        predicted = forward.apply(hk.data_structures.merge(modulations, weights), coords)
        return jnp.mean((predicted - signal) ** 2)

    def fit_by_hand(modulations, weights, signal):
        for _ in range(INNER_STEPS):
            grads = jax.grad(image_loss)(modulations, weights, signal)
            modulations = jax.tree_util.tree_map(lambda m, g: m - INNER_LR * g, modulations, grads)
        return modulations

    def fit_by_sgd(modulations, weights, signal):
        opt_state = opt_inner.init(modulations)
        for _ in range(INNER_STEPS):
            grads = jax.grad(image_loss)(modulations, weights, signal)
            updates, opt_state = opt_inner.update(grads, opt_state)
            modulations = optax.apply_updates(modulations, updates)
        return modulations

    def outer_loss(weights, batch, fit):
        def one(signal):
            return image_loss(fit(modulations, weights, signal), weights, signal)

        return jnp.mean(jax.vmap(one)(batch))

    @jax.jit
    def update(weights, opt_state, batch):
        loss, grads = jax.value_and_grad(outer_loss)(weights, batch, fit_by_hand)
        updates, opt_state = opt_outer.update(grads, opt_state)
        return optax.apply_updates(weights, updates), opt_state, loss, outer_loss(weights, batch, fit_by_sgd)

    opt_state = opt_outer.init(weights)
    results = []
    for batch in signals:
        weights, opt_state, loss, same = update(weights, opt_state, batch)
        results += [float(loss), float(same)]
    return results
