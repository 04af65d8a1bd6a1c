"""The figures that the atlas shows are complete and can be made again, and so is what it says of other libraries."""

import inspect
import json
import re
from pathlib import Path

import pytest

import gradtx as gx

ROOT = Path(__file__).parent.parent
OF_PYTORCH = [
    "sgd",
    "nesterov",
    "adam",
    "adamw",
    "adamax",
    "nadam",
    "nadamw",
    "radam",
    "rmsprop",
    "adagrad",
    "adadelta",
]
OF_PYTORCH += ["rprop", "amsgrad", "lbfgs", "adafactor", "muon"]


@pytest.fixture(autouse=True)
def _paths(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.syspath_prepend(ROOT / "docs")


@pytest.fixture
def stored():
    return json.loads((ROOT / "benchmarks" / "atlas_bytes.json").read_text())


def test_every_optimizer_has_its_bytes_or_a_reason(stored):
    from benchmarks import atlas_bytes, named

    assert tuple(stored["shape"]) == atlas_bytes.SHAPE
    assert set(stored["targets"]) == set(atlas_bytes.TARGETS)
    for target in atlas_bytes.TARGETS:
        measured = {name for name, found in stored["steps"].items() if target in found}
        assert measured == set(atlas_bytes.named(target)), f"python -m benchmarks.atlas_bytes --target {target}"
        assert set(atlas_bytes.LEFT_OUT.get(target, {})) <= set(named.optimizers())


@pytest.mark.xla
@pytest.mark.parametrize("name", ["adamw", "lamb", "muon"])
def test_bytes_on_a_cpu_are_as_they_are_measured(stored, name):
    from benchmarks import atlas_bytes

    found, wanted = atlas_bytes.figures(name, atlas_bytes.device_of("cpu")), stored["steps"][name]["cpu"]
    assert found == pytest.approx(wanted, rel=0.05, abs=4096)


def test_no_chip_moves_less_than_the_least(stored):
    for name, targets in stored["steps"].items():
        for target, found in targets.items():
            assert found["moved"] >= found["at_rest"] > 0.999 * found["least"], f"{name}, {target}"
            assert found["least"] >= 12 * stored["shape"][0] * stored["shape"][1], f"{name}, {target}"


def test_every_optimizer_has_a_reference():
    from benchmarks.named import optimizers

    for name in optimizers():
        reference = (inspect.getdoc(getattr(gx, name)) or "").partition("Reference: ")[2]
        assert re.search(r"\b(19|20)\d\d\b|^see `", reference), name


def test_tables_about_other_libraries_go_to_the_pages_of_optimizers():
    from atlas_elsewhere import elsewhere  # pyright: ignore[reportMissingImports]

    from benchmarks.named import optimizers

    pages = {name: "\n".join(elsewhere(name)) for name in optimizers()}
    assert "changes weighted by `1 - b2`" in pages["adan"]
    assert "Arguments only in Optax: `mu_dtype`" in pages["lion"]
    assert "`optax.fromage`" in pages["fromage"]
    assert not pages["soap"]
    for name in OF_PYTORCH:
        assert "\n- PyTorch" in pages[name], name
