"""Programs that are written for Optax, run with Optax and with one changed import."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

PROGRAMS = sorted((Path(__file__).parent / "optax_programs").glob("*.py"))
CLOSE = 2e-4
"""Optax's bias correction rounds in the fifth digit, and training spreads it."""

IN_BFLOAT16 = {"adafactor_sequence_model": 2e-3, "bigram_lm_factory_bfloat16": 2e-3}
"""Momentum that is stored in bfloat16 is multiplied in bfloat16 by Optax, and in float32 here."""


def _run(path, line):
    text, count = re.subn(r"^import optax$", line, path.read_text(), flags=re.MULTILINE)
    assert count == 1
    names = {"__name__": path.stem}
    exec(compile(text, path.name, "exec"), names)
    return np.asarray(names["main"](), np.float64)


def test_there_are_enough():
    assert len(PROGRAMS) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_one_changed_import_gives_the_same_losses(path):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = _run(path, "import optax")
        ours = _run(path, "import gradtx.optax as optax")
    assert len(theirs) > 0
    assert np.all(np.isfinite(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=IN_BFLOAT16.get(path.stem, CLOSE), atol=1e-6)
