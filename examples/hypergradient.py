"""Learn Adam's four numbers by gradient descent, through whole training runs.

    python examples/hypergradient.py

The numbers of an optimizer are leaves of a pytree, so the loss at the end of training is a function of them, and JAX
differentiates it: through every one of the inner steps. Another Adam follows that gradient. Each of its steps trains a
small perceptron on digits from new random weights, so that what is learned holds for any; at the end, the learned
numbers are tried on seeds and images that were never used, beside the best of some learning rates. Prints the numbers,
and saves the picture.
"""

import argparse
import sys

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
from matplotlib.ticker import LogLocator, NullFormatter

INNER = 60
"""Steps of each training run."""


def optimizer(free):
    """Adam from four free numbers, which any gradient step leaves in their ranges."""
    return gx.adam(
        learning_rate=jnp.exp(free["learning_rate"]),
        b1=jax.nn.sigmoid(free["b1"]),
        b2=jax.nn.sigmoid(free["b2"]),
        eps=jnp.exp(free["eps"]),
    )


def free_numbers(tx):
    """The four free numbers that make `tx`."""
    logit = lambda x: np.log(x) - np.log1p(-x)
    free = {"learning_rate": np.log(tx.learning_rate), "b1": logit(tx.b1), "b2": logit(tx.b2), "eps": np.log(tx.eps)}
    return jax.tree.map(jnp.float32, free)


def training():
    """`(tx, key) -> (loss on unseen images, losses on the way)`, and the same for the images of the final test."""
    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(targets)
    rest, test = train_test_split(np.arange(len(targets)), test_size=0.2, random_state=0, stratify=targets)
    seen, unseen = train_test_split(rest, test_size=0.25, random_state=0, stratify=targets[rest])

    def loss_fn(params, rows):
        hidden = jax.nn.relu(images[rows] @ params["in"] + params["shift"])
        scores = jax.nn.log_softmax(hidden @ params["out"])
        return -jnp.mean(jnp.take_along_axis(scores, labels[rows, None], axis=1))

    def train(tx, key, judges):
        first, second, order = jax.random.split(key, 3)
        kernels = jax.random.normal(first, (64, 32)) / 8, jax.random.normal(second, (32, 10)) / 32**0.5
        params = {"in": kernels[0], "shift": jnp.zeros(32), "out": kernels[1]}

        def step(carry, rows):
            params, state = carry
            loss, grads = jax.value_and_grad(loss_fn)(params, rows)
            updates, state = tx.update(grads, state, params)
            return (gx.apply_updates(params, updates), state), loss

        batches = jax.random.choice(order, jnp.asarray(seen), (INNER, 64))
        (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), batches)
        return loss_fn(params, judges), losses

    return lambda tx, key: train(tx, key, unseen), lambda tx, key: train(tx, key, test)


def say(text):
    """Tells the progress beside the results."""
    print(text, file=sys.stderr, flush=True)


def main():
    arguments = argparse.ArgumentParser(description="Adam's numbers, learned by gradient.")
    arguments.add_argument("--steps", type=int, default=100, help="steps of the outer descent")
    arguments.add_argument("--seeds", type=int, default=4, help="training runs in each of them")
    arguments.add_argument("--picture", default="hypergradient.png", help="where to save the picture")
    options = arguments.parse_args()

    train, final = training()
    before = gx.adam(1e-3)

    def outer_loss(free, key):
        keys = jax.random.split(key, options.seeds)
        losses, _ = jax.vmap(lambda key: train(optimizer(free), key))(keys)
        return jnp.mean(jnp.log(losses))

    outer = gx.chain(gx.clip_by_global_norm(1.0), gx.adam(schedules.cosine_decay(0.2, options.steps), b1=0.8))
    outer_step = gx.make_train_step(outer_loss, outer)
    free = free_numbers(before)
    state, path = outer.init(free), []
    say(f"1 of 3: {options.steps} steps through {options.seeds} trainings each; the first one compiles")
    for index in (bar := trange(options.steps, desc="learning to learn", unit="step")):
        free, state, loss = outer_step(free, state, jax.random.key(index))
        path.append(float(jnp.exp(loss)))
        bar.set_postfix(loss=f"{path[-1]:.3f}", rate=f"{jnp.exp(free['learning_rate']):.2g}")
    after = jax.tree.map(float, optimizer(free))

    # Beside it, what can be had by trying: the best of a few learning rates.
    say(f"2 of 3: 11 learning rates, {options.seeds} trainings each")
    rates = np.logspace(-3, -0.5, 11)
    tried = gx.sweep(train, gx.adam(1.0), {"learning_rate": rates}, options.seeds, has_aux=True).best

    # All three from many seeds that were not used, on images that were not looked at.
    say("3 of 3: 16 trainings of each of the three on new images")
    transforms = {"to begin with": before, "best rate of 11": tried, "learned": after}
    results = {name: gx.sweep(final, tx, {}, range(1000, 1016), has_aux=True) for name, tx in transforms.items()}
    print(f"{'':16}{'learning_rate':>14}{'b1':>8}{'b2':>9}{'eps':>10}   loss on new images")
    for name, result in results.items():
        tx = result.tx
        numbers = f"{tx.learning_rate:14.4f}{tx.b1:8.3f}{tx.b2:9.5f}{tx.eps:10.1e}"
        print(f"{name:16}{numbers}   {result.mean:.4f} ± {result.spread:.4f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.semilogy(path, color="#0072B2", linewidth=2)
    left.set(xlabel="step of the outer descent", ylabel=f"loss after {INNER} steps", title="Adam's numbers improve")
    looks = zip(results.items(), (("#D55E00", ":"), ("#555555", "--"), ("#0072B2", "-")), strict=True)
    for (name, result), (color, dashes) in looks:
        right.semilogy(result.aux.mean(0), color=color, linestyle=dashes, linewidth=2, label=name)
    right.set(
        xlabel="step of training", ylabel="loss of the batch", title="and end beside the best rate found by trying"
    )
    right.legend(frameon=False)
    for axes in (left, right):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(options.picture, dpi=150)
    print(f"picture saved as {options.picture}")


if __name__ == "__main__":
    main()
