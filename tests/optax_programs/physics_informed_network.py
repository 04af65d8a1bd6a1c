"""A physics-informed network for an ODE of second order: Adam with a staircase decay, then Nesterov momentum."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Trainer:
    def __init__(self, optimizer: optax.GradientTransformation, loss: Callable):
        self.optimizer, self.loss = optimizer, loss
        self.state: optax.OptState = None
        self._step = jax.jit(self._train_step)

    def _train_step(self, params, state, points):
        loss, grads = jax.value_and_grad(self.loss)(params, points)
        updates, state = self.optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    def fit(self, params, batches) -> tuple[optax.Params, list[float]]:
        self.state = self.optimizer.init(params)
        history = []
        for points in batches:
            params, self.state, loss = self._step(params, self.state, points)
            history.append(float(loss))
        return params, history


def network(params, t):
    (w1, b1), (w2, b2) = params
    return jnp.dot(w2, jnp.tanh(w1 * t + b1)) + b2


def residual(params, t):
    u = network(params, t)
    du = jax.grad(network, argnums=1)
    return jax.grad(du, argnums=1)(params, t) + u


def loss(params, points):
    physics = jnp.mean(jax.vmap(residual, (None, 0))(params, points) ** 2)
    start = (network(params, 0.0) - 1.0) ** 2 + jax.grad(network, argnums=1)(params, 0.0) ** 2
    return physics + 10.0 * start


def main() -> list[float]:
    rng = np.random.default_rng(90)
    batches = rng.uniform(0, 1.5, size=(24, 16)).astype(np.float32)
    params = [
        (jnp.asarray(rng.normal(size=8), jnp.float32), jnp.asarray(rng.normal(size=8), jnp.float32)),
        (jnp.asarray(0.3 * rng.normal(size=8), jnp.float32), jnp.zeros(())),
    ]
    decay = optax.exponential_decay(5e-2, transition_steps=6, decay_rate=0.7, staircase=True)
    params, history = Trainer(optax.adam(decay), loss).fit(params, batches[:16])
    refine = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1e-3, momentum=0.9, nesterov=True))
    params, refined = Trainer(refine, loss).fit(params, batches[16:])
    return [*history, *refined, float(network(params, 1.0))]
