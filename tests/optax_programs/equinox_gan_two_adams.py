"""A generative adversarial network in Equinox, its generator and discriminator trained by two Adams."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

LATENT = 3


class Generator(eqx.Module):
    mlp: eqx.nn.MLP

    def __init__(self, key):
        self.mlp = eqx.nn.MLP(LATENT, 2, 12, 1, activation=jax.nn.tanh, key=key)

    def __call__(self, z):
        return self.mlp(z)


class Discriminator(eqx.Module):
    mlp: eqx.nn.MLP

    def __init__(self, key):
        self.mlp = eqx.nn.MLP(2, "scalar", 12, 1, activation=jax.nn.softplus, key=key)

    def __call__(self, x):
        return self.mlp(x)


@eqx.filter_value_and_grad
def generator_loss(generator, discriminator, z):
    logits = jax.vmap(discriminator)(jax.vmap(generator)(z))
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.ones_like(logits)))


@eqx.filter_value_and_grad
def discriminator_loss(discriminator, generator, z, real):
    real_logits = jax.vmap(discriminator)(real)
    fake_logits = jax.vmap(discriminator)(jax.vmap(generator)(z))
    real_loss = optax.sigmoid_binary_cross_entropy(real_logits, jnp.ones_like(real_logits))
    fake_loss = optax.sigmoid_binary_cross_entropy(fake_logits, jnp.zeros_like(fake_logits))
    return jnp.mean(real_loss) + jnp.mean(fake_loss)


@eqx.filter_jit
def make_networks(key):
    gen_key, disc_key = jax.random.split(key)
    return Generator(gen_key), Discriminator(disc_key)


def main() -> list[float]:
    generator, discriminator = make_networks(jax.random.PRNGKey(6))
    gen_optimizer = optax.adam(2e-3, b1=0.5, b2=0.9)
    disc_optimizer = optax.adam(learning_rate=4e-3, b1=0.5, b2=0.9)
    gen_state = gen_optimizer.init(eqx.filter(generator, eqx.is_array))
    disc_state = disc_optimizer.init(eqx.filter(discriminator, eqx.is_array))

    @eqx.filter_jit
    def step(generator, discriminator, gen_state, disc_state, real, noise):
        z1, z2 = noise
        d_loss, grads = discriminator_loss(discriminator, generator, z1, real)
        updates, disc_state = disc_optimizer.update(grads, disc_state)
        discriminator = eqx.apply_updates(discriminator, updates)
        g_loss, grads = generator_loss(generator, discriminator, z2)
        updates, gen_state = gen_optimizer.update(grads, gen_state)
        generator = eqx.apply_updates(generator, updates)
        return generator, discriminator, gen_state, disc_state, d_loss, g_loss

    rng = np.random.default_rng(6)
    angles = rng.uniform(0, 2 * np.pi, size=(12, 16))
    data = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)
    losses = []
    for real in data:
        noise = rng.normal(size=(2, 16, LATENT)).astype(np.float32)
        generator, discriminator, gen_state, disc_state, d_loss, g_loss = step(
            generator, discriminator, gen_state, disc_state, real, noise
        )
        losses += [float(d_loss), float(g_loss)]
    return losses
