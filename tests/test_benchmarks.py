"""The benchmarks run, and write down what they print."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--single-pass"]], ids=["default", "single pass"])
def test_a_short_benchmark(flags, tmp_path):
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--trees", "transformer", "--optimizers", "momentum", "adamw"]
    done = subprocess.run(
        [*command, "--rounds", "2", "--json", str(file), *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(file.read_text())
    assert figures["single_pass"] == bool(flags)
    rows = {row["optimizer"]: row for row in figures["rows"]}
    assert rows["adamw"]["ours"]["temporary"] < 0.1
    assert rows["adamw"]["ours"]["bytes"] < (29 if flags else 41)
    assert rows["momentum"]["ours"]["bytes"] <= rows["momentum"]["theirs"]["bytes"] + 0.1
    assert all(name in done.stdout for name in rows)
