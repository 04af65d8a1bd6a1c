"""An optimizer factory that looks names up with getattr: every optimizer of the configs trains a small network."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

CONFIGS = [
    {"name": "sgd", "kwargs": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}, "clip": 1.0},
    {"name": "adam", "kwargs": {"learning_rate": 0.02, "b1": 0.9, "b2": 0.99, "eps": 1e-7}},
    {"name": "adamw", "kwargs": {"learning_rate": 0.02, "weight_decay": 0.05}, "clip": 0.5},
    {"name": "rmsprop", "kwargs": {"learning_rate": 0.01, "decay": 0.95, "initial_scale": 1.0}},
    {"name": "adagrad", "kwargs": {"learning_rate": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-7}},
    {
        "name": "nadam",
        "kwargs": {"learning_rate": 0.02},
        "schedule": {"name": "cosine_decay_schedule", "decay_steps": 8},
    },
    {"name": "amsgrad", "kwargs": {"learning_rate": 0.02, "b2": 0.9}},
    {"name": "adamax", "kwargs": {"learning_rate": 0.02}},
]


def build_schedule(peak: float, config: dict[str, Any]) -> optax.Schedule:
    config = dict(config)
    return getattr(optax, config.pop("name"))(init_value=peak, **config)


def build_optimizer(config: dict[str, Any]) -> optax.GradientTransformation:
    kwargs = dict(config["kwargs"])
    if "schedule" in config:
        kwargs["learning_rate"] = build_schedule(kwargs["learning_rate"], config["schedule"])
    factory = getattr(optax, config["name"])
    parts = []
    if config.get("clip"):
        parts.append(optax.clip_by_global_norm(config["clip"]))
    parts.append(factory(**kwargs))
    return optax.chain(*parts)


def loss_fn(params, x, y):
    hidden = jnp.tanh(x @ params["w1"] + params["b1"][None, :])
    return optax.l2_loss((hidden @ params["w2"])[:, 0], y).mean()


def main() -> list[float]:
    rng = np.random.default_rng(38)
    x = rng.normal(size=(32, 3)).astype(np.float32)
    y = np.sin(x @ np.array([1.0, -0.5, 0.3])).astype(np.float32)
    initial = {
        "w1": jnp.asarray(0.5 * rng.normal(size=(3, 8)), jnp.float32),
        "b1": jnp.zeros(8, jnp.float32),
        "w2": jnp.asarray(0.5 * rng.normal(size=(8, 1)), jnp.float32),
    }
    optimizers = [build_optimizer(config) for config in CONFIGS]

    # All of them in one compiled scan, as each alone would be compiled anew.
    @jax.jit
    def train(params):
        def step(carry, _):
            results = []
            for optimizer, (params, opt_state) in zip(optimizers, carry, strict=True):
                loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
                updates, opt_state = optimizer.update(grads, opt_state, params)
                results.append((optax.apply_updates(params, updates), opt_state, loss))
            return [r[:2] for r in results], jnp.stack([r[2] for r in results])

        return jax.lax.scan(step, [(params, optimizer.init(params)) for optimizer in optimizers], length=8)[1]

    losses = train(initial)
    return functools.reduce(operator.add, losses.T.tolist())
