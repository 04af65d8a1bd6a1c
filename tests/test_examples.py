"""The examples run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def _run(name, *arguments, cwd):
    # In a fresh interpreter, without the strictness of the tests.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_quickstart_reaches_its_accuracy_and_saves_its_picture(tmp_path):
    out = _run("quickstart.py", cwd=tmp_path)
    shown = (EXAMPLES.parent / "README.md").read_text().split("\n```\nchain\n")[1].split("training:")[0]
    assert f"chain\n{shown}" in out, "the README shows other parts"
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 97
    assert (tmp_path / "quickstart.png").stat().st_size > 10_000


def test_a_short_quickstart(tmp_path):
    assert "test accuracy" in _run("quickstart.py", "--steps", "3", "--picture", "short.png", cwd=tmp_path)
    assert (tmp_path / "short.png").exists()


def test_custom_optimizer_keeps_the_laws(tmp_path):
    out = _run("custom_optimizer.py", cwd=tmp_path)
    kept = re.search(r"watchful_adam\(.*\) keeps (\d+) laws", out)
    assert int(kept[1]) >= 20
    best = [min(float(row.split()[column]) for row in out.splitlines()[-9:]) for column in (1, 2)]
    assert best[1] < best[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 150
