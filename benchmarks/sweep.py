"""How long a sweep of learning rates takes: as one program, and as the loops that it replaces.

    python -m benchmarks.sweep

A perceptron of 64, 32 and 10 units learns scikit-learn's digits with Adam, 100 steps of 128 images, for each of 32
learning rates and 4 seeds. All ways run the same training function, whose steps are one `scan`, and are timed from the
definition to the losses, compilation included. They take turns, and the fastest of the rounds counts.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import gradtx as gx


def digits(steps: int, batch: int = 128) -> Callable[[Any, jax.Array], jax.Array]:
    """The training function: transform and random key to the loss on all images."""
    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(targets)

    def loss_fn(params, x, y):
        hidden = jax.nn.relu(x @ params["in"]["kernel"] + params["in"]["bias"])
        scores = jax.nn.log_softmax(hidden @ params["out"]["kernel"] + params["out"]["bias"])
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    def train(tx, key):
        first, second, order = jax.random.split(key, 3)
        params = {
            "in": {"kernel": jax.random.normal(first, (64, 32)) / 8, "bias": jnp.zeros(32)},
            "out": {"kernel": jax.random.normal(second, (32, 10)) / 32**0.5, "bias": jnp.zeros(10)},
        }

        def step(carry, rows):
            params, state = carry
            grads = jax.grad(loss_fn)(params, images[rows], labels[rows])
            updates, state = tx.update(grads, state, params)
            return (gx.apply_updates(params, updates), state), None

        rows = jax.random.randint(order, (steps, batch), 0, len(labels))
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), rows)
        return loss_fn(params, images, labels)

    return train


def swept(train: Callable, rates: Sequence[float], seeds: int) -> np.ndarray:
    """All runs as one program."""
    return gx.sweep(train, gx.adam(1.0), {"learning_rate": rates}, seeds, progress=False).losses


def baked_in(train: Callable, rates: Sequence[float], seeds: int) -> np.ndarray:
    """A function jitted for each learning rate, as `optax.adam(rate)` in a loop makes it; seeds are an argument."""
    keys = [jax.random.key(seed) for seed in range(seeds)]
    runs = [jax.jit(partial(train, optax.adam(float(rate)))) for rate in rates]
    return np.asarray([[float(run(key)) for key in keys] for run in runs])


def injected(train: Callable, rates: Sequence[float], seeds: int) -> np.ndarray:
    """One jitted function of the learning rate, which `optax.inject_hyperparams` allows, in a loop."""
    keys = [jax.random.key(seed) for seed in range(seeds)]
    run = jax.jit(lambda rate, key: train(optax.inject_hyperparams(optax.adam)(learning_rate=rate), key))
    return np.asarray([[float(run(jnp.asarray(rate, float), key)) for key in keys] for rate in rates])


WAYS = {"gradtx.sweep": swept, "Optax, jitted for each rate": baked_in, "Optax, jitted once": injected}


def measure(steps: int, rates: Sequence[float], seeds: int, rounds: int, ways: Any = WAYS) -> dict[str, float]:
    """The seconds that each way takes in its fastest round; raises AssertionError where losses differ."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        losses = {}
        for name in ways:
            jax.clear_caches()
            began = time.perf_counter()
            losses[name] = WAYS[name](digits(steps), rates, seeds)
            best[name] = min(best[name], time.perf_counter() - began)
        first, *rest = losses.values()
        # At high rates training is chaotic, and rounding grows: medians are what can be compared.
        assert all(np.median(np.abs(first - other)) < 1e-3 for other in rest), "the ways find different losses"
    return best


def main() -> None:
    """Prints the time of each way, and how many times that of the sweep it is."""
    arguments = argparse.ArgumentParser(description="A sweep as one program, and as a loop.")
    arguments.add_argument("--steps", type=int, default=100)
    arguments.add_argument("--rates", type=int, default=32)
    arguments.add_argument("--seeds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    seconds = measure(options.steps, np.logspace(-4, 0, options.rates), options.seeds, options.rounds)
    print(f"{options.rates} learning rates, {options.seeds} seeds, {options.steps} steps each, on {jax.devices()[0]}")
    for name, time_taken in seconds.items():
        print(f"{name:28} {time_taken:6.2f} s   {time_taken / seconds['gradtx.sweep']:5.1f} times the sweep")


if __name__ == "__main__":
    main()
