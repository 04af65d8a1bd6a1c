"""Does it train? Matrix optimizers beside AdamW, each with the same steps, the same rates to choose from, three seeds.

    python -m benchmarks.training [--tasks transformer mlp cnn] [--optimizers adamw muon ...] [--json FILE]
    python -m benchmarks.training --plot training.png --json FILE    draws what is stored

A character transformer on the source of Python's own library, and a perceptron and a convolutional network on the
digits of scikit-learn. The learning rate warms up for a twentieth of the steps and falls by a cosine to a tenth; rates
are doubled from the lowest to the highest; shown is the mean over the seeds of the loss at the end, at the best rate.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx
from gradtx import schedules
from gradtx._inspection.sweep_result import SweepResult

ALPHABET, CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 128, 48, 64, 4, 2, 16
STEPS = {"transformer": 200, "mlp": 500, "cnn": 300}
RATES, SEEDS = [2.0**k * 1e-3 for k in range(1, 6)], 3
END = 20
"""So many steps at the end whose losses are averaged."""

CONVOLUTIONS = gx.by_path({"**/conv*/kernel": gx.matrix((-4, -3, -2), -1), "dense/kernel": gx.matrix(), "**": "rest"})


def optimizers(rate, axes):
    """Each with its usual numbers; weight decay is 0 everywhere."""
    rest = {"weight_decay": 0.0, "axes": axes}
    return {
        "adamw": lambda: gx.adamw(rate, 0.9, 0.95, weight_decay=0.0),
        "adamw, 8 bits": lambda: gx.store(gx.adamw(rate, 0.9, 0.95, weight_decay=0.0), gx.codecs.float8),
        "lion": lambda: gx.lion(rate * 0.1, weight_decay=0.0),
        "muon": lambda: gx.muon(rate, **rest),
        "normuon": lambda: gx.normuon(rate, **rest),
        "shampoo": lambda: gx.shampoo(rate, 0.9, 0.95, factor_decay=0.95, **rest),
        "kl_shampoo": lambda: gx.kl_shampoo(rate, every=2, **rest),
        "soap": lambda: gx.soap(rate, **rest),
        "psgd_kron": lambda: gx.psgd_kron(rate, **rest),
    }


def dense(key, inputs, outputs):
    return {"kernel": jax.random.normal(key, (inputs, outputs)) * inputs**-0.5, "bias": jnp.zeros(outputs)}


def apply(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def normed(x, scale):
    return scale * (x - jnp.mean(x, -1, keepdims=True)) * jax.lax.rsqrt(jnp.var(x, -1, keepdims=True) + 1e-6)


def transformer_params(key):
    first, place, last, *keys = jax.random.split(key, 3 + 6 * LAYERS)
    sizes = [(WIDTH, WIDTH)] * 4 + [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
    names = ("query", "key", "value", "out", "up", "down")

    def block(keys):
        layers = {name: dense(k, *size) for name, k, size in zip(names, keys, sizes, strict=True)}
        return layers | {"norm1": jnp.ones(WIDTH), "norm2": jnp.ones(WIDTH)}

    return {
        "embedding": {"kernel": 0.02 * jax.random.normal(first, (ALPHABET, WIDTH))},
        "places": 0.02 * jax.random.normal(place, (CONTEXT, WIDTH)),
        "blocks": [block(keys[6 * i : 6 * i + 6]) for i in range(LAYERS)],
        "head": dense(last, WIDTH, ALPHABET),
    }


def transformer_loss(params, batch):
    text, after = batch[:, :-1], batch[:, 1:]
    x = params["embedding"]["kernel"][text] + params["places"]
    before = jnp.tril(jnp.ones((CONTEXT, CONTEXT), bool))
    for block in params["blocks"]:
        y = normed(x, block["norm1"])
        q, k, v = (apply(block[n], y).reshape(*y.shape[:2], HEADS, -1) for n in ("query", "key", "value"))
        scores = jnp.einsum("bihd,bjhd->bhij", q, k) * (WIDTH // HEADS) ** -0.5
        weights = jax.nn.softmax(jnp.where(before, scores, -1e9))
        x = x + apply(block["out"], jnp.einsum("bhij,bjhd->bihd", weights, v).reshape(x.shape))
        x = x + apply(block["down"], jax.nn.gelu(apply(block["up"], normed(x, block["norm2"]))))
    return cross_entropy(apply(params["head"], normed(x, 1.0)), after)


def cross_entropy(scores, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), labels[..., None], -1))


def mlp_params(key):
    keys = jax.random.split(key, 3)
    sizes = [(64, 128), (128, 128), (128, 10)]
    return {n: dense(k, *size) for n, k, size in zip(("dense1", "dense2", "head"), keys, sizes, strict=True)}


def mlp_loss(params, batch):
    x = jax.nn.relu(apply(params["dense1"], batch[0]))
    return cross_entropy(apply(params["head"], jax.nn.relu(apply(params["dense2"], x))), batch[1])


def cnn_params(key):
    keys = jax.random.split(key, 4)
    kernel = lambda k, i, o: {"kernel": jax.random.normal(k, (3, 3, i, o)) * (9 * i) ** -0.5, "bias": jnp.zeros(o)}
    convolutions = {"conv1": kernel(keys[0], 1, 16), "conv2": kernel(keys[1], 16, 32)}
    return convolutions | {"dense": dense(keys[2], 128, 64), "head": dense(keys[3], 64, 10)}


def cnn_loss(params, batch):
    x = batch[0].reshape(-1, 8, 8, 1)
    for name in ("conv1", "conv2"):
        form = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, params[name]["kernel"], (2, 2), "SAME", dimension_numbers=form)
        x = jax.nn.relu(x + params[name]["bias"])
    x = jax.nn.relu(apply(params["dense"], x.reshape(len(x), -1)))
    return cross_entropy(apply(params["head"], x), batch[1])


def text_batches(steps, seed):
    """Windows of the source of Python's library."""
    specs = [importlib.util.find_spec(name) for name in sorted(sys.stdlib_module_names) if not name.startswith("_")]
    origins = [spec.origin for spec in specs if spec and spec.origin and not spec.submodule_search_locations]
    texts = [Path(origin).read_text("utf-8", "ignore") for origin in origins if origin.endswith(".py")]
    letters = np.frombuffer("".join(texts).encode("ascii", "ignore"), np.uint8).astype(np.int32)
    starts = np.random.default_rng(seed).integers(len(letters) - CONTEXT, size=(steps, BATCH, 1))
    return jnp.asarray(letters[starts + np.arange(CONTEXT + 1)])


