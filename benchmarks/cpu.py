"""What each trick of `gradtx/_cpu` gains: the time of a step with it over that without it, in turns.

python -m benchmarks.cpu
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import gradtx as gx
from benchmarks.measure import going, in_turns, ratio, step_of
from benchmarks.trees import abstract
from gradtx import _cpu
from gradtx._core import norms


def _plain_outputs(work: Any, slots: int) -> Any:
    return work


def _plain_factors(works: Any) -> Any:
    return [work.update for work in works]


CLIPPED = gx.chain(gx.clip_by_global_norm(1.0), gx.bucketed(gx.adamw(1e-3)))
TRICKS = {
    "update from what is stored, rmsprop with Nesterov momentum": (
        "by_output",
        _plain_outputs,
        gx.rmsprop(1e-3, momentum=0.9, nesterov=True),
        "flat",
    ),
    "norms in float64, clip + sgd": (
        "norms",
        norms._scaled,
        gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(1e-3)),
        "transformer",
    ),
    "factors left to what follows, clip + bucketed adamw": ("factors_deferred", _plain_factors, CLIPPED, "small"),
}
"""The name of the function in `gradtx._cpu`, what stands in its place without it, a transform, and a tree."""


def _run(tx: Any, params: Any) -> Callable[[], None]:
    # Built anew: a transform keeps what it was built as.
    return going(step_of(tx.replace(), params), params)


def _without(name: str, plain: Any, tx: Any, params: Any) -> Callable[[], None]:
    """The same step, traced and compiled with another function in the place of a trick."""
    trick = getattr(_cpu, name)
    setattr(_cpu, name, plain)
    try:
        return _run(tx, params)
    finally:
        setattr(_cpu, name, trick)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.cpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tricks", nargs="+", default=list(TRICKS), choices=TRICKS)
    options = parser.parse_args()
    for trick in options.tricks:
        name, plain, tx, tree = TRICKS[trick]
        params = abstract(tree)
        runs = {"with": _run(tx, params), "without": _without(name, plain, tx, params)}
        times = in_turns(runs, options.rounds)
        with_it, without = (1e3 * statistics.median(times[run]) for run in runs)
        spread = "{:.2f} ({:.2f} to {:.2f})".format(*ratio(times["with"], times["without"]))
        print(f"{trick}, {tree}: {with_it:.1f} ms for {without:.1f}, {spread}")


if __name__ == "__main__":
    main()
