"""PPO with separate actor and critic states, one-file style: inject_hyperparams over Adam, and the rate is logged."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState


class Actor(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.tanh(nn.Dense(12)(x)))


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(12)(x)))


class AgentParams(NamedTuple):
    actor: dict
    critic: dict


def linear_schedule(count, num_minibatches=2, update_epochs=2, num_updates=4, learning_rate=1e-2):
    # The rate falls after each update, not after each minibatch.
    frac = 1.0 - (count // (num_minibatches * update_epochs)) / num_updates
    return learning_rate * frac


def main() -> list[float]:
    rng = np.random.default_rng(31)
    obs = rng.normal(size=(4, 32, 5)).astype(np.float32)
    actions = rng.integers(0, 3, size=(4, 32)).astype(np.int32)
    returns = (obs[..., 0] * (actions == 1) - 0.3 * actions).astype(np.float32)
    old_logprobs = np.full((4, 32), np.log(1 / 3), np.float32)

    actor, critic = Actor(), Critic()
    k1, k2 = jax.random.split(jax.random.PRNGKey(31))
    params = jax.jit(lambda: AgentParams(actor.init(k1, obs[0]), critic.init(k2, obs[0])))()
    agent_state = TrainState.create(
        apply_fn=None,
        params=params,
        tx=optax.chain(
            optax.clip_by_global_norm(0.5),
            optax.inject_hyperparams(optax.adam)(
                learning_rate=partial(linear_schedule, num_updates=4), eps=1e-5, b1=0.9
            ),
        ),
    )

    @jax.jit
    def update(agent_state, obs, action, old_logprob, ret):
        def ppo_loss(params):
            logits = actor.apply(params.actor, obs)
            newlogprob = jax.nn.log_softmax(logits)[jnp.arange(action.shape[0]), action]
            value = critic.apply(params.critic, obs).squeeze(-1)
            adv = jax.lax.stop_gradient(ret - value)
            adv = (adv - adv.mean()) / (adv.std() + 1e-8)
            ratio = jnp.exp(newlogprob - old_logprob)
            pg_loss = jnp.maximum(-adv * ratio, -adv * jnp.clip(ratio, 0.8, 1.2)).mean()
            v_loss = 0.5 * ((value - ret) ** 2).mean()
            entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
            return pg_loss - 0.01 * entropy + 0.5 * v_loss

        loss, grads = jax.value_and_grad(ppo_loss)(agent_state.params)
        return agent_state.apply_gradients(grads=grads), loss

    results = []
    for iteration in range(4):
        for epoch in range(2):
            order = np.random.default_rng(10 * iteration + epoch).permutation(32).reshape(2, 16)
            for index in order:
                agent_state, loss = update(
                    agent_state,
                    obs[iteration, index],
                    actions[iteration, index],
                    old_logprobs[iteration, index],
                    returns[iteration, index],
                )
                results.append(float(loss))
        results.append(agent_state.opt_state[1].hyperparams["learning_rate"].item())
    hyperparams = agent_state.opt_state[1].hyperparams
    results.append(float(hyperparams["eps"]) * 1e5)
    results.append(float(hyperparams["b1"]))
    results.append(float(agent_state.opt_state[1].count))
    return results
