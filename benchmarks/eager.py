"""How long `update` takes outside `jax.jit`, and through `gradtx.compiled`.

python -m benchmarks.eager
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import jax
import optax

import gradtx as gx
from benchmarks.measure import filled, in_turns, ratio
from benchmarks.trees import TREES, abstract


def _going(tx: Any, params: Any, grads: Any) -> Callable[[], None]:
    state = tx.init(params)

    def once() -> None:
        nonlocal state
        _, state = jax.block_until_ready(tx.update(grads, state, params))

    return once


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.eager", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trees", nargs="+", default=["transformer"], choices=TREES)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for tree in options.trees:
        params = filled(abstract(tree))
        runs = {
            "optax.adam": _going(optax.adam(1e-3), params, params),
            "gradtx.adam": _going(gx.adam(1e-3), params, params),
            "gradtx.compiled(gradtx.adam)": _going(gx.compiled(gx.adam(1e-3)), params, params),
        }
        times = in_turns(runs, options.rounds)
        print(f"{tree}: {len(jax.tree.leaves(params)):,} leaves, update only, not compiled by the caller")
        for name, found in times.items():
            beside = "{:.2f} ({:.2f}-{:.2f}) of Optax".format(*ratio(found, times["optax.adam"]))
            print(f"  {name:25s} {1e3 * statistics.median(found):8.2f} ms  {beside}")


if __name__ == "__main__":
    main()
