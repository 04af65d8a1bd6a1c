"""Bytes that a step of every named optimizer moves, on a CPU and as compiled for an H100 and a TPU v5e.

    python -m benchmarks.atlas_bytes --target cpu [--optimizers adam ...] --json benchmarks/atlas_bytes.json

The donated step of one float32 matrix, `chips.measured`: what comes in and goes out, what is allocated in between, and
how many kernels there are. The compilers for the other two targets, `h100` and `tpu-v5e`, are those of
`benchmarks/chips.py`. All optimizers have the same parameters, so that those for matrices have one too; what asks for a
loss gets half the sum of squares, whose own bytes count. What is in the file already and not asked for is kept.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import chips

TARGETS = ("cpu", *chips.TARGETS)
SHAPE, EXAMPLES_OF_BATCH = (8192, 8192), 8
PER_EXAMPLE = ("dpsgd",)
"""What takes the gradients of single examples."""

SLOW = "the compiler takes more than five minutes for its decomposition of such a matrix"
LEFT_OUT = {"tpu-v5e": dict.fromkeys(("galore_adamw", "kl_shampoo", "shampoo", "soap"), SLOW)}
"""Why an optimizer is not measured, by target."""


def named(target: str) -> list[str]:
    """The optimizers that are measured."""
    from benchmarks.named import optimizers

    return [name for name in optimizers() if name not in LEFT_OUT.get(target, {})]


def device_of(target: str) -> Any:
    """The CPU that is there, or the description of a chip."""
    import jax

    return jax.devices("cpu")[0] if target == "cpu" else chips.device_of(target)


def figures(name: str, device: Any) -> dict[str, int]:
    """Bytes and kernels of a step: all integers, of the whole matrix."""
    import jax
    import jax.numpy as jnp

    import gradtx as gx
    from benchmarks.named import example

    def matrix(*shape: int) -> Any:
        return {"kernel": jax.ShapeDtypeStruct(shape, jnp.float32)}

    tx, params = example(name), matrix(*SHAPE)
    grads = matrix(EXAMPLES_OF_BATCH, *SHAPE) if name in PER_EXAMPLE else params
    step = chips.measured(tx, params, device, tuple(chips.extras()), grads)
    kept = {key: getattr(step, key) for key in ("moved", "at_rest", "temporary", "kernels", "least")}
    return {**kept, "state": gx.tree.nbytes(jax.eval_shape(tx.init, params))}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.atlas_bytes", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--optimizers", nargs="+", help="all by default")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    chips.prepare(options.target)
    import jax

    stored: dict[str, Any] = (
        json.loads(options.json.read_text()) if options.json.exists() else {"targets": {}, "steps": {}}
    )
    stored |= {"shape": SHAPE, "examples": EXAMPLES_OF_BATCH, "dtype": "float32"}
    device = device_of(options.target)
    stored["targets"][options.target] = {"jax": jax.__version__, "date": time.strftime("%Y-%m-%d")}
    for name in options.optimizers or named(options.target):
        began = time.perf_counter()
        found = stored["steps"].setdefault(name, {})[options.target] = figures(name, device)
        size = SHAPE[0] * SHAPE[1]
        told = ", ".join(f"{key} {x if key == 'kernels' else round(x / size, 2)}" for key, x in found.items())
        print(f"{name}: {told}; {time.perf_counter() - began:.1f} s", flush=True)
        write(options.json, stored)


def write(path: Path, stored: dict[str, Any]) -> None:
    """A line for each optimizer and target, so that a change can be read."""
    head = {key: x for key, x in stored.items() if key != "steps"}
    steps = ",\n".join(
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(f"   {json.dumps(target)}: {json.dumps(found)}" for target, found in targets.items())
        + "}"
        for name, targets in sorted(stored["steps"].items())
    )
    path.write_text(json.dumps(head, indent=1).removesuffix("\n}") + f',\n "steps": {{\n{steps}}}\n}}\n')


if __name__ == "__main__":
    main()
