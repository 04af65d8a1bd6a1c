"""A deep Q-network with a replay buffer, a periodically updated target network, and centered RMSProp."""

import random
from collections import deque
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

NUM_STATES, NUM_ACTIONS, GAMMA = 6, 2, 0.9


class Params(NamedTuple):
    online: hk.Params
    target: hk.Params


class LearnerState(NamedTuple):
    count: jax.Array
    opt_state: optax.OptState


def corridor(state: int, action: int) -> tuple[int, float, bool]:
    new = max(0, state + (1 if action == 1 else -1))
    done = new == NUM_STATES - 1
    return new, (1.0 if done else -0.05), done


class DQN:
    def __init__(self, target_period: int):
        self._network = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, NUM_ACTIONS])(x)))
        self._optimizer = optax.rmsprop(5e-3, decay=0.95, eps=0.01 / 32**2, centered=True)
        self._target_period = target_period
        self.learner_step = jax.jit(self._learner_step)
        self.q_values = jax.jit(self._network.apply)

    def initial_params(self, key) -> Params:
        params = jax.jit(self._network.init)(key, np.zeros((1, NUM_STATES), np.float32))
        return Params(params, params)

    def initial_learner_state(self, params: Params) -> LearnerState:
        return LearnerState(jnp.zeros([], jnp.int32), self._optimizer.init(params.online))

    def _loss(self, online, target, obs, action, reward, discount, next_obs):
        q_tm1 = self._network.apply(online, obs)
        q_t = self._network.apply(target, next_obs)
        best = jnp.argmax(self._network.apply(online, next_obs), axis=-1)
        rows = jnp.arange(action.shape[0])
        td_target = reward + discount * q_t[rows, best]
        td_error = q_tm1[rows, action] - jax.lax.stop_gradient(td_target)
        return jnp.mean(optax.huber_loss(td_error, delta=0.5))

    def _learner_step(self, params: Params, data, learner_state: LearnerState):
        target = optax.periodic_update(params.online, params.target, learner_state.count, self._target_period)
        loss, grads = jax.value_and_grad(self._loss)(params.online, target, *data)
        updates, opt_state = self._optimizer.update(grads, learner_state.opt_state)
        online = optax.apply_updates(params.online, updates)
        return Params(online, target), LearnerState(learner_state.count + 1, opt_state), loss


def main() -> list[float]:
    rng = random.Random(32)
    eye = np.eye(NUM_STATES, dtype=np.float32)
    agent = DQN(target_period=5)
    params = agent.initial_params(jax.random.PRNGKey(32))
    learner_state = agent.initial_learner_state(params)
    buffer, state, losses = deque(maxlen=100), 0, []
    epsilon = optax.linear_schedule(1.0, 0.1, transition_steps=40)
    for step in range(60):
        # The behavior is random by a threshold that follows the schedule; it is no function of the parameters.
        action = rng.randrange(NUM_ACTIONS) if rng.random() < float(epsilon(step)) else 1
        new, reward, done = corridor(state, action)
        buffer.append((eye[state], np.int32(action), np.float32(reward), np.float32(0.0 if done else GAMMA), eye[new]))
        state = 0 if done else new
        if step >= 30:
            batch = [np.stack(column) for column in zip(*rng.sample(list(buffer), 16), strict=True)]
            params, learner_state, loss = agent.learner_step(params, batch, learner_state)
            losses.append(float(loss))
    q = agent.q_values(params.target, eye)
    return [*losses, *q[:, 1].tolist()]
