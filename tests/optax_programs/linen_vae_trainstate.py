"""A variational autoencoder in Flax Linen: Bernoulli reconstruction, a KL term with a warmed-up weight, and Adam."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

beta_schedule = optax.linear_schedule(init_value=0.0, end_value=1.0, transition_steps=8)


class VAE(nn.Module):
    latents: int = 2

    @nn.compact
    def __call__(self, x, noise):
        h = nn.relu(nn.Dense(16, name="fc1")(x))
        mean = nn.Dense(self.latents, name="fc2_mean")(h)
        logvar = nn.Dense(self.latents, name="fc2_logvar")(h)
        z = mean + jnp.exp(0.5 * logvar) * noise
        h = nn.relu(nn.Dense(16, name="fc3")(z))
        return nn.Dense(x.shape[-1], name="fc4")(h), mean, logvar


def kl_divergence(mean, logvar):
    return -0.5 * jnp.sum(1 + logvar - jnp.square(mean) - jnp.exp(logvar), axis=-1)


@jax.jit
def train_step(state, batch, noise):
    beta = beta_schedule(state.step)

    def loss_fn(params):
        logits, mean, logvar = state.apply_fn({"params": params}, batch, noise)
        bce = optax.sigmoid_binary_cross_entropy(logits, batch).sum(-1).mean()
        return bce + beta * kl_divergence(mean, logvar).mean(), bce

    (loss, bce), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    return state.apply_gradients(grads=grads), loss, bce


def main() -> list[float]:
    rng = np.random.default_rng(74)
    prototypes = rng.uniform(size=(3, 12)) > 0.5
    flips = rng.uniform(size=(15, 16, 12)) < 0.1
    batches = (prototypes[rng.integers(0, 3, size=(15, 16))] ^ flips).astype(np.float32)
    noise = rng.normal(size=(15, 16, 2)).astype(np.float32)

    model = VAE()
    params = jax.jit(model.init)(jax.random.key(74), batches[0], noise[0])["params"]
    tx = optax.adam(1e-2)
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)
    results = []
    for batch, eps in zip(batches, noise, strict=True):
        state, loss, bce = train_step(state, batch, eps)
        results += [float(loss), float(bce)]
    return results
