"""What XLA makes of a step for an H100 and a TPU v5e, none of which has to be there; see benchmarks/chips.py.

Skipped where their compilers are not installed. Figures are of one array of 20 million float32.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.chips

# They read and write each array once: parameters, gradients and state.
ELEMENTWISE = ["sgd", "momentum", "adam", "adamw", "lion", "adagrad", "adadelta", "adamax", "nadam", "radam", "amsgrad"]
ELEMENTWISE += [
    "rmsprop",
    "yogi",
    "adabelief",
    "ademamix",
    "schedule_free_adamw",
    "accumulate 8",
    "adamw, bfloat16",
    "adan",
]
OTHERS = ["clip + adamw", "lamb", "skip nonfinite, input", "adamw, 8 bits"]


@pytest.fixture(scope="module", params=["h100", "tpu-v5e"])
def target(request):
    """A chip whose compiler is installed."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import chips
    finally:
        sys.path.remove(str(ROOT))
    if not chips.is_there(request.param):
        reason = (
            "300 MB that a test run does not require; `.ci/run` installs both compilers where it can, and runs this"
        )
        pytest.skip(f"the compiler for {request.param} is not installed: {reason}")  # nothing to compile with
    return request.param


@pytest.fixture(scope="module")
def steps(target, tmp_path_factory):
    """The target, and for each optimizer what was measured."""
    file = tmp_path_factory.mktemp("chips") / "figures.json"
    found = _measured("benchmarks", target, file, "--trees", "flat", "--optimizers", *ELEMENTWISE, *OTHERS)
    return target, {row["optimizer"]: row for row in found["rows"]}


def _measured(module, target, file, *options):
    """What a benchmark writes down, in a process that compiles for this chip alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    command = [sys.executable, "-m", module, "--target", target, "--json", str(file), *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(file.read_text())


def test_elementwise_optimizers_move_the_least_bytes_and_keep_nothing(steps):
    _, rows = steps
    for name in ELEMENTWISE:
        ours = rows[name]["ours"]
        assert ours["moved"] < ours["least"] + 1e6, name
        assert ours["temporary"] < 1e6, name


def test_nothing_moves_or_keeps_more_than_optax(steps):
    _, rows = steps
    for name, row in rows.items():
        if "theirs" in row:
            assert row["ours"]["moved"] < row["theirs"]["moved"] + 1e6, name
            assert row["ours"]["temporary"] < row["theirs"]["temporary"] + 1e6, name


def test_scalars_of_a_step_take_few_kernels(steps):
    target, rows = steps
    if target == "h100":
        # One for each bias correction, and one for the arrays.
        assert rows["adamw"]["ours"]["kernels"] == 3
        assert rows["lion"]["ours"]["kernels"] == 1
        for name in ("adam", "adamw", "nadam", "amsgrad", "lion", "schedule_free_adamw", "adan"):
            assert rows[name]["ours"]["kernels"] <= rows[name]["theirs"]["kernels"], name


def test_clipping_and_looking_for_nan_read_the_gradients_once_more(steps):
    target, rows = steps
    if target == "h100":
        plain = rows["adamw"]["ours"]["moved"]
        for name in ("clip + adamw", "skip nonfinite, input"):
            assert rows[name]["ours"]["moved"] < plain + 4 * 20e6 + 1e6, name


def test_codes_in_8_bits_are_written_in_two_passes_and_nothing_is_kept_in_float32(steps):
    target, rows = steps
    ours = rows["adamw, 8 bits"]["ours"]
    assert ours["temporary"] < 1e6
    if target == "h100":  # the second pass reads the gradients and both moments once more
        assert ours["moved"] < ours["least"] + 6 * 20e6 + 1e6


def test_bytes_of_the_atlas_are_as_they_are_measured(target, tmp_path):
    names = ["adamw", "lamb", "muon"]
    stored = json.loads((ROOT / "benchmarks" / "atlas_bytes.json").read_text())["steps"]
    found = _measured("benchmarks.atlas_bytes", target, tmp_path / "figures.json", "--optimizers", *names)["steps"]
    for name in names:
        assert found[name][target] == pytest.approx(stored[name][target], rel=0.05, abs=4096), name


MATRIX = """
import sys
from benchmarks import chips
chips.prepare(sys.argv[1])
import jax
import gradtx as gx
device, params = chips.device_of(sys.argv[1]), jax.ShapeDtypeStruct((8192, 8192), "float32")
"""


def _of_a_matrix(target, program):
    """The numbers that a program prints, which begins with `MATRIX`."""
    command = [sys.executable, "-c", MATRIX + program, target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(word) for word in done.stdout.split()]


def test_what_is_kept_for_the_next_step_would_be_copied_without_the_trick(target):
    """When this fails, XLA writes it in place by itself, and `lag._written_over` can go."""
    (moved,) = _of_a_matrix(
        target,
        """
from gradtx._primitives import lag
lag._written_over = lag._second
print(chips.measured(gx.adan(1e-3), params, device).moved / params.size)
""",
    )
    assert moved > 47.9


def test_a_train_step_within_a_window_touches_neither_parameters_nor_moments(target):
    at_rest, moved, temporary = _of_a_matrix(
        target,
        """
step = chips.measured(gx.accumulate_gradients(gx.adamw(1e-3), 8), params, device, whole=True)
print(*(x / params.size for x in (step.at_rest, step.moved, step.temporary)))
""",
    )
    assert at_rest < 12.01  # the gradient and the mean are read, the mean is written
    assert moved < 40.01
    assert temporary < 0.01
