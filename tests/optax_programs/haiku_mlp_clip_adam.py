"""A Haiku MLP classifier with clipped Adam and averaged parameters for evaluation."""

from collections.abc import Iterator
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

NUM_CLASSES = 4


class Batch(NamedTuple):
    image: np.ndarray
    label: np.ndarray


class TrainingState(NamedTuple):
    params: hk.Params
    avg_params: hk.Params
    opt_state: optax.OptState


def net_fn(images) -> jax.Array:
    mlp = hk.Sequential([hk.Flatten(), hk.Linear(20), jax.nn.relu, hk.Linear(12), jax.nn.relu, hk.Linear(NUM_CLASSES)])
    return mlp(images)


def load_dataset(*, seed: int, batch_size: int) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    prototypes = np.random.default_rng(99).normal(size=(NUM_CLASSES, 4, 4))
    while True:
        label = rng.integers(0, NUM_CLASSES, size=batch_size)
        image = prototypes[label] + 0.6 * rng.normal(size=(batch_size, 4, 4))
        yield Batch(image.astype(np.float32), label.astype(np.int32))


def main() -> list[float]:
    network = hk.without_apply_rng(hk.transform(net_fn))
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))

    def loss(params: hk.Params, batch: Batch) -> jax.Array:
        logits = network.apply(params, batch.image)
        labels = jax.nn.one_hot(batch.label, NUM_CLASSES)
        l2_regulariser = 0.5 * sum(jnp.sum(jnp.square(p)) for p in jax.tree_util.tree_leaves(params))
        log_likelihood = jnp.sum(labels * jax.nn.log_softmax(logits))
        return -log_likelihood / batch.image.shape[0] + 1e-4 * l2_regulariser

    @jax.jit
    def update(state: TrainingState, batch: Batch) -> tuple[TrainingState, jax.Array]:
        value, grads = jax.value_and_grad(loss)(state.params, batch)
        updates, opt_state = optimiser.update(grads, state.opt_state)
        params = optax.apply_updates(state.params, updates)
        avg_params = optax.incremental_update(params, state.avg_params, step_size=0.1)
        return TrainingState(params, avg_params, opt_state), value

    @jax.jit
    def evaluate(params: hk.Params, batch: Batch) -> jax.Array:
        return loss(params, batch)

    train = load_dataset(seed=0, batch_size=16)
    test = next(load_dataset(seed=1, batch_size=32))
    initial_params = jax.jit(network.init)(jax.random.PRNGKey(0), next(train).image)
    state = TrainingState(initial_params, initial_params, optimiser.init(initial_params))
    losses = []
    for step in range(18):
        state, value = update(state, next(train))
        losses.append(float(value))
        if step % 6 == 5:
            losses.append(float(evaluate(state.avg_params, test)))
    return losses
