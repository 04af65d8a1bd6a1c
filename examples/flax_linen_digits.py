"""Flax Linen: a `TrainState` with AdamW, clipped gradients and a warmed-up cosine learning rate, on real digits.

    python examples/flax_linen_digits.py

The data are the 1,797 images of 8 by 8 pixels that come with scikit-learn. Prints what the optimizer stores, and how
many of each digit the network reads right.
"""

import argparse
import time
from collections import Counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import gradtx as gx
from gradtx import schedules


class Net(nn.Module):
    """Two convolutions, and a linear layer to 10 scores."""

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(24, (3, 3))(images))
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Conv(48, (3, 3))(x))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def optimizer(steps):
    warmup = steps // 10
    rate = schedules.warmup(warmup, schedules.cosine_decay(4e-3, steps - warmup))
    decayed = gx.by_path({"**/bias": False, "**": True})
    return gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(rate, b2=0.99, weight_decay=0.02, mask=decayed))


def cross_entropy(scores, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1))


@jax.jit
def train_step(state, images, labels):
    loss, grads = jax.value_and_grad(lambda params: cross_entropy(state.apply_fn(params, images), labels))(state.params)
    return state.apply_gradients(grads=grads), loss


def main():
    arguments = argparse.ArgumentParser(description="Digits with Flax Linen.")
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels.reshape(-1, 8, 8, 1) / 16, jnp.float32), jnp.asarray(targets)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=targets)

    net = Net()
    params = net.init(jax.random.key(options.seed), images[:1])
    state = TrainState.create(apply_fn=net.apply, params=params, tx=optimizer(options.steps))
    print(gx.summary(optimizer(options.steps), params))

    random, began, loss = np.random.default_rng(options.seed), time.perf_counter(), jnp.nan
    for step in (bar := trange(options.steps, desc="training", unit="step")):
        batch = random.choice(train, 128)
        state, loss = train_step(state, images[batch], labels[batch])
        if step % 50 == 49:
            bar.set_postfix(loss=f"{loss:.4f}", rate=f"{gx.get_hyperparams(state.opt_state)['learning_rate']:.2g}")

    read = np.argmax(np.asarray(net.apply(state.params, images[test])), axis=1)
    print("\ndigit  images  right  taken for")
    for digit in range(10):
        own = read[targets[test] == digit]
        wrong = ", ".join(f"{other} ({count})" for other, count in Counter(own[own != digit]).most_common())
        print(f"{digit:5}  {len(own):6}  {np.mean(own == digit):5.0%}  {wrong or '-'}")
    accuracy, seconds = np.mean(read == targets[test]), time.perf_counter() - began
    print(f"test accuracy {accuracy:.1%} on {len(test)} images, loss {loss:.4f}, in {seconds:.0f} s")


if __name__ == "__main__":
    main()
