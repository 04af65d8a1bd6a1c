"""The figures that the atlas shows are complete and can be made again, and so is what it says of other libraries."""

import inspect
import json
import re
from pathlib import Path

import numpy as np
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
    assert "Optax, PyTorch, Keras: none." in pages["soap"]
    assert "`optax.contrib.dpsgd`" in pages["dpsgd"]
    for name in ("acprop", "dpsgd", "lbfgs", "madgrad", "muon", "noisy_sgd", "optimistic_adam", "polyak_sgd", "sophia"):
        assert "give the same numbers" not in pages[name], name
    for name in OF_PYTORCH:
        assert "\n- PyTorch" in pages[name], name


NUMBER = r"<?-?\d+(\.\d+)?"
ELEMENTS = {
    "a formula": r"math::|:math:",
    "a diagram with a title": r'<svg role="img" .*<title>',
    "bytes on a CPU": rf"^\| CPU (\| (&lt; )?{NUMBER} )+\|$",
    "bytes on an H100": rf"^\| H100 (\| (&lt; )?{NUMBER} )+\|$",
    "bytes on a TPU, or why not": rf"^\| TPU v5e (\| (&lt; )?{NUMBER} )+\|$|Not for the TPU v5e: \w",
    "a response": r"^## Response\n\nUpdates[^#]*!\[Updates of",
    "two trajectories": r"^## Trajectories\n\n[EI][^#]*!\[Trajectory of[^#]*!\[Trajectory of",
    "losses": r"^## Loss by learning rate\n\n[^#]*benchmarks.atlas[^#]*!\[Final loss of",
    "counterparts, or none": r"^## In other libraries\n\n- (Optax|PyTorch|Keras)",
    **{f"{library} or none": rf"^- {library}|^- [\w, ]*{library}[\w, ]*: none\.$" for library in ("Optax", "PyTorch")},
    "where it comes from": r"\b(19|20)\d\d\b",
}


def test_every_page_is_complete():
    """Also where nothing is drawn: which files are there, only the build knows."""
    from atlas_pages import page  # pyright: ignore[reportMissingImports]

    from benchmarks.named import optimizers

    missing = [
        f"{name}: {element}"
        for name in optimizers()
        for text in [(inspect.getdoc(getattr(gx, name)) or "") + "\n\n" + "\n".join(page(name))]
        for element, pattern in ELEMENTS.items()
        if not re.search(pattern, text, re.MULTILINE)
    ]
    assert not missing


def test_the_page_that_compares_them_has_all():
    from atlas_pages import index  # pyright: ignore[reportMissingImports]

    from benchmarks.named import optimizers

    text = "\n".join(index())
    rows = re.findall(r'<tr><th><a href="(\w+)\.html">\1</a></th>(.*)</tr>', text)
    assert [name for name, _ in rows] == optimizers()
    after = text.partition("</table>")[2]
    for name, row in rows:
        cells = re.findall(r"<td>(.*?)</td>", row)
        assert len(cells) == 10
        assert not re.search(r"\de[+-]?\d", row), "powers of ten"
        has_a_reason = f"`{name}`" in after or (cells[5] == "" and "no learning rate" in after)
        assert all(cells) or has_a_reason, name


@pytest.mark.parametrize("name", ["momo", "sophia", "newton_cg", "dpsgd", "muon", "schedule_free"])
def test_what_asks_for_more_than_a_gradient_responds(name):
    responds(name)


@pytest.mark.slow
def test_everything_responds():
    from benchmarks.named import optimizers

    for name in optimizers():
        responds(name)


def responds(name):
    """A flat line would say that an optimizer does nothing."""
    import jax
    from atlas_pictures import of_scalars  # pyright: ignore[reportMissingImports]

    tx, p = of_scalars(name), jax.numpy.zeros(())

    def step(carry, item):
        p, state = carry
        updates, state = tx.update(item[0], state, p, key=item[1])
        return (p + updates, state), updates

    signal = 1.0 + jax.numpy.arange(20.0) / 20
    updates = jax.lax.scan(step, (p, tx.init(p)), (signal, jax.random.split(jax.random.key(0), 20)))[1]
    assert np.all(np.isfinite(updates)), name
    assert np.count_nonzero(updates) >= 19, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["soap", "lbfgs", "acprop"])
def test_pictures_are_drawn(name, tmp_path):
    from atlas_curves import draw_curves  # pyright: ignore[reportMissingImports]
    from atlas_pictures import draw, shown  # pyright: ignore[reportMissingImports]

    draw(tmp_path, name)
    draw_curves(tmp_path / f"{name}-curves.png", name)
    wanted = re.findall(r"\((.*?\.png)\)", str(shown(name)))
    assert {path.name for path in tmp_path.iterdir()} == {*wanted, f"{name}-curves.png"}


@pytest.mark.slow
def test_numbers_are_those_of_optax_where_the_page_says_so():
    import jax
    import optax
    from atlas_elsewhere import elsewhere  # pyright: ignore[reportMissingImports]
    from jax.flatten_util import ravel_pytree

    from benchmarks.atlas import made, rates_of
    from benchmarks.named import EXAMPLES, optimizers

    target = jax.random.normal(jax.random.key(0), (6, 4))
    start = {"w": jax.random.normal(jax.random.key(1), (6, 4)), "b": jax.numpy.ones(4)}

    def loss_fn(p):
        weights = jax.numpy.arange(1.0, 5.0)
        return jax.numpy.sum((p["w"] - target) ** 2 * weights) + jax.numpy.sum(p["b"] ** 4)

    def run(tx):
        def step(carry, _):
            p, state = carry
            value, grads = jax.value_and_grad(loss_fn)(p)
            updates, state = tx.update(grads, state, p, value=value)
            return (jax.tree.map(jax.numpy.add, p, updates), state), updates

        return ravel_pytree(jax.lax.scan(step, (start, tx.init(start)), None, 8)[1])[0]

    def theirs(name):
        factory = getattr(optax, name, None) or getattr(optax.contrib, name)
        rate = {"learning_rate": 0.05} if rates_of(name) else {}
        inner = {"base_optimizer": optax.sgd(0.05)} if name == "schedule_free" else {}
        return optax.with_extra_args_support(factory(**inner, **rate, **EXAMPLES.get(name, {})))

    same = [name for name in optimizers() if "give the same numbers" in "\n".join(elsewhere(name))]
    assert len(same) > 20
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for name in same:
            ours, wanted = run(made(name, 0.05 if rates_of(name) else None)), run(theirs(name))
            assert np.max(np.abs(ours - wanted)) < 1e-4 * np.max(np.abs(wanted)), name
