"""PPO on a contextual bandit, all in one compiled scan, with clipped Adam whose rate falls with the updates."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.linen.initializers import constant, orthogonal
from flax.training.train_state import TrainState

CONFIG = {
    "LR": 2.5e-2,
    "NUM_UPDATES": 5,
    "UPDATE_EPOCHS": 2,
    "NUM_MINIBATCHES": 2,
    "NUM_STEPS": 32,
    "CLIP_EPS": 0.2,
    "ENT_COEF": 0.01,
    "VF_COEF": 0.5,
    "MAX_GRAD_NORM": 0.5,
    "ANNEAL_LR": True,
}


class ActorCritic(nn.Module):
    action_dim: int

    @nn.compact
    def __call__(self, x):
        hidden = nn.tanh(nn.Dense(16, kernel_init=orthogonal(np.sqrt(2)), bias_init=constant(0.0))(x))
        logits = nn.Dense(self.action_dim, kernel_init=constant(0.0))(hidden)
        value = nn.Dense(1, kernel_init=constant(0.1))(hidden)
        return logits, jnp.squeeze(value, axis=-1)


class Transition(NamedTuple):
    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    log_prob: jax.Array
    value: jax.Array


def log_prob_of(logits, action):
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=-1)[:, 0]


def make_train(config):
    def linear_schedule(count):
        frac = 1.0 - (count // (config["NUM_MINIBATCHES"] * config["UPDATE_EPOCHS"])) / config["NUM_UPDATES"]
        return config["LR"] * frac

    def train(key, best_actions):
        network = ActorCritic(4)
        key, init_key = jax.random.split(key)
        params = network.init(init_key, jnp.zeros((1, 3)))
        if config["ANNEAL_LR"]:
            tx = optax.chain(
                optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
                optax.adam(learning_rate=linear_schedule, eps=1e-5),
            )
        else:
            tx = optax.chain(optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.adam(config["LR"], eps=1e-5))
        train_state = TrainState.create(apply_fn=network.apply, params=params, tx=tx)

        def loss_fn(params, batch, advantages):
            logits, value = network.apply(params, batch.obs)
            ratio = jnp.exp(log_prob_of(logits, batch.action) - batch.log_prob)
            gae = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            clipped = jnp.clip(ratio, 1.0 - config["CLIP_EPS"], 1.0 + config["CLIP_EPS"])
            loss_actor = -jnp.minimum(ratio * gae, clipped * gae).mean()
            value_clipped = batch.value + jnp.clip(value - batch.value, -config["CLIP_EPS"], config["CLIP_EPS"])
            value_losses = jnp.maximum((value - batch.reward) ** 2, (value_clipped - batch.reward) ** 2)
            probs = jax.nn.softmax(logits)
            entropy = -jnp.sum(probs * jnp.log(probs), axis=-1).mean()
            value_loss = 0.5 * value_losses.mean()
            return loss_actor + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy, (value_loss, entropy)

        def update_step(carry, _):
            train_state, key = carry
            key, context_key, action_key = jax.random.split(key, 3)
            context = jax.random.randint(context_key, (config["NUM_STEPS"],), 0, 3)
            obs = jax.nn.one_hot(context, 3)
            logits, value = network.apply(train_state.params, obs)
            action = jax.random.categorical(action_key, logits)
            reward = (action == best_actions[context]).astype(jnp.float32)
            batch = Transition(obs, action, reward, log_prob_of(logits, action), value)
            advantages = reward - value
            minibatches = jax.tree_util.tree_map(
                lambda x: x.reshape((config["NUM_MINIBATCHES"], -1, *x.shape[1:])), (batch, advantages)
            )

            def update_minibatch(train_state, minibatch):
                (_, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(train_state.params, *minibatch)
                return train_state.apply_gradients(grads=grads), aux

            def update_epoch(train_state, _):
                return jax.lax.scan(update_minibatch, train_state, minibatches)

            train_state, (value_losses, entropies) = jax.lax.scan(
                update_epoch, train_state, None, config["UPDATE_EPOCHS"]
            )
            return (train_state, key), (value_losses.mean(), entropies.mean(), reward.mean())

        (train_state, _), metrics = jax.lax.scan(update_step, (train_state, key), None, config["NUM_UPDATES"])
        return train_state, metrics

    return train


def main() -> list[float]:
    best_actions = jnp.array([2, 0, 3])
    train_state, (losses, entropies, rewards) = jax.jit(make_train(CONFIG))(jax.random.PRNGKey(30), best_actions)
    counts = [
        float(train_state.step),
        float(train_state.opt_state[1][0].count),
        float(train_state.opt_state[1][1].count),
    ]
    return [*losses.tolist(), *entropies.tolist(), *rewards.tolist(), *counts]
