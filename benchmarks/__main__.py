"""Steps of gradtx and of Optax side by side, and against what the memory allows.

    python -m benchmarks                              # the table, on this machine
    python -m benchmarks --single-pass                # with one pass over the memory on a CPU
    python -m benchmarks --trees flat --optimizers adam lion --rounds 30 --json result.json

For each tree and optimizer the donated, compiled step of both takes turns. "ms" are medians; "ratio" is that of gradtx
to Optax, with the quartiles of the ratios of single rounds; "limit" is gradtx's time over that of the fewest bytes the
step must move, at the bandwidth of a triad `a + 2 b` measured in the same process. Bytes are per parameter, by the
compiler's account. Nothing is asserted: what does not depend on the machine is in `tests/test_compiled.py`.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from typing import Any


def main() -> None:
    """The command line."""
    options = _options()
    import gradtx as gx

    if options.single_pass:
        gx.single_pass_cpu()
    import jax
    import jax.numpy as jnp
    import optax

    from benchmarks.measure import bandwidth
    from benchmarks.optimizers import PAIRS
    from benchmarks.trees import TREES, abstract

    speed = bandwidth()
    device = jax.devices()[0]
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{device.platform} {device.device_kind}",
        "machine": f"{platform.machine()}, {len(_cores())} cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "optax": optax.__version__},
        "single_pass": options.single_pass,
        "triad_gb_per_s": round(speed / 1e9, 1),
    }
    print(", ".join(f"{key}: {value}" for key, value in about.items()))
    rows = []
    for tree in options.trees or TREES:
        params = abstract(tree, jnp.dtype(options.dtype))
        leaves, size = len(jax.tree.leaves(params)), gx.tree.size(params)
        print(f"\n{tree}: {leaves:,} leaves, {size / 1e6:.1f} million parameters, {options.dtype}")
        print(_line(_HEADER))
        for name in options.optimizers or PAIRS:
            row = _measured(PAIRS[name], params, speed, options.rounds)
            rows.append({"tree": tree, "dtype": options.dtype, "optimizer": name, **row})
            print(_line(_cells(name, row)), flush=True)
    imports = _import_seconds(options.rounds)
    print("\nseconds to import beyond jax: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in imports.items()))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**about, "imports": imports, "rows": rows}, file, indent=1)


def _measured(pair: Any, params: Any, speed: float, rounds: int) -> dict[str, Any]:
    import gradtx as gx
    from benchmarks.measure import in_turns, ratio, step_of

    ours = pair.ours()
    steps = {"ours": step_of(ours, params, pair.grad_fn)}
    if pair.theirs is not None:
        steps["theirs"] = step_of(pair.theirs(), params, pair.grad_fn)
    times = in_turns(steps, params, rounds)
    size = gx.tree.size(params)
    fewest = 3 * gx.tree.nbytes(params) + 2 * steps["ours"].state
    row = {
        name: {
            "ms": 1e3 * statistics.median(times[name]),
            "bytes": step.moved / size,
            "temporary": step.temporary / size,
            "fusions": step.fusions,
            "trace_lower_compile_s": step.seconds,
        }
        for name, step in steps.items()
    }
    row["limit"] = statistics.median(times["ours"]) / (fewest / speed)
    if "theirs" in times:
        row["ratio"] = ratio(times["ours"], times["theirs"])
    return row


_HEADER = [
    "",
    "ms",
    "Optax",
    "ratio",
    "limit",
    "bytes",
    "Optax",
    "temporary",
    "Optax",
    "fusions",
    "Optax",
    "compile s",
    "Optax",
]


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    ours, theirs = row["ours"], row.get("theirs")
    cells = [name, f"{ours['ms']:.2f}", f"{theirs['ms']:.2f}" if theirs else ""]
    cells += ["{:.2f} ({:.2f}-{:.2f})".format(*row["ratio"]) if theirs else "", f"{row['limit']:.2f}"]
    for key, form in (("bytes", "{:.0f}"), ("temporary", "{:.1f}"), ("fusions", "{}")):
        cells += [form.format(ours[key]), form.format(theirs[key]) if theirs else ""]
    return [*cells, *(f"{sum(side['trace_lower_compile_s']):.2f}" if side else "" for side in (ours, theirs))]


def _line(cells: list[str]) -> str:
    widths = [20, 9, 9, 20, 8, 8, 8, 11, 8, 9, 8, 11, 8]
    return "".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])


def _import_seconds(rounds: int) -> dict[str, float]:
    """What an import takes in a fresh interpreter, less that of jax: medians of runs in turns."""
    times: dict[str, list[float]] = {"jax": [], "gradtx": [], "optax": []}
    for _ in range(min(rounds, 5)):
        for name, found in times.items():
            code = f"import time; t = time.perf_counter(); import jax, {name}; print(time.perf_counter() - t)"
            found.append(float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    median = {name: statistics.median(found) for name, found in times.items()}
    return {name: median[name] - median["jax"] for name in ("gradtx", "optax")}


def _cores() -> set[int]:
    import os

    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trees", nargs="+", help="flat, transformer, resnet, small; all by default")
    parser.add_argument("--optimizers", nargs="+", help="names in benchmarks/optimizers.py; all by default")
    parser.add_argument("--dtype", default="float32", help="of parameters and gradients")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--single-pass", action="store_true", help="call gradtx.single_pass_cpu() first")
    parser.add_argument("--json", help="a file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
