"""A deterministic actor-critic: one Adam per network, soft targets by incremental_update, a learned temperature."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

TAU = 0.05


class Networks(NamedTuple):
    actor: dict
    critic: dict
    log_alpha: jax.Array


class OptStates(NamedTuple):
    actor: optax.OptState
    critic: optax.OptState
    alpha: optax.OptState


def mlp_init(rng, sizes):
    return {
        f"layer_{i}": {
            "w": jnp.asarray(rng.normal(size=(m, n)) / np.sqrt(m), jnp.float32),
            "b": jnp.zeros(n, jnp.float32),
        }
        for i, (m, n) in enumerate(itertools.pairwise(sizes))
    }


def mlp(params, x):
    for i in range(len(params)):
        layer = params[f"layer_{i}"]
        x = x @ layer["w"] + layer["b"][None, :]
        if i < len(params) - 1:
            x = jnp.tanh(x)
    return x


def policy(actor, obs):
    return jnp.tanh(mlp(actor, obs))


def q_value(critic, obs, action):
    return mlp(critic, jnp.concatenate([obs, action], axis=-1))[:, 0]


def main() -> list[float]:
    rng = np.random.default_rng(33)
    obs = rng.normal(size=(20, 16, 3)).astype(np.float32)
    next_obs = (0.8 * obs + 0.1 * rng.normal(size=obs.shape)).astype(np.float32)
    action = rng.uniform(-1, 1, size=(20, 16, 1)).astype(np.float32)
    reward = (-((action[..., 0] - 0.5 * np.tanh(obs[..., 0])) ** 2)).astype(np.float32)

    params = Networks(mlp_init(rng, (3, 12, 1)), mlp_init(rng, (4, 12, 1)), jnp.zeros(()))
    target_params = params
    policy_optimizer = optax.chain(optax.clip_by_global_norm(40.0), optax.adam(3e-3))
    critic_optimizer = optax.chain(optax.clip_by_global_norm(40.0), optax.adam(1e-2))
    alpha_optimizer = optax.adam(learning_rate=1e-2)
    opt_states = OptStates(
        policy_optimizer.init(params.actor),
        critic_optimizer.init(params.critic),
        alpha_optimizer.init(params.log_alpha),
    )

    @jax.jit
    def sgd_step(params, target_params, opt_states, batch):
        obs, action, reward, next_obs = batch

        def critic_loss(critic):
            next_q = q_value(target_params.critic, next_obs, policy(target_params.actor, next_obs))
            target = jax.lax.stop_gradient(reward + 0.9 * next_q)
            return optax.l2_loss(q_value(critic, obs, action), target).mean()

        def actor_loss(actor):
            a = policy(actor, obs)
            penalty = jnp.exp(params.log_alpha) * jnp.mean(a**2)
            return -q_value(params.critic, obs, a).mean() + penalty

        def alpha_loss(log_alpha):
            return jnp.exp(log_alpha) * jax.lax.stop_gradient(0.2 - jnp.mean(policy(params.actor, obs) ** 2))

        critic_value, critic_grads = jax.value_and_grad(critic_loss)(params.critic)
        actor_value, actor_grads = jax.value_and_grad(actor_loss)(params.actor)
        alpha_grads = jax.grad(alpha_loss)(params.log_alpha)
        critic_updates, critic_state = critic_optimizer.update(critic_grads, opt_states.critic)
        actor_updates, actor_state = policy_optimizer.update(actor_grads, opt_states.actor)
        alpha_updates, alpha_state = alpha_optimizer.update(alpha_grads, opt_states.alpha)
        params = Networks(
            optax.apply_updates(params.actor, actor_updates),
            optax.apply_updates(params.critic, critic_updates),
            optax.apply_updates(params.log_alpha, alpha_updates),
        )
        target_params = optax.incremental_update(params, target_params, TAU)
        return params, target_params, OptStates(actor_state, critic_state, alpha_state), critic_value, actor_value

    results = []
    for batch in zip(obs, action, reward, next_obs, strict=True):
        params, target_params, opt_states, critic_value, actor_value = sgd_step(
            params, target_params, opt_states, batch
        )
        results += [float(critic_value), float(actor_value)]
    results.append(float(jnp.exp(params.log_alpha)))
    results.append(float(target_params.log_alpha))
    return results
