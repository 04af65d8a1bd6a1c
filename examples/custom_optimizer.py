"""A new optimizer from parts, checked against the laws, and tried beside Adam.

    python examples/custom_optimizer.py

The idea: Adam's slow second moment hardly sees a sudden large gradient, and takes a huge step along it. Here the noise
is the larger of a fast and a slow average, so that a spike damps the very step it belongs to.
"""

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx.testing import check


@gx.transformation
def watchful_adam(
    learning_rate: gx.NonNegative,
    b1: gx.Decay = 0.9,
    fast: gx.Decay = 0.5,
    slow: gx.Decay = 0.999,
    eps: gx.NonNegative = 1e-8,
):
    """Adam whose second moment is the larger of a fast and a slow average."""
    how_far = gx.chain(gx.scale_by_ema(b1), gx.bias_correction(b1))
    quickly = gx.chain(gx.scale_by_ema(fast), gx.bias_correction(fast))
    slowly = gx.chain(gx.scale_by_ema(slow), gx.bias_correction(slow))
    how_noisy = gx.chain(gx.square(), gx.parallel(jnp.maximum, quickly, slowly), gx.sqrt())
    return gx.chain(gx.ratio(how_far, how_noisy, eps), gx.scale_by_learning_rate(learning_rate))


@jax.jit
def final_loss(tx, key, steps=2000):
    """The loss after descent on a quadratic whose gradients are noisy, and now and then a hundred times too large."""
    curvature = jnp.logspace(0, 2, 50)
    params = jnp.ones(50)

    def step(carry, key):
        params, state = carry
        noise, spike = jax.random.normal(key, (50,)), jax.random.bernoulli(key, 0.01)
        grads = (curvature * params + noise) * jnp.where(spike, 100.0, 1.0)
        updates, state = tx.update(grads, state, params)
        return (gx.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), jax.random.split(key, steps))
    return jnp.sum(curvature * params**2) / 2


def main():
    print(gx.describe(watchful_adam(0.01)))
    print(check(watchful_adam))

    keys = jax.random.split(jax.random.key(0), 20)
    rates = jnp.logspace(-3, -1, 9)
    print("\nlearning rate      adam   watchful   (median loss of 20 runs)")
    losses = {}
    for factory in (gx.adam, watchful_adam):
        # All runs of one optimizer, for every learning rate and seed, are one compiled program.
        runs = jax.vmap(jax.vmap(final_loss, in_axes=(None, 0)), in_axes=(0, None))
        losses[factory] = jnp.median(runs(jax.vmap(factory)(rates), keys), axis=1)
    for rate, plain, watchful in zip(rates, losses[gx.adam], losses[watchful_adam], strict=True):
        print(f"{rate:13.4f} {plain:9.4f} {watchful:10.4f}")


if __name__ == "__main__":
    main()
