"""Types that help users: pyright and mypy accept correct code, and find mistakes on the line where they are."""

import inspect
import pydoc
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import gradtx as gx

CODE = Path(__file__).parent / "typing"
PYRIGHT = shutil.which("pyright", path=Path(sys.executable).parent)
COMMANDS = {
    "pyright": [PYRIGHT or "pyright", "--pythonpath", sys.executable],
    # Optax has no types for mypy, which says so at the import.
    "mypy": [sys.executable, "-m", "mypy", "--follow-imports=silent", "--disable-error-code=import-untyped"],
}


def _errors(text: str, name: str) -> dict[int, str]:
    """The reports of both tools by line, of which each has the path, the line, perhaps the column, and "error"."""
    found = re.finditer(rf"{name}:(\d+):(?:\d+)?[ -:]*error:? (.*)", text)
    return {int(match[1]): match[2] for match in found}


@pytest.mark.types  # wants the extra `dev`; without the tools it fails, and the other runs do not select it
@pytest.mark.parametrize("tool", COMMANDS)
def test_right_code_is_accepted_and_wrong_code_is_not(tool, tmp_path):
    for path in CODE.glob("*.py"):  # outside the repository, whose settings users do not have
        shutil.copy(path, tmp_path)
    run = subprocess.run([*COMMANDS[tool], "right.py", "wrong.py"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1, run.stdout + run.stderr  # 0: nothing found; 2 and more: the tool failed

    assert _errors(run.stdout, "right.py") == {}
    lines = (CODE / "wrong.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    found = _errors(run.stdout, "wrong.py")
    assert marked
    assert {number: lines[number - 1] for number in marked - found.keys()} == {}, "not found"
    assert {number: found[number] for number in found.keys() - marked} == {}, "found in correct code"


def test_help_says_what_a_number_may_be_and_what_is_returned():
    text = pydoc.plain(pydoc.render_doc(gx.adamw))
    assert "b1: float | Array | Schedule = 0.9" in text
    assert "mask: Any = None) -> GradientTransformation" in text
    assert str(inspect.signature(gx.chain)) == "(*parts: Transform | tuple[str, Transform]) -> GradientTransformation"
    assert "-> Schedule" in str(inspect.signature(gx.schedules.linear))
    assert "-> Labels" in str(inspect.signature(gx.by_path))


def test_numbers_inside_other_annotations_are_readable_and_found():
    @gx.transformation
    def mine(x: "gx.Scalar | None", y: Sequence[gx.Decay], z, n: int = 1):
        return gx.scale(1.0)

    number = "float | Array | Schedule"
    expected = f"(x: Optional[{number}], y: Sequence[{number}], z, n: int = 1) -> GradientTransformation"
    assert str(inspect.signature(mine)).replace(f"{number} | None", f"Optional[{number}]") == expected
    assert mine.spec.numbers.keys() == {"x", "y"}
    assert mine.spec.numbers["y"].many


def test_annotations_are_those_of_the_body_and_the_type_that_is_returned():
    hints = get_type_hints(gx.adamw)
    assert hints["return"] is gx.GradientTransformation
    assert gx.Schedule in hints["b1"].__args__
    assert hints["mask"] is Any
