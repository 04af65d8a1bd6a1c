"""Steps of gradtx and of Optax side by side, and against what the memory allows.

    python -m benchmarks                              # the table, on this machine
    python -m benchmarks --single-pass                # with one pass over the memory on a CPU
    python -m benchmarks --trees flat --optimizers adam lion --rounds 30 --json result.json
    python -m benchmarks --device gpu --peers optax
    python -m benchmarks --target h100                # compiled for a chip that need not be there

For each tree and optimizer the donated, compiled step of both takes turns. "ms" are medians; "ratio" is that of gradtx
to Optax, with the quartiles of the ratios of single rounds; "torch" is PyTorch's time, where it is installed and has
the optimizer; "limit" is gradtx's time over that of the fewest bytes the step must move, at the speed of a triad
`a + 2 b` that takes its turns with them. Bytes are per parameter, by the compiler's account. Nothing is asserted: what
does not depend on the machine is in `tests/test_compiled.py`.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import chips


def main() -> None:
    """The command line."""
    options = _options()
    if options.target:
        chips.prepare(options.target)
        rows = chips.table(options)
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"target": options.target, "dtype": options.dtype, "rows": rows}, file, indent=1)
        return
    if options.device:
        os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(options.device, options.device)
    import gradtx as gx

    if options.single_pass:
        gx.single_pass_cpu()
    import jax
    import jax.numpy as jnp
    import optax

    from benchmarks.measure import TRIAD_BYTES, in_turns, triad
    from benchmarks.optimizers import PAIRS
    from benchmarks.trees import TREES, abstract

    weather = triad()
    torch = _torch() if "torch" in options.peers and jax.default_backend() == "cpu" else None
    device = jax.devices()[0]
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{device.platform} {device.device_kind}",
        "machine": f"{platform.machine()}, {len(_cores())} cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "optax": optax.__version__},
        "single_pass": options.single_pass,
        "triad_gb_per_s": round(TRIAD_BYTES / statistics.median(in_turns({"triad": weather}, 15)["triad"]) / 1e9, 1),
    }
    print(", ".join(f"{key}: {value}" for key, value in about.items()))
    rows = []
    for tree in options.trees or TREES:
        params = abstract(tree, jnp.dtype(options.dtype))
        leaves, size = len(jax.tree.leaves(params)), gx.tree.size(params)
        print(f"\n{tree}: {leaves:,} leaves, {size / 1e6:.1f} million parameters, {options.dtype}")
        print(_line(_HEADER))
        for name in options.optimizers or PAIRS:
            row = _measured(name, PAIRS[name], params, weather, options, torch)
            rows.append({"tree": tree, "dtype": options.dtype, "optimizer": name, **row})
            print(_line(_cells(name, row)), flush=True)
    imports = _import_seconds(options.rounds)
    print("\nseconds to import beyond jax: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in imports.items()))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**about, "imports": imports, "rows": rows}, file, indent=1)


def _measured(name: str, pair: Any, params: Any, weather: Any, options: argparse.Namespace, torch: Any) -> dict:
    import gradtx as gx
    from benchmarks import torch_peer
    from benchmarks.measure import TRIAD_BYTES, going, in_turns, ratio, step_of

    makers = {"ours": pair.ours}
    if pair.theirs is not None and "optax" in options.peers:
        makers["theirs"] = pair.theirs
    # Twice, the second time in the other order, and the faster counts: compiling is as noisy as running.
    order = [*makers, *reversed(makers)]
    trials = [(who, step_of(makers[who](), params, pair.grad_fn, pair.whole and who == "ours")) for who in order]
    steps = {who: min((s for w, s in trials if w == who), key=lambda s: sum(s.seconds)) for who in makers}
    runs = {who: going(step, params) for who, step in steps.items()}
    if torch is not None and (once := torch_peer.going(torch, name, params)):
        runs["torch"] = once
    times = in_turns({**runs, "triad": weather}, options.rounds)
    size = gx.tree.size(params)
    row: dict[str, Any] = {
        who: {
            "ms": 1e3 * statistics.median(times[who]),
            "bytes": step.moved / size,
            "temporary": step.temporary / size,
            "arguments": step.arguments / size,
            "outputs": step.outputs / size,
            "state": step.state / size,
            "fusions": step.fusions,
            "scalar_kernels": step.scalar_kernels,
            "trace_lower_compile_s": step.seconds,
        }
        for who, step in steps.items()
    }
    fewest = 3 * gx.tree.nbytes(params) + 2 * steps["ours"].state
    row["limit"], *_ = ratio(times["ours"], [seconds * fewest / TRIAD_BYTES for seconds in times["triad"]])
    if "theirs" in times:
        row["ratio"] = ratio(times["ours"], times["theirs"])
    if "torch" in times:
        row["torch"] = {"ms": 1e3 * statistics.median(times["torch"])}
        row["ratio_to_torch"] = ratio(times["ours"], times["torch"])
    return row


def _torch() -> Any:
    """PyTorch with as many threads as there are cores, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(len(_cores()))
    return torch


_HEADER = [
    "",
    "ms",
    "Optax",
    "ratio",
    "torch",
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
    cells += ["{:.2f} ({:.2f}-{:.2f})".format(*row["ratio"]) if theirs else ""]
    cells += [f"{row['torch']['ms']:.2f}" if "torch" in row else "", f"{row['limit']:.2f}"]
    for key, form in (("bytes", "{:.0f}"), ("temporary", "{:.1f}"), ("fusions", "{}")):
        cells += [form.format(ours[key]), form.format(theirs[key]) if theirs else ""]
    return [*cells, *(f"{sum(side['trace_lower_compile_s']):.2f}" if side else "" for side in (ours, theirs))]


def _line(cells: list[str]) -> str:
    widths = [20, 9, 9, 20, 9, 8, 8, 8, 11, 8, 9, 8, 11, 8]
    return "".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])


def _import_seconds(rounds: int) -> dict[str, float]:
    """What an import takes in a fresh interpreter, less that of jax: medians of runs in turns, with bytecode kept."""
    times: dict[str, list[float]] = {"jax": [], "gradtx": [], "optax": []}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        for round_ in range(-1, min(rounds, 7)):  # one that writes the bytecode
            for name, found in times.items():
                code = f"import time; t = time.perf_counter(); import jax, {name}; print(time.perf_counter() - t)"
                done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
                if round_ >= 0:
                    found.append(float(done.stdout))
    median = {name: statistics.median(found) for name, found in times.items()}
    return {name: median[name] - median["jax"] for name in ("gradtx", "optax")}


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trees", nargs="+", help="flat, transformer, resnet, small; all by default")
    parser.add_argument("--optimizers", nargs="+", help="names in benchmarks/optimizers.py; all by default")
    parser.add_argument("--peers", nargs="+", default=["optax", "torch"], choices=["optax", "torch"])
    parser.add_argument("--device", help="cpu or gpu; what JAX takes by default")
    parser.add_argument(
        "--target", choices=chips.TARGETS, help="a chip that need not be there; see benchmarks/chips.py"
    )
    parser.add_argument("--dtype", default="float32", help="of parameters and gradients")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--single-pass", action="store_true", help="call gradtx.single_pass_cpu() first")
    parser.add_argument("--json", help="a file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
