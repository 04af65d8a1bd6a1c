"""One pass over the memory on a CPU, in processes of their own: it is an option of the backend's start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import OPTIMIZERS
from single_pass import BY_NAME, updates
from test_compiled import COMPOSED

TESTS = Path(__file__).parent

# How many bytes more than it must a step moves.
MORE = {
    "clip + adamw": 8,  # the norm reads the gradients before, and in a branch for overflow once more
    "accumulate + adamw": 4,  # the mean is read once it is written
    "skip + adamw": 4,  # the gradients are looked at first
}
CHOSEN = [
    "sgd, momentum",
    "nesterov",
    "adam",
    "adamw",
    "clip + adamw",
    "accumulate + adamw",
    "skip + adamw",
    "adamw, injected",
    "lion",
    "rmsprop, centred with momentum",
    "laprop",
    "adan",
    "adopt",
]
ELEMENTWISE = [
    case.name
    for case in [*OPTIMIZERS, *COMPOSED]
    if case.transform._built().work.leaf is not None and (case.shape is None or len(case.shape) == 1)
]


def _python(*arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=TESTS, env=environment, capture_output=True, text=True, check=False
    )


def _report(names):
    done = _python("single_pass.py", *names)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def _check(names):
    for name, ((moved, fewest, temporary), got) in _report(names).items():
        wanted = updates(BY_NAME[name])
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6 * np.max(np.abs(wanted)), err_msg=name)
        fewest += MORE.get(name, 0)
        assert moved < 1.01 * fewest, f"{name} moves {moved} bytes per parameter, and {fewest} would do"
        assert temporary < 0.01, name


def test_one_loop_and_the_fewest_bytes():
    _check(CHOSEN)


@pytest.mark.slow
def test_one_loop_and_the_fewest_bytes_for_every_elementwise_optimizer():
    _check([name for name in ELEMENTWISE if name not in CHOSEN])


GATES = """
import sys
import conftest
import gradtx
gradtx.single_pass_cpu()
import pytest
sys.exit(pytest.main(["test_gates.py", "-n0", "-q", "-k", "not costs_no_array"]))
"""


@pytest.mark.slow
def test_what_counts_at_some_steps_only_is_the_same_in_one_pass():
    done = _python("-c", GATES)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


TOO_LATE = """
import gradtx, jax.numpy as jnp
jnp.zeros(3) + 1
try:
    gradtx.single_pass_cpu()
except gradtx.GradtxValueError as error:
    print(error)
tx = gradtx.adam(0.1)
tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
"""


def test_it_says_when_it_is_too_late():
    done = _python("-c", TOO_LATE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "does not join loops; call it before the first computation with JAX" in done.stdout


def test_flags_that_were_there_stay():
    text = "import os, gradtx; os.environ['XLA_FLAGS'] = '--xla_cpu_enable_fast_math=false'; gradtx.single_pass_cpu()"
    done = _python("-c", f"{text}; print(os.environ['XLA_FLAGS']); gradtx.single_pass_cpu()")
    assert done.returncode == 0, done.stderr[-2000:]
    flags = done.stdout.split()
    assert flags[0] == "--xla_cpu_enable_fast_math=false"
    assert len(flags) == 2
