"""Flax NNX: an `nnx.Optimizer` with one transform for the kernels and another for the rest, and its logs.

    python examples/flax_nnx_digits.py

Kernels are trained by AdamW; biases and the scales of the norms, of which there are few, by gradient descent with
momentum. `record` keeps the norm of the gradient on its way in, and `logs` reads it off the state.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import gradtx as gx
from gradtx import schedules


class Net(nnx.Module):
    """Two convolutions with norms, and a linear layer from 8 by 8 pixels to 10 scores."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv1, self.norm1 = nnx.Conv(1, 24, (3, 3), rngs=rngs), nnx.LayerNorm(24, rngs=rngs)
        self.conv2, self.norm2 = nnx.Conv(24, 48, (3, 3), rngs=rngs), nnx.LayerNorm(48, rngs=rngs)
        self.head = nnx.Linear(4 * 4 * 48, 10, rngs=rngs)

    def __call__(self, images):
        x = nnx.relu(self.norm1(self.conv1(images)))
        x = nnx.max_pool(x, (2, 2), strides=(2, 2))
        x = nnx.relu(self.norm2(self.conv2(x)))
        return self.head(x.reshape(x.shape[0], -1))


def optimizer(steps):
    groups = {
        "kernels": gx.adamw(schedules.cosine_decay(3e-3, steps), b2=0.99, weight_decay=0.02),
        "the rest": gx.sgd(0.01, momentum=0.9),
    }
    return gx.chain(
        gx.record("gradient norm", gx.tree.norm),
        gx.clip_by_global_norm(1.0),
        gx.partition(groups, gx.by_path({"**/kernel": "kernels", "**": "the rest"})),
        gx.record("update norm", gx.tree.norm),
    )


@nnx.jit
def train_step(model, optimizer, images, labels):
    def loss_fn(model):
        scores = jax.nn.log_softmax(model(images))
        return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=1))

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def accuracy_of(model, images, labels):
    return jnp.mean(jnp.argmax(model(images), axis=1) == labels)


def main():
    arguments = argparse.ArgumentParser(description="Digits with Flax NNX.")
    arguments.add_argument("--steps", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels.reshape(-1, 8, 8, 1) / 16, jnp.float32), jnp.asarray(targets)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=targets)

    model, tx = Net(nnx.Rngs(options.seed)), optimizer(options.steps)
    own = nnx.Optimizer(model, tx, wrt=nnx.Param)
    print(gx.describe(tx))

    rows, random, began = [], np.random.default_rng(options.seed), time.perf_counter()
    for step in (bar := trange(1, options.steps + 1, desc="training", unit="step")):
        batch = random.choice(train, 128)
        loss = train_step(model, own, images[batch], labels[batch])
        if step == 1 or step % max(options.steps // 8, 1) == 0:
            logged = gx.logs(own.opt_state)
            rows.append((step, loss, logged["gradient norm"], logged["update norm"], logged["learning_rate"]))
            bar.set_postfix(loss=f"{loss:.4f}", gradient=f"{logged['gradient norm']:.3g}")

    print("\nstep    loss  gradient norm  update norm  learning rate")
    for step, *numbers in rows:
        loss, gradient, update, rate = map(float, numbers)
        print(f"{step:4}  {loss:6.4f}  {gradient:13.4f}  {update:11.4f}  {rate:13.2g}")
    accuracy = accuracy_of(model, images[test], labels[test])
    print(f"test accuracy {accuracy:.1%} on {len(test)} images, in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
