"""A small residual convnet in Flax Linen with batch statistics, warmup joined to cosine decay, and Nesterov SGD."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

STEPS_PER_EPOCH = 4
WARMUP_EPOCHS = 1
NUM_EPOCHS = 4


class ResidualNet(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(4, (3, 3), use_bias=False)(x)
        residual = x
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.Conv(4, (3, 3), use_bias=False)(nn.silu(x))
        x = jnp.mean(x + residual, axis=(1, 2))
        return nn.Dense(3)(x)


class TrainState(train_state.TrainState):
    batch_stats: Any


def create_learning_rate_fn(base_learning_rate: float) -> optax.Schedule:
    warmup_fn = optax.linear_schedule(
        init_value=0.0, end_value=base_learning_rate, transition_steps=WARMUP_EPOCHS * STEPS_PER_EPOCH
    )
    cosine_epochs = max(NUM_EPOCHS - WARMUP_EPOCHS, 1)
    cosine_fn = optax.cosine_decay_schedule(init_value=base_learning_rate, decay_steps=cosine_epochs * STEPS_PER_EPOCH)
    return optax.join_schedules(schedules=[warmup_fn, cosine_fn], boundaries=[WARMUP_EPOCHS * STEPS_PER_EPOCH])


def make_train_step(learning_rate_fn):
    @jax.jit
    def train_step(state, images, labels):
        def loss_fn(params):
            logits, new_model_state = state.apply_fn(
                {"params": params, "batch_stats": state.batch_stats}, images, True, mutable=["batch_stats"]
            )
            loss = optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, 3)).mean()
            weights = [p for p in jax.tree_util.tree_leaves(params) if p.ndim > 1]
            weight_penalty = 1e-4 * 0.5 * sum(jnp.sum(w**2) for w in weights)
            return loss + weight_penalty, new_model_state

        lr = learning_rate_fn(state.step)
        (loss, new_model_state), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        state = state.apply_gradients(grads=grads, batch_stats=new_model_state["batch_stats"])
        return state, {"loss": loss, "learning_rate": lr}

    return train_step


def main() -> list[float]:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, size=32).astype(np.int32)
    images = (rng.normal(size=(3, 4, 4, 1))[labels] + 0.5 * rng.normal(size=(32, 4, 4, 1))).astype(np.float32)

    model = ResidualNet()
    variables = jax.jit(lambda key, x: model.init(key, x, True))(jax.random.key(1), images[:1])
    learning_rate_fn = create_learning_rate_fn(0.5)
    tx = optax.sgd(learning_rate=learning_rate_fn, momentum=0.9, nesterov=True)
    state = TrainState.create(
        apply_fn=model.apply, params=variables["params"], tx=tx, batch_stats=variables["batch_stats"]
    )
    train_step = make_train_step(learning_rate_fn)
    results = []
    for step in range(NUM_EPOCHS * STEPS_PER_EPOCH):
        start = 8 * (step % STEPS_PER_EPOCH)
        state, metrics = train_step(state, images[start : start + 8], labels[start : start + 8])
        results += [float(metrics["loss"]), float(metrics["learning_rate"])]
    return results
