"""Final loss against learning rate, for every named optimizer, on one small vision and one small language task.

    python -m benchmarks.atlas [--optimizers adam ...] --json benchmarks/atlas.json

Equal budgets: the same steps, batches, starts and constant rates for all, each rate from the same seeds, in one program
by `vmap`. The loss is the mean over the last tenth of the steps. What is in the file already and not asked for is kept.
"""

import argparse
import inspect
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx
from benchmarks.named import EXAMPLES, optimizers
from benchmarks.training import ALPHABET, apply, cross_entropy, dense, digit_batches, text_batches

STEPS, SEEDS = 150, 3
RATES = [float(f"{10.0**k:.3g}") for k in np.arange(-4, 1.25, 0.5)]
WINDOW = 8

BATCHED = "decomposes matrices at some steps, and under vmap at all; see `benchmarks.training`"
LEFT_OUT = {
    **dict.fromkeys(("kl_shampoo", "shampoo", "soap"), BATCHED),
    "dpsgd": "takes gradients of single examples",
    "lbfgs": "searches along lines, for losses without noise",
    "newton_cg": "searches along lines, for losses without noise",
    "polyak_sgd": "has no learning rate of its own",
    "schedule_free": "is a wrapper",
}


def named():
    """The optimizers that are tried."""
    return [name for name in optimizers() if name not in LEFT_OUT]


def digits_params(key):
    first, second = jax.random.split(key)
    return {"dense": dense(first, 64, 32), "head": dense(second, 32, 10)}


def digits_loss(params, images, labels):
    return cross_entropy(apply(params["head"], jax.nn.relu(apply(params["dense"], images))), labels)


def letters_params(key):
    first, second, third = jax.random.split(key, 3)
    table = 0.1 * jax.random.normal(first, (ALPHABET, 8))
    return {"embedding": table, "dense": dense(second, 8 * WINDOW, 32), "head": dense(third, 32, ALPHABET)}


def letters_loss(params, before, after):
    x = params["embedding"][before].reshape(len(before), -1)
    return cross_entropy(apply(params["head"], jnp.tanh(apply(params["dense"], x))), after)


def letters_batches(steps, seed):
    text = text_batches(steps, seed)
    return text[..., :WINDOW], text[..., WINDOW]


TASKS = {
    "digits": (digits_params, digits_loss, digit_batches),
    "letters": (letters_params, letters_loss, letters_batches),
}


def losses_of(name, task):
    """The final loss for each rate and seed."""
    make, loss_fn, batches = TASKS[task]
    data = jax.tree.map(lambda *xs: jnp.stack(xs), *(batches(STEPS, seed) for seed in range(SEEDS)))
    keys = jax.random.split(jax.random.key(0), SEEDS)

    def run(rate, key, data):
        tx = getattr(gx, name)(learning_rate=rate, **EXAMPLES.get(name, {}))
        step = gx.make_train_step(loss_fn, tx, donate=False)
        params = make(key)

        def one(carry, item):
            index, batch = item
            params, state, loss = step(*carry, *batch, key=jax.random.fold_in(key, index))
            return (params, state), loss

        _, losses = jax.lax.scan(one, (params, tx.init(params)), (jnp.arange(STEPS), data))
        return jnp.mean(losses[-STEPS // 10 :])

    over = jax.vmap(jax.vmap(run, (None, 0, 0)), (0, None, None))
    return np.asarray(jax.jit(over)(jnp.asarray(RATES), keys, data), float)


def main():
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--optimizers", nargs="+", default=named())
    arguments.add_argument("--json", type=Path, required=True)
    options = arguments.parse_args()
    stored: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {"losses": {}}
    stored |= {
        "steps": STEPS,
        "rates": RATES,
        "seeds": SEEDS,
        "jax": jax.__version__,
        "device": jax.devices()[0].platform,
    }
    for name in options.optimizers:
        assert "learning_rate" in inspect.signature(getattr(gx, name)).parameters, name
        began = time.perf_counter()
        found = {task: losses_of(name, task) for task in TASKS}
        stored["losses"][name] = {
            task: [[float(f"{x:.4g}") if math.isfinite(x) else None for x in row] for row in losses]
            for task, losses in found.items()
        }
        best = {
            task: np.nanmin(np.where(np.isfinite(losses), losses, np.nan).mean(1)) for task, losses in found.items()
        }
        told = ", ".join(f"{task} {loss:.3f}" for task, loss in best.items())
        print(f"{name}: {told}, {time.perf_counter() - began:.0f} s", flush=True)
        options.json.write_text(json.dumps(stored))


if __name__ == "__main__":
    main()
