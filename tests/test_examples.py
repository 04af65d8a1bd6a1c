"""The examples run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def _run(name, *arguments, cwd):
    return _ran(name, *arguments, cwd=cwd).stdout


def _ran(name, *arguments, cwd):
    # In a fresh interpreter, without the strictness of the tests.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "warning" not in done.stderr.lower(), done.stderr[-2000:]
    return done


@pytest.mark.slow
def test_quickstart_reaches_its_accuracy_and_saves_its_picture(tmp_path):
    out = _run("quickstart.py", cwd=tmp_path)
    shown = (EXAMPLES.parent / "README.md").read_text().split("\n```\nchain\n")[1].split("```")[0]
    assert f"chain\n{shown}" in out, "the README shows other parts"
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 97
    assert (tmp_path / "quickstart.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_short_quickstart(tmp_path):
    assert "test accuracy" in _run("quickstart.py", "--steps", "3", "--picture", "short.png", cwd=tmp_path)
    assert (tmp_path / "short.png").exists()


@pytest.mark.slow
def test_custom_optimizer_keeps_the_laws(tmp_path):
    out = _run("custom_optimizer.py", cwd=tmp_path)
    kept = re.search(r"watchful_adam\(.*\) keeps (\d+) laws", out)
    assert int(kept[1]) >= 20
    best = [min(float(row.split()[column]) for row in out.splitlines()[-9:]) for column in (1, 2)]
    assert best[1] < best[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 150


def _numbers(out, pattern):
    """The numbers in each line that looks so."""
    return [[float(word) for word in match.groups()] for match in re.finditer(pattern, out, re.MULTILINE)]


def _accuracy(out):
    return float(re.search(r"test accuracy ([\d.]+)%", out)[1])


@pytest.mark.slow
def test_a_short_run_with_flax_linen(tmp_path):
    out = _run("flax_linen_digits.py", "--steps", "3", cwd=tmp_path)
    assert "adamw(learning_rate=schedules.warmup(" in out
    assert "18,346 parameters, 146,792 bytes of state" in out
    by_digit = _numbers(out, r"^ +(\d)  +(\d+)  +(\d+)%  ")
    assert [digit for digit, _, _ in by_digit] == list(range(10))
    mean = sum(images * right for _, images, right in by_digit) / 360
    assert abs(mean - _accuracy(out)) < 1, "the table and the last line agree"


@pytest.mark.slow
def test_a_short_run_with_flax_nnx(tmp_path):
    out = _run("flax_nnx_digits.py", "--steps", "3", cwd=tmp_path)
    assert "├─ kernels: adamw(" in out
    assert "└─ the rest: sgd(" in out
    steps, _, gradients, updates, rates = zip(*_numbers(out, r"^ +(\d+)" + 4 * r"  +(\d\S*)" + "$"), strict=True)
    assert steps == (1, 2, 3)
    assert len(set(gradients)) == len(set(updates)) == 3
    assert all(0 < update < gradient for update, gradient in zip(updates, gradients, strict=True))
    assert rates == (0.003, 0.0022, 0.00075)


@pytest.mark.slow
def test_a_short_run_with_haiku(tmp_path):
    out = _run("haiku_digits.py", "--steps", "3", cwd=tmp_path)
    rows = _numbers(out, r"^step +(\d+)" + 3 * r" +([\d.]+)" + "$")
    assert [row[0] for row in rows] == [1, 2, 3]
    assert rows[0][1] == rows[0][2] != rows[0][3], "a falling rate begins as the constant one"
    assert all(after < before for before, after in zip(rows[0][1:], rows[2][1:], strict=True))
    assert "schedule-free: test accuracy" in out


def _bits(out, name):
    return _numbers(out, rf"^{name} +([\d.]+)$")[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["flax_linen", "flax_nnx", "haiku"])
def test_digits_are_learned_with(library, tmp_path):
    assert _accuracy(_run(f"{library}_digits.py", cwd=tmp_path)) > 97


@pytest.mark.slow
def test_equinox_learns_more_of_python_than_which_letters_follow_each_other(tmp_path):
    out = _run("equinox_char_lm.py", "--steps", "250", cwd=tmp_path)  # 1,000 bring it to 2.1
    assert _bits(out, "trained for +[0-9]+ s") < 3.2 < _bits(out, "frequencies of pairs")
    assert len(out.split("it writes")[1].strip("-")) > 390


@pytest.mark.slow
def test_muon_learns_more_of_python_than_which_letters_follow_each_other(tmp_path):
    out = _run("muon_char_lm.py", "--steps", "120", cwd=tmp_path)  # 400 bring it to 2.6
    assert re.search(r"^layers/up/kernel +\(4, 96, 384\) +4 of 96 inputs, 384 outputs$", out, re.MULTILINE)
    assert _bits(out, r"muon, 120 steps, \d+ s") < 3.45 < _bits(out, "frequencies of pairs")


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    out = _run("resume_after_crash.py", cwd=tmp_path)
    (first, crash), (second, other_crash), (last, end) = _numbers(out, r"^ +(\d+)  (?:killed )?at step (\d+)$")
    assert out.count("killed") == 2
    assert 0 == first <= second <= crash < end
    assert second <= last <= other_crash < end, "the last run began at a checkpoint of those before"
    assert len(re.findall(r"^[a-z ]+? +(\S+) +\1 +the same$", out, re.MULTILINE)) == 4


@pytest.mark.slow
def test_sweep_optimizers_tells_the_optimizers_apart(tmp_path):
    out = _run("sweep_optimizers.py", "--steps", "30", "--rates", "6", "--seeds", "2", cwd=tmp_path)
    assert "48 trainings of 30 steps" in out
    rows = re.findall(r"^(adam|rmsprop|sgd, momentum 0.9|lion) +([\d.]+) +([\d.]+) ", out, re.MULTILINE)
    best = {name: (float(rate), float(loss)) for name, rate, loss in rows}
    assert len(best) == 4
    assert max(loss for _, loss in best.values()) < 1.0, "all learn"
    assert best["sgd, momentum 0.9"][0] > best["lion"][0], "a sign moves every weight by the whole rate"
    assert re.search(r"the best of all: \w+\(learning_rate=", out)
    assert (tmp_path / "sweep_optimizers.png").stat().st_size > 10_000


@pytest.mark.slow
def test_hypergradient_learns_numbers_that_train_faster(tmp_path):
    done = _ran("hypergradient.py", "--steps", "20", "--seeds", "2", cwd=tmp_path)
    out = done.stdout
    assert re.findall(r"^(\d) of 3: ", done.stderr, re.MULTILINE) == ["1", "2", "3"], "its progress"
    rows = re.findall(r"^(to begin with|best rate of 11|learned) +([\d.]+) +.* ([\d.]+) ± ", out, re.MULTILINE)
    found = {name: (float(rate), float(loss)) for name, rate, loss in rows}
    assert found["to begin with"][0] == 0.001
    assert found["learned"][0] > 0.005
    assert found["learned"][1] < found["to begin with"][1] / 3
    assert found["best rate of 11"][1] < found["to begin with"][1] / 3
    assert (tmp_path / "hypergradient.png").stat().st_size > 10_000
