"""The notebooks run, and are stored with their output. The lessons wait for the slow run."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
DECIMAL = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")


def _marked(path):
    return pytest.param(path, id=path.stem, marks=[] if path == NOTEBOOKS[0] else [pytest.mark.slow])


@pytest.mark.parametrize("path", list(map(_marked, NOTEBOOKS)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the machinery that runs notebooks
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_notebook(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells), "stored without output"
    stored = [cell.outputs for cell in cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=resources).execute()
    for before, cell in zip(stored, cells, strict=True):
        _assert_alike(*(" ".join(output.get("text", "") for output in outputs) for outputs in (before, cell.outputs)))


def _assert_alike(stored, printed):
    """The same words and whole numbers, and decimals to a tenth: processors differ in the last bits."""
    words = [re.sub(r"\s+", " ", DECIMAL.sub("#", text)) for text in (stored, printed)]
    assert words[0] == words[1], "what is printed is not what is stored"
    decimals = [[float(number) for number in DECIMAL.findall(text)] for text in (stored, printed)]
    assert decimals[1] == pytest.approx(decimals[0], rel=0.1, abs=0.02)