def digit_batches(steps, seed):
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = np.random.default_rng(seed).integers(len(digits.target), size=(steps, 64))
    return jnp.asarray(digits.data[chosen] / 16, jnp.float32), jnp.asarray(digits.target[chosen], jnp.int32)


TASKS = {
    "transformer": (transformer_params, transformer_loss, text_batches, gx.matrices_by_name()),
    "mlp": (mlp_params, mlp_loss, digit_batches, gx.matrices_by_name()),
    "cnn": (cnn_params, cnn_loss, digit_batches, CONVOLUTIONS),
}


def trained(task, name, rates, seeds):
    """The loss at the end for each rate and seed, and the seconds of one run; compiled once."""
    make, loss_fn, batches, axes = TASKS[task]
    steps = STEPS[task]

    @jax.jit
    def run(rate, key, batches):
        warm = max(steps // 20, 1)
        schedule = schedules.warmup(warm, schedules.cosine_decay(rate, steps - warm, 0.1))
        tx, params = optimizers(schedule, axes)[name](), make(key)

        def step(carry, batch):
            params, state = carry
            loss, grads = jax.value_and_grad(loss_fn)(params, batch)
            updates, state = tx.update(grads, state, params)
            return (gx.apply_updates(params, updates), state), loss

        return jnp.mean(jax.lax.scan(step, (params, tx.init(params)), batches)[1][-END:])

    losses, seconds = np.zeros((len(rates), seeds)), []
    for seed in range(seeds):
        data = batches(steps, seed)
        for row, rate in enumerate(rates):
            began = time.perf_counter()
            losses[row, seed] = run(jnp.asarray(rate), jax.random.key(seed), data)
            seconds.append(time.perf_counter() - began)
    return losses, float(np.median(seconds))


def drawn(rows, path):
    """A panel for each task: the loss at the end by learning rate, with the band over the seeds."""
    from matplotlib.figure import Figure

    from gradtx import plot

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(8.0, 4.2 * len(tasks)), layout="constrained")
    for task, ax in zip(tasks, figure.subplots(len(tasks), squeeze=False)[:, 0], strict=True):
        results = {}
        for row in rows:
            if row["task"] == task:
                grid, losses = {"learning_rate": np.asarray(row["rates"])}, np.asarray(row["losses"])
                # An optimizer stands in for the one that was run: only the numbers are drawn.
                results[row["optimizer"]] = SweepResult(gx.sgd(1.0), grid, tuple(range(losses.shape[1])), losses)
        plot.sweep(results, ax)
        ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        ax.set_xticks([], minor=True)
        ax.set_title(f"{task}, {STEPS[task]} steps")
    figure.savefig(path, dpi=100)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    arguments.add_argument("--optimizers", nargs="+", choices=list(optimizers(0.1, None)), default=None)
    arguments.add_argument("--seeds", type=int, default=SEEDS)
    arguments.add_argument("--json", type=Path, default=None)
    arguments.add_argument("--plot", type=Path, default=None)
    options = arguments.parse_args()
    if options.plot:
        return drawn(json.loads(options.json.read_text()), options.plot)
    rows = []
    for task in options.tasks:
        print(f"\n{task}, {STEPS[task]} steps\n\n| optimizer | loss | rate | seconds |\n|---|---|---|---|")
        for name in options.optimizers or list(optimizers(0.1, None)):
            losses, seconds = trained(task, name, RATES, options.seeds)
            means = np.where(np.isfinite(losses), losses, np.inf).mean(1)
            best = int(np.argmin(means))
            edge = " (edge)" if best in (0, len(RATES) - 1) else ""
            spread = losses[best].std(ddof=1) if options.seeds > 1 else 0.0
            print(f"| {name} | {means[best]:.3g} ± {spread:.1g} | {RATES[best]:g}{edge} | {seconds:.1f} |", flush=True)
            rows.append(
                {"task": task, "optimizer": name, "rates": RATES, "losses": losses.tolist(), "seconds": seconds}
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return None


if __name__ == "__main__":
    main()
