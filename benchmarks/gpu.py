"""Steps on the GPU that is there, beside Optax and PyTorch's fused AdamW, and beside a copy.

    python -m benchmarks.gpu --seconds 330 --json gpu.json

Each row is the time of a donated step: medians of rounds in turns, each of several steps, waited for at the end.
"of copy" is the rate at which the least bytes of a step (each input and each output once) went by, over the rate of a
copy of an array of 2 GB. `accumulate 8` is the mean over a window. What does not begin before `--seconds` is left out.
"""

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch wants memory too

import jax
import jax.numpy as jnp

import gradtx as gx
from benchmarks import trees
from benchmarks.measure import filled, training_step
from benchmarks.optimizers import PAIRS

FLAT = ["adam", "adamw", "clip + adamw", "lion", "schedule_free_adamw", "accumulate 8", "adamw, bfloat16", "lamb"]
ROWS = {
    "one array": [*FLAT, "adafactor", "skip nonfinite"],
    "small": ["adamw", "bucketed adamw", "clip + bucketed adamw"],
    "transformer": ["adamw", "clip + adamw", "lion", "schedule_free_adamw", "accumulate 8", "lamb", "adafactor"],
}
STEPS = 8  # a window of `accumulate 8`


def _shapes(tree: str) -> Any:
    if tree == "one array":
        return {"all": (500_000_000,)}
    if tree == "small":
        return trees.small()
    width, layers, words = 2048, 24, 50257
    block = {
        **dict.fromkeys(("query", "key", "value", "out"), (width, width)),
        "up": (width, 4 * width),
        "down": (4 * width, width),
        **dict.fromkeys(("scale_1", "bias_1", "scale_2", "bias_2", "bias_3"), (width,)),
        "bias_4": (4 * width,),
    }
    return {"embedding": (words, width), "layers": [block] * layers}


def _going(tx: Any, params: Any, grads: Any) -> Callable[[], None]:
    """A function that makes `STEPS` steps and waits for them."""
    own = jax.tree.map(jnp.copy, params)
    state = jax.tree.map(jnp.copy, jax.jit(tx.init)(own))
    run = jax.jit(training_step(tx), donate_argnums=(0, 1)).lower(own, state, grads).compile()
    at = (own, state)

    def once() -> None:
        nonlocal at
        for _ in range(STEPS):
            at = run(*at, grads)
        jax.block_until_ready(at)

    return once


def _torch_milliseconds(params: Any, rounds: int) -> float | None:
    """The time of a step of PyTorch's fused AdamW, where it is installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    found = _milliseconds({"torch": _torch_going(torch, params)}, rounds)["torch"]
    torch.cuda.empty_cache()
    return found


def _torch_going(torch: Any, params: Any) -> Callable[[], None]:
    leaves = [torch.full(p.shape, 0.01, device="cuda", requires_grad=True) for p in jax.tree.leaves(params)]
    for leaf in leaves:
        leaf.grad = torch.full_like(leaf, 0.01)
    optimizer = torch.optim.AdamW(leaves, lr=1e-3, fused=True)

    def once() -> None:
        for _ in range(STEPS):
            optimizer.step()
        torch.cuda.synchronize()

    return once


def _milliseconds(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(-1, rounds):
        for name, once in runs.items():
            begin = time.perf_counter()
            once()
            if round_ >= 0:
                times[name].append(time.perf_counter() - begin)
    return {name: 1e3 * statistics.median(found) / STEPS for name, found in times.items()}


def _copy_rate() -> float:
    """Bytes per second of a copy."""
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros(500_000_000)

    def once() -> None:
        nonlocal x
        for _ in range(STEPS):
            x = copy(x)
        x.block_until_ready()

    return 2 * x.nbytes / (1e-3 * _milliseconds({"copy": once}, 10)["copy"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trees", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    begin, rows = time.perf_counter(), []
    rate = _copy_rate()
    about = {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "copy_gb_per_s": round(rate / 1e9)}
    print(about, flush=True)
    for tree, names in ((tree, ROWS[tree]) for tree in options.trees):
        params = filled(
            jax.tree.map(
                lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
                _shapes(tree),
                is_leaf=lambda x: isinstance(x, tuple),
            )
        )
        torch_ms = _torch_milliseconds(params, options.rounds)
        print(
            f"\n{tree}: {gx.tree.size(params) / 1e6:.1f} million parameters; PyTorch's AdamW {torch_ms} ms", flush=True
        )
        for name in names:
            if time.perf_counter() - begin > options.seconds:
                print(f"{name}: left out")
                continue
            pair = PAIRS[name]
            makers = {"ours": pair.ours} | ({"theirs": pair.theirs} if pair.theirs else {})
            runs = {who: _going(make(), params, params) for who, make in makers.items()}
            found = _milliseconds(runs, options.rounds)
            del runs  # their memory is needed for the next
            state = gx.tree.nbytes(jax.eval_shape(pair.ours().init, params))
            least = 3 * gx.tree.nbytes(params) + 2 * state
            row = {"tree": tree, "optimizer": name, **found, "of_copy": least / (1e-3 * found["ours"]) / rate}
            rows.append(row)
            theirs = f"Optax {found['theirs']:.3f}, ratio {found['ours'] / found['theirs']:.2f}" if pair.theirs else ""
            print(f"{name:24s} {found['ours']:.3f} ms, {theirs}, of copy {row['of_copy']:.2f}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**about, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
