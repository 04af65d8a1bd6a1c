"""A digits classifier in Flax Linen with a TrainState and SGD with momentum, in the manner of the MNIST tutorials."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(24)(x))
        return nn.Dense(5)(x)


def get_datasets():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 16))
    labels = rng.integers(0, 5, size=64)
    images = centers[labels] + 0.7 * rng.normal(size=(64, 16))
    return images.astype(np.float32), labels.astype(np.int32)


def create_train_state(rng, learning_rate, momentum):
    model = MLP()
    params = model.init(rng, jnp.ones([1, 16]))["params"]
    tx = optax.sgd(learning_rate, momentum)
    return train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)


@jax.jit
def train_step(state, images, labels):
    def loss_fn(params):
        logits = state.apply_fn({"params": params}, images)
        one_hot = jax.nn.one_hot(labels, 5)
        loss = jnp.mean(optax.softmax_cross_entropy(logits=logits, labels=one_hot))
        return loss, logits

    (loss, logits), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads)
    accuracy = jnp.mean((jnp.argmax(logits, -1) == labels).astype(jnp.float32))
    return state, loss, accuracy


def main() -> list[float]:
    images, labels = get_datasets()
    state = create_train_state(jax.random.key(0), 0.1, 0.9)
    losses = []
    for epoch in range(4):
        order = np.random.default_rng(epoch).permutation(64).reshape(4, 16)
        for batch in order:
            state, loss, _accuracy = train_step(state, images[batch], labels[batch])
            losses.append(float(loss))
    losses.append(float(state.step))
    return losses
