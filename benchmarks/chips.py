"""A step as it is compiled for a chip that is not there: bytes moved, temporary bytes, kernels.

XLA's compilers for GPUs and TPUs come as packages, and compile for a description of the chip. What they make of a step
does not depend on the weather, so here is no time but that of compiling.

    pip install "jax[tpu]"                                                             # tpu-v5e
    pip install --no-deps jax-cuda12-plugin jax-cuda12-pjrt nvidia-cuda-nvcc-cu12      # h100, of the version of jaxlib
"""

import importlib.util
import os
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import hlo

TARGETS = ("h100", "tpu-v5e")

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84929347584
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
runtime_version { major: 12 minor: 8 patch: 0 }
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def is_there(target: str) -> bool:
    """Whether the compiler for a chip is installed."""
    if target == "h100":
        return importlib.util.find_spec("jax_cuda12_plugin") is not None and (_nvcc() / "bin").is_dir()
    return importlib.util.find_spec("libtpu") is not None


def prepare(target: str) -> None:
    """Sets the environment that the compiler reads; before JAX is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    if target == "cpu":
        return
    if target == "h100":
        os.environ["PATH"] = f"{_nvcc() / 'bin'}{os.pathsep}{os.environ['PATH']}"
        options = f"--xla_gpu_autotune_level=0 --xla_gpu_cuda_data_dir={_nvcc()}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {options}"
    else:
        os.environ |= {
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-4",
            "TPU_WORKER_HOSTNAMES": "localhost",
        }


def _nvcc() -> Path:
    return Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cuda_nvcc"


def device_of(target: str) -> Any:
    """The description of one chip."""
    from jax.experimental import topologies

    if target == "h100":
        description = topologies.get_topology_desc(
            platform="cuda", topology_name="h100", target_config=_H100, topology="1x1x1"
        )
    else:
        description = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    return description.devices[0]


class Step(NamedTuple):
    """A step, compiled for a chip.

    Attributes:
        moved: bytes that all kernels read and write; of branches the one that moves most, of loops with an end that
            depends on data one turn.
        at_rest: the same with the branches that move least, and no turn of such loops.
        temporary: bytes allocated in between.
        kernels: how many there are, those of all branches among them.
        least: bytes of each input that is read and of each output that is no input, once.
        seconds: of tracing, lowering and compiling.
    """

    moved: int
    at_rest: int
    temporary: int
    kernels: int
    least: int
    seconds: float


def compiled(step: Callable[..., Any], arguments: Any, device: Any, donated: tuple[int, ...] = ()) -> Step:
    """The step for abstract arguments."""
    import jax
    from jax.sharding import SingleDeviceSharding

    place = SingleDeviceSharding(device)
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), arguments)
    jax.clear_caches()
    begin = time.perf_counter()
    traced = jax.jit(step, donate_argnums=donated).trace(*placed)
    program = traced.lower().compile()
    seconds = time.perf_counter() - begin
    text, memory = hlo.parse(program.as_text() or ""), program.memory_analysis()
    assert memory is not None
    return Step(
        moved=hlo.moved(text, max),
        at_rest=hlo.moved(text, min),
        temporary=memory.temp_size_in_bytes,
        kernels=hlo.kernels(text),
        least=_least(traced.jaxpr.jaxpr),
        seconds=seconds,
    )


def _least(program: Any) -> int:
    from jax.interpreters.partial_eval import dce_jaxpr

    computed = [x not in program.invars for x in program.outvars]
    _, used = dce_jaxpr(program, computed)
    read = [x.aval for x, is_used in zip(program.invars, used, strict=True) if is_used]
    written = [x.aval for x, is_computed in zip(program.outvars, computed, strict=True) if is_computed]
    return sum(x.size * x.dtype.itemsize for x in (*read, *written))


def measured(
    tx: Any, params: Any, device: Any, asks: tuple[str, ...] = (), grads: Any = None, whole: bool = False
) -> Step:
    """The donated step of a transform: updates, and parameters after them.

    Args:
        tx: a transform of gradtx or of Optax.
        params: abstract arrays.
        device: as of `device_of`.
        asks: names of the extra arguments that it takes.
        grads: abstract arrays; those of the parameters by default.
        whole: whether the step is that of `make_train_step`, which has the extra arguments itself.
    """
    import jax

    from benchmarks.measure import training_step, whole_step

    given = {name: x for name, x in extras().items() if name in asks}
    step = whole_step(tx) if whole else training_step(tx, **given)
    state = jax.eval_shape(tx.init, params)
    return compiled(step, (params, state, params if grads is None else grads), device, donated=(0, 1))


def extras() -> dict[str, Any]:
    """What transforms may ask for, by name."""
    import jax

    from benchmarks.measure import bowl, slope

    return {"grad_fn": slope, "value_fn": bowl, "value": 1.0, "key": jax.random.key(0)}


def table(options: Any) -> list[dict[str, Any]]:
    """Prints a row for each tree and optimizer, and returns what it prints."""
    import jax
    import jax.numpy as jnp

    import gradtx as gx
    from benchmarks.optimizers import every
    from benchmarks.trees import TREES, abstract

    device, rows = device_of(options.target), []
    print(f"{options.target}: {device.device_kind}, jax {jax.__version__}, {options.dtype}")
    for tree in options.trees or TREES:
        params = abstract(tree, jnp.dtype(options.dtype))
        size = gx.tree.size(params)
        print(f"\n{tree}: {len(jax.tree.leaves(params)):,} leaves, {size / 1e6:.1f} million parameters")
        print(_line(["", "bytes", "at rest", "Optax", "least", "temporary", "Optax", "kernels", "Optax", "compile"]))
        pairs = every()
        for name in options.optimizers or pairs:
            pair = pairs[name]
            ours, theirs = (
                None if make is None else measured(make(), params, device, asks, whole=whole)
                for make, asks, whole in (
                    (pair.ours, tuple(extras()), pair.whole),  # what it does not take is ignored
                    (pair.theirs, ("grad_fn",) if pair.grad_fn else (), False),
                )
            )
            assert ours is not None
            rows.append({"tree": tree, "optimizer": name, "ours": ours._asdict()})
            if theirs is not None:
                rows[-1]["theirs"] = theirs._asdict()
            print(_line([name, *_cells(ours, theirs, size)]), flush=True)
    return rows


def _cells(ours: Step, theirs: Step | None, size: int) -> list[str]:
    def both(form: Callable[[Step], str]) -> list[str]:
        return [form(ours), form(theirs) if theirs else ""]

    moved = both(lambda step: f"{step.moved / size:.1f}")
    cells = [moved[0], f"{ours.at_rest / size:.1f}", moved[1], f"{ours.least / size:.1f}"]
    cells += both(lambda step: f"{step.temporary / size:.1f}") + both(lambda step: str(step.kernels))
    return [*cells, f"{ours.seconds / theirs.seconds:.2f}" if theirs else f"{ours.seconds:.1f} s"]


def _line(cells: list[str]) -> str:
    return cells[0].ljust(32) + "".join(cell.rjust(10) for cell in cells[1:])
