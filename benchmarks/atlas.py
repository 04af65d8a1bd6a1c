"""Final loss against learning rate, for every named optimizer, on one small vision and one small language task.

    python -m benchmarks.atlas [--optimizers adam ...] --json benchmarks/atlas.json

Equal budgets: the same steps, batches, starts and constant rates for all, each rate from the same seeds, in one program
by `vmap`. What has no rate runs once for each seed. The loss is the mean over the last tenth of the steps. What is in
the file already and not asked for is kept.
"""

import argparse
import inspect
import json
import math
import platform
import time
from functools import partial
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

ONE_BY_ONE = ("kl_shampoo", "shampoo", "soap")
"""What decomposes matrices at some steps: under `vmap` it would do so at each."""
PER_EXAMPLE = ("dpsgd",)
"""What takes the gradients of single examples."""


def rates_of(name: str) -> list[float]:
    """The learning rates that are tried: none for what has none."""
    return RATES if "learning_rate" in inspect.signature(getattr(gx, name)).parameters else []


def made(name: str, rate: Any) -> gx.GradientTransformation:
    """The optimizer at this rate, which is None for what has none."""
    given = {} if rate is None else {"learning_rate": rate}
    inner = {"inner": gx.sgd(rate)} if name == "schedule_free" else {}
    return getattr(gx, name)(**given, **inner, **EXAMPLES.get(name, {}))


def stepper(name: str, tx: gx.GradientTransformation, loss_fn: Any) -> Any:
    """A train step; with a gradient for each example where the optimizer asks for them."""
    if name not in PER_EXAMPLE:
        return gx.make_train_step(loss_fn, tx, donate=False)

    def step(params, state, *batch, key):
        one_by_one = jax.tree.map(lambda x: x[:, None], batch)
        losses, grads = jax.vmap(jax.value_and_grad(loss_fn), (None, *(0 for _ in batch)))(params, *one_by_one)
        updates, state = tx.update(grads, state, params, key=key)
        return gx.apply_updates(params, updates), state, jnp.mean(losses)

    return step


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


def losses_of(name: str, task: str, rates: list[float] | None = None) -> np.ndarray:
    """The final loss for each rate and seed; one row for what has no rate."""
    make, loss_fn, batches = TASKS[task]
    data = jax.tree.map(lambda *xs: jnp.stack(xs), *(batches(STEPS, seed) for seed in range(SEEDS)))
    keys = jax.random.split(jax.random.key(0), SEEDS)
    rates = rates_of(name) if rates is None else rates

    def run(rate, key, data):
        tx = made(name, rate)
        step, params = stepper(name, tx, loss_fn), make(key)

        def one(carry, item):
            index, batch = item
            params, state, loss = step(*carry, *batch, key=jax.random.fold_in(key, index))
            return (params, state), loss

        _, losses = jax.lax.scan(one, (params, tx.init(params)), (jnp.arange(STEPS), data))
        return jnp.mean(losses[-STEPS // 10 :])

    def over_seeds(rate):
        if name in ONE_BY_ONE:
            return jax.lax.map(lambda item: run(rate, *item), (keys, data))
        return jax.vmap(run, (None, 0, 0))(rate, keys, data)

    if not rates:
        return np.asarray(jax.jit(lambda: over_seeds(None))(), float)[None]
    over = partial(jax.lax.map, over_seeds) if name in ONE_BY_ONE else jax.vmap(over_seeds)
    return np.asarray(jax.jit(over)(jnp.asarray(rates)), float)


def main():
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--optimizers", nargs="+", default=optimizers())
    arguments.add_argument("--json", type=Path, required=True)
    options = arguments.parse_args()
    stored: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {"losses": {}}
    stored |= {"steps": STEPS, "rates": RATES, "seeds": SEEDS, "device": jax.devices()[0].platform}
    for name in options.optimizers:
        began = time.perf_counter()
        found = {task: losses_of(name, task) for task in TASKS}
        stored["losses"][name] = {
            task: [[float(f"{x:.4g}") if math.isfinite(x) else None for x in row] for row in losses]
            for task, losses in found.items()
        }
        stored.setdefault("measured", {})[name] = {"date": time.strftime("%Y-%m-%d"), **versions()}
        best = {
            task: np.nanmin(np.where(np.isfinite(losses), losses, np.nan).mean(1)) for task, losses in found.items()
        }
        told = ", ".join(f"{task} {loss:.3f}" for task, loss in best.items())
        print(f"{name}: {told}, {time.perf_counter() - began:.0f} s", flush=True)
        write(options.json, stored)


def versions() -> dict[str, str]:
    """Of what decides the figures: the letters are those of Python's own library."""
    return {"jax": jax.__version__, "python": platform.python_version()}


def write(path: Path, stored: dict[str, Any]) -> None:
    """A line for each optimizer, so that a change can be read."""
    head = {key: x for key, x in stored.items() if key not in ("measured", "losses")}
    parts = [f'"{key}": {json.dumps(x)}' for key, x in head.items()]
    for key in ("measured", "losses"):
        rows = ",\n".join(f'  "{name}": {json.dumps(x)}' for name, x in sorted(stored[key].items()))
        parts.append(f'"{key}": {{\n{rows}\n }}')
    path.write_text("{\n " + ",\n ".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
