"""Pages of the documentation that are made from data: each name has its place, its formula and its picture."""

import importlib
import re
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from matplotlib.figure import Figure
from PIL import Image

import gradtx as gx

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(autouse=True)
def _modules_of_the_pages(monkeypatch):
    """The pages are made by modules in their folder, under the defaults of JAX."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.syspath_prepend(DOCS.parent)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_every_public_name_has_a_place_in_the_reference(tmp_path):
    from api_pages import by_topic, public_modules, write_api

    assert all(by_topic().values()), "a topic without names"
    write_api(tmp_path)
    (tmp_path / "gone.md").write_text("# Gone\n")
    write_api(tmp_path)
    assert not (tmp_path / "gone.md").exists()
    text = "\n".join(path.read_text() for path in tmp_path.glob("*.md"))
    described = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.MULTILINE)
    data = re.findall(r"^\.\. py:data:: (\w+)\n   :module: (\S+)$", text, re.MULTILINE)
    described += [f"{module}.{name}" for name, module in data]
    links = dict(re.findall(r"^- \{py:obj\}`(\w+) <(\S+)>`", text, re.MULTILINE))
    assert len(described) == len(set(described))
    assert set(links.values()) <= set(described)
    modules = {f"gradtx.{name}" for name in ("problems.surfaces", "problems.signals", "problems.losses", "testing")}
    assert modules <= set(public_modules())
    for module in ["gradtx", *public_modules()]:
        for name in importlib.import_module(module).__all__:
            if not isinstance(getattr(importlib.import_module(module), name), types.ModuleType):
                assert f"{module}.{name}" in described or name in links or name.startswith("_"), f"{module}.{name}"
    assert "`scale_by_adam`" in (tmp_path / "gradtx_optax.md").read_text()


def test_the_source_of_an_optimizer_leads_back_to_the_reference(tmp_path):
    from api_pages import lead_back, write_api

    used = {"adamw": "atlas/adamw", "chain": "api/combinators"}
    lead_back(None, types.SimpleNamespace(_viewcode_modules={"gradtx": ("", {}, used, "gradtx"), "jax": False}))
    write_api(tmp_path / "api")
    assert used["chain"] == "api/combinators"
    assert "autofunction:: gradtx.adamw\n" in (tmp_path / f"{used['adamw']}.md").read_text()


def test_a_name_without_a_topic_fails_the_build(monkeypatch):
    import api_pages

    monkeypatch.setitem(api_pages.TOPICS, "Executions", ("_executions.store", "_cpu."))
    with pytest.raises(LookupError, match=r"gradtx\.bucketed of _executions\.bucketed has 0 topics"):
        api_pages.by_topic()


def test_the_page_of_laws_says_what_each_law_says_of_itself():
    from gradtx.testing import LAWS, Case
    from gradtx.testing.check import _excused_by_kind

    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", (DOCS / "laws.md").read_text(), re.MULTILINE)
    assert [(name, meaning) for name, meaning, _ in rows] == [
        (name, law.__doc__.splitlines()[0]) for name, law in LAWS.items()
    ]
    tx = gx.conditional(gx.sign(), lambda step: step > 2)
    cases = [Case(tx), Case(gx.GradientTransformation(*tx)), Case(tx, extras=lambda params: {"value": 1.0})]
    excused = {law for case in cases for law in _excused_by_kind(case)} | {"sharded_equals_whole"}
    assert {name for name, _, when in rows if when != "never"} == excused


def test_every_schedule_has_its_formula_its_code_and_its_picture():
    text = (DOCS / "schedules.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(gx.schedules.__all__)
    for name, section in sections.items():
        assert "\n$$" in section, name
        assert re.search(rf"^rate = .*schedules\.{name}\(", section, re.MULTILINE), name
        assert "<!-- picture of rate: " in section, name


def test_pictures_stand_where_the_page_asks_for_them(tmp_path):
    from page_pictures import with_pictures

    page = tmp_path / "page.md"
    code = "from gradtx import schedules\n\nrate = schedules.linear(1.0, 0.0, 80)"
    page.write_text(f"A line:\n\n```python\n{code}\n```\n\n<!-- picture of rate: down -->\n\nAnd more.\n")
    text = with_pictures(page, tmp_path / "drawn")
    assert f"{code}\n```\n\n```{{image}} drawn/page-0.png\n:alt: down\n:width: 360px\n```\n\nAnd more.\n" in text
    path = tmp_path / "drawn" / "page-0.png"
    with Image.open(path) as image:
        assert image.size == (720, 260)
    before = path.stat().st_mtime_ns
    assert with_pictures(page, tmp_path / "drawn") == text
    assert path.stat().st_mtime_ns == before, "drawn again"


@pytest.mark.parametrize("name", ["schedules", "gallery"])
def test_the_code_above_a_picture_makes_it(name):
    from page_pictures import CODE_OR_MARK

    code, count = "", 0
    for found in CODE_OR_MARK.finditer((DOCS / f"{name}.md").read_text()):
        code += found["code"] or ""
        if found["name"]:
            assert re.search(rf"^{found['name']} = ", code, re.MULTILINE), found[0]
            count += 1
    assert count == (DOCS / f"{name}.md").read_text().count("<!-- picture of ") >= 10


def test_the_pages_of_the_algebra_have_every_part_of_the_table(monkeypatch, tmp_path):
    from parts_examples import EXAMPLES
    from parts_pages import PAGES, formula, kinds, write_algebra

    assert sorted(kind for page in PAGES.values() for kind in page) == sorted(kinds())
    names = [name for page in PAGES.values() for kind in page for name in kinds()[kind]]
    assert sorted(EXAMPLES) == sorted(names)
    monkeypatch.setenv("DOCS_QUICK", "1")
    write_algebra(tmp_path)
    text = "\n".join(path.read_text() for path in tmp_path.glob("*.md"))
    assert sorted(re.findall("^###? `(.*)`$", text, re.MULTILINE)) == sorted(names)
    for name in names:
        assert f"`Reference <gradtx.{name}>`" in text
        assert name in EXAMPLES[name][0], "the example of another part"
        if isinstance(getattr(gx, name), type(gx.ratio)) and ".. math::" in getattr(gx, name).__doc__:
            assert f"$${formula(name)}$$" in text


def test_the_table_of_parts_has_every_part_of_the_library():
    from parts_pages import kinds

    from benchmarks.named import optimizers

    factories = {
        name for name, item in vars(gx).items() if getattr(item, "spec", None) and item.spec.kind is type(gx.identity())
    }
    makers = {name for name, item in vars(gx).items() if getattr(item, "__module__", "") in CONSTRUCTORS}
    assert len(factories) > 150
    assert len(makers) >= 7
    listed = {name for names in kinds().values() for name in names}
    assert (factories - set(optimizers()) | makers | {"transformation"}) - listed == set()


CONSTRUCTORS = ("gradtx._core.constructors", "gradtx._core.matrixwise")


def test_examples_without_a_picture_run():
    from parts_examples import EXAMPLES, NAMES

    for code, kind in EXAMPLES.values():
        assert max(map(len, code.splitlines())) <= 72, "the page cuts it"
        if not kind:
            exec(code, {**NAMES, "params": {"w": jnp.ones((3, 2))}, "grads": {"w": jnp.ones((3, 2))}})


def test_pictures_of_parts():
    from parts_examples import EXAMPLES, NAMES
    from parts_pictures import ABOUT, draw

    assert {kind for _, kind in EXAMPLES.values()} == {*ABOUT, ""}
    for name in ("square", "clip_by_global_norm", "project_box", "lookahead", "centralize", "keep_norm"):
        code, kind = EXAMPLES[name]
        assert isinstance(draw(eval(code.strip(), NAMES), kind), Figure), name
    assert draw(gx.add(gx.identity(), gx.sign()), "diagram").svg.startswith("<svg")


@pytest.mark.slow
def test_every_example_of_a_part_can_be_drawn():
    from parts_examples import EXAMPLES, NAMES
    from parts_pictures import draw

    for code, kind in EXAMPLES.values():
        if kind:
            draw(eval(code.strip(), NAMES), kind)
