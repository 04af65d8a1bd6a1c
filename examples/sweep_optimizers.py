"""Four optimizers, each at many learning rates and from several seeds: which one, and how carefully must it be set?

    python examples/sweep_optimizers.py

Each optimizer's sweep is one compiled program: `gx.sweep` maps the training function over the optimizer's own number,
its learning rate, and over random keys. A small perceptron learns the digits that come with scikit-learn; what counts
is the loss on images that it has not seen. Prints a table, and saves the picture.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gradtx as gx
from gradtx import plot

OPTIMIZERS = {
    "adam": gx.adam(1.0),
    "rmsprop": gx.rmsprop(1.0),
    "sgd, momentum 0.9": gx.sgd(1.0, momentum=0.9),
    "lion": gx.lion(1.0),
}


def training(steps):
    """The training function: optimizer and random key to the loss on unseen images, and the part that is right."""
    pixels, targets = load_digits(return_X_y=True)
    seen, unseen = train_test_split(np.arange(len(targets)), test_size=0.2, random_state=0, stratify=targets)
    images, labels = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(targets)

    def scores(params, x):
        hidden, out = params
        x = jax.nn.relu(x @ hidden["kernel"] + hidden["bias"])
        return jax.nn.log_softmax(x @ out["kernel"] + out["bias"])

    def loss_fn(params, rows):
        return -jnp.mean(jnp.take_along_axis(scores(params, images[rows]), labels[rows, None], axis=1))

    def layer(key, inputs, outputs):
        kernel = jax.random.normal(key, (inputs, outputs)) * (2 / inputs) ** 0.5
        return {"kernel": kernel, "bias": jnp.zeros(outputs)}

    def train(tx, key):
        first, second, order = jax.random.split(key, 3)
        params = [layer(first, 64, 32), layer(second, 32, 10)]
        batches = jax.random.choice(order, jnp.asarray(seen), (steps, 128))

        def step(carry, rows):
            params, state = carry
            updates, state = tx.update(jax.grad(loss_fn)(params, rows), state, params)
            return (gx.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), batches)
        right = jnp.argmax(scores(params, images[unseen]), axis=1) == labels[unseen]
        return loss_fn(params, unseen), jnp.mean(right)

    return train


def main():
    arguments = argparse.ArgumentParser(description="Which optimizer, at which learning rate?")
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--rates", type=int, default=25, help="how many learning rates, from 0.0001 to 10")
    arguments.add_argument("--seeds", type=int, default=4)
    arguments.add_argument("--picture", default="sweep_optimizers.png", help="where to save the picture")
    options = arguments.parse_args()

    train, began = training(options.steps), time.perf_counter()
    rates = np.asarray([float(f"{rate:.2g}") for rate in np.logspace(-4, 1, options.rates)])
    results = {}
    for name, tx in OPTIMIZERS.items():
        # In a few chunks, so that there is some progress to show.
        chunk = max(1, options.rates * options.seeds // 4)
        results[name] = gx.sweep(train, tx, {"learning_rate": rates}, options.seeds, has_aux=True, chunk=chunk)
    runs = sum(result.losses.size for result in results.values())
    print(f"{runs} trainings of {options.steps} steps in {time.perf_counter() - began:.0f} s\n")

    header = f"{'mean loss':>11}{'lowest':>9}{'highest':>9}{'accuracy':>10}   less than twice that loss"
    print(f"{'optimizer':18}{'best rate':>11}{header}")
    for name, result in results.items():
        at = int(np.flatnonzero(rates == result.best_numbers["learning_rate"])[0])
        good = rates[np.nan_to_num(result.mean, nan=np.inf) < 2 * result.mean[at]]
        losses = "".join(f"{x[at]:9.4f}" for x in (result.mean, result.lowest, result.highest))
        found = f"{rates[at]:11.4g}  {losses}{result.aux[at].mean():10.1%}"
        print(f"{name:18}{found}   from {good.min():.2g} to {good.max():.2g}")
    print(f"\nthe best of all: {min(results.values(), key=lambda result: result.mean.min()).best}")

    figure = plot.sweep(results)
    figure.axes[0].set_ylabel("loss on unseen images")
    figure.savefig(options.picture, dpi=150)
    print(f"picture saved as {options.picture}")


if __name__ == "__main__":
    main()
