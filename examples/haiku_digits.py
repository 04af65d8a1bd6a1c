"""Haiku: schedule-free AdamW, which needs no schedule because an average takes the place of the falling rate.

    python examples/haiku_digits.py

The learning rate stays where it is, and the number of steps need not be known beforehand. `eval_params` reads the
average of the parameters off the state, at any step. Beside it, AdamW at the same rate, held constant or falling to 0.
"""

import argparse
import time

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import gradtx as gx
from gradtx import schedules


def forward(images):
    """Two convolutions, and a linear layer from 8 by 8 pixels to 10 scores."""
    x = jax.nn.relu(hk.Conv2D(24, 3)(images))
    x = hk.max_pool(x, (2, 2, 1), (2, 2, 1), "VALID")
    x = jax.nn.relu(hk.Conv2D(48, 3)(x))
    return hk.Linear(10)(hk.Flatten()(x))


net = hk.without_apply_rng(hk.transform(forward))


def loss_fn(params, images, labels):
    scores = jax.nn.log_softmax(net.apply(params, images))
    return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=1))


@jax.jit
def loss_and_accuracy(params, images, labels):
    right = jnp.argmax(net.apply(params, images), axis=1) == labels
    return loss_fn(params, images, labels), jnp.mean(right)


def optimizers(steps):
    """What to compare; of each, how the parameters to evaluate are read off."""
    rest = {"b2": 0.99, "weight_decay": 0.2, "mask": gx.by_path({"**/b": False, "**": True})}
    falling = schedules.cosine_decay(5e-3, steps)
    return {
        "constant rate": (gx.adamw(5e-3, **rest), lambda state, params: params),
        "falling rate": (gx.adamw(falling, **rest), lambda state, params: params),
        "schedule-free": (gx.schedule_free_adamw(5e-3, warmup_steps=20, **rest), gx.eval_params),
    }


def main():
    arguments = argparse.ArgumentParser(description="Digits with Haiku, without a schedule.")
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels.reshape(-1, 8, 8, 1) / 16, jnp.float32), jnp.asarray(targets)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=targets)

    runs, marks, began = optimizers(options.steps), max(options.steps // 8, 1), time.perf_counter()
    print(runs["schedule-free"][0])
    table, accuracy = {}, jnp.nan
    with tqdm(total=len(runs) * options.steps, desc="training", unit="step") as bar:
        for name, (tx, read) in runs.items():
            params = net.init(jax.random.key(options.seed), images[:1])
            state, train_step = tx.init(params), gx.make_train_step(loss_fn, tx)
            random = np.random.default_rng(options.seed)
            for step in range(1, options.steps + 1):
                batch = random.choice(train, 32)
                params, state, loss = train_step(params, state, images[batch], labels[batch])
                bar.update()
                if step % marks == 0:
                    test_loss, accuracy = loss_and_accuracy(read(state, params), images[test], labels[test])
                    table.setdefault(step, []).append(float(test_loss))
                    bar.set_postfix(run=name, loss=f"{loss:.4f}")

    print("\ntest loss" + "".join(f"{name:>16}" for name in runs))
    for step, row in table.items():
        print(f"step {step:4}" + "".join(f"{test_loss:16.4f}" for test_loss in row))
    seconds = time.perf_counter() - began
    print(f"schedule-free: test accuracy {accuracy:.1%} on {len(test)} images, all runs in {seconds:.0f} s")


if __name__ == "__main__":
    main()
