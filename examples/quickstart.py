"""Train a small convolutional network on real handwritten digits, with an optimizer composed on the spot.

    python examples/quickstart.py

The data are the 1,797 images that come with scikit-learn. Prints the optimizer's parts and the test accuracy, and
saves the loss curve as a picture.
"""

import argparse
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import gradtx as gx
from gradtx import schedules

matplotlib.use("Agg")
import matplotlib.pyplot as plt


class Net(nn.Module):
    """Two convolutions and a linear layer: 8 by 8 pixels to 10 scores."""

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(24, (3, 3))(images))
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Conv(48, (3, 3))(x))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def optimizer(steps):
    """AdamW, from parts: the mean gradient over its root mean square, decayed weights, and a scheduled rate."""
    how_far = gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.9))
    how_noisy = gx.chain(gx.square(), gx.scale_by_ema(0.99), gx.bias_correction(0.99), gx.sqrt())
    warmup = steps // 10
    rate = schedules.warmup(warmup, schedules.cosine_decay(4e-3, steps - warmup))
    return gx.chain(
        ("clip", gx.clip_by_global_norm(1.0)),
        ("direction", gx.ratio(how_far, how_noisy, eps=1e-8)),
        ("decay", gx.add_decayed_weights(0.02, mask=gx.by_path({"**/bias": False, "**": True}))),
        ("rate", gx.scale_by_learning_rate(rate)),
    )


def main():
    arguments = argparse.ArgumentParser(description="Digits with a composed optimizer.")
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--picture", default="quickstart.png", help="where to save the loss curve")
    options = arguments.parse_args()

    pixels, targets = load_digits(return_X_y=True)
    images = jnp.asarray(pixels.reshape(-1, 8, 8, 1) / 16, jnp.float32)
    train, test = train_test_split(np.arange(len(images)), test_size=0.2, random_state=0, stratify=targets)
    labels = jnp.asarray(targets)

    net = Net()
    params = net.init(jax.random.key(0), images[:1])

    def score(params, x) -> jax.Array:
        return jax.nn.log_softmax(jnp.asarray(net.apply(params, x)))

    tx = optimizer(options.steps)
    print(gx.describe(tx))

    def loss_fn(params, x, y):
        return -jnp.mean(jnp.take_along_axis(score(params, x), y[:, None], axis=1))

    # One jitted step whose parameters and state are donated: it works in place.
    step = gx.make_train_step(loss_fn, tx)
    state = tx.init(params)
    random, losses, began = np.random.default_rng(0), [], time.perf_counter()
    for _ in (bar := trange(options.steps, desc="training", unit="step")):
        batch = random.choice(train, 128)
        params, state, loss = step(params, state, images[batch], labels[batch])
        losses.append(loss)
        if len(losses) % 50 == 0:
            bar.set_postfix(loss=f"{loss:.4f}", rate=f"{gx.get_hyperparams(state)['learning_rate']:.2g}")

    right = jnp.argmax(score(params, images[test]), axis=1) == labels[test]
    print(f"test accuracy {100 * jnp.mean(right):.1f}% on {len(test)} images, in {time.perf_counter() - began:.0f} s")

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.semilogy(np.asarray(losses), color="tab:blue", alpha=0.35, linewidth=1, label="each batch")
    if options.steps >= 20:
        window = max(options.steps // 20, 2)
        smooth = np.exp(np.convolve(np.log(losses), np.ones(window) / window, mode="valid"))
        middle = np.arange(len(smooth)) + (window - 1) / 2
        axes.semilogy(middle, smooth, color="tab:blue", label=f"geometric mean of {window}")
    axes.set(xlabel="step", ylabel="training loss", title="A composed optimizer on handwritten digits")
    axes.legend(frameon=False)
    figure.savefig(options.picture, dpi=150)
    print(f"loss curve saved as {options.picture}")


if __name__ == "__main__":
    main()
