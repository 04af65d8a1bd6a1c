"""What README and documentation show runs in order and prints what they say; links and names lead to something."""

import contextlib
import io
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from optimizer_table import rewritten
from PIL import Image

import gradtx as gx

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


DOCS = README.parent / "docs"
GENERATED = {"_build", "api", "atlas", "drawn", "results.md", "changes.md"}  # by building the documentation
PAGES = [README, *sorted(page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0] not in GENERATED)]
EXECUTED = [page for page in PAGES if page.name != "errors.md"]


@pytest.mark.slow
@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: str(page.relative_to(README.parent)))
def test_snippets_print_what_they_say(monkeypatch, page):
    """The blocks of a page run in order; a block of text is what the one before printed."""
    module = types.ModuleType("page")  # so that what is defined in the snippets can be pickled
    monkeypatch.setitem(sys.modules, "page", module)
    names, printed = vars(module), None
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for language, text in BLOCK.findall(page.read_text()):
            if language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(text, page.name, "exec"), names)
                printed = out.getvalue()
            elif language == "text" and printed is not None:
                assert printed == text
                printed = None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(README.parent)))
def test_links_lead_to_something(page):
    for target in re.findall(
        r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    ):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} has a link to {target}"


def test_the_readme_is_two_screens():
    assert len(README.read_text().splitlines()) <= 150


def test_adam_from_parts_is_adam():
    names = {}
    exec(BLOCK.findall(README.read_text())[0][1], names)
    g = jnp.asarray([0.1, -2.0])
    ours, adam = names["adam_from_parts"], gx.adam(1e-3)
    assert jnp.array_equal(ours.update(g, ours.init(g))[0], adam.update(g, adam.init(g))[0])


def test_every_name_in_the_table_of_parts_exists():
    names = [
        name
        for line in (README.parent / "docs" / "parts.md").read_text().splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`(\w+)(?:\([^`]*)?`", line)
    ]
    assert len(names) > 40
    for name in names:
        assert hasattr(gx, name) or hasattr(gx.schedules, name), name


def test_every_schedule_has_its_formula_its_code_and_its_picture():
    text = (DOCS / "schedules.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(gx.schedules.__all__)
    for name, section in sections.items():
        assert "\n$$" in section, name
        assert re.search(rf"^rate = .*schedules\.{name}\(", section, re.MULTILINE), name
        assert "<!-- picture of rate: " in section, name


def test_pictures_stand_where_the_page_asks_for_them(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(DOCS)
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


def test_the_table_of_optimizers_is_as_it_is_made():
    text = (README.parent / "docs" / "optimizers.md").read_text()
    assert rewritten(text) == text, "run `python tests/optimizer_table.py`"


def test_the_commands_are_two():
    commands = [text for language, text in BLOCK.findall(README.read_text()) if language == "sh"]
    assert len(commands) == 2


def test_every_public_name_has_a_line_in_the_changelog():
    text = (README.parent / "CHANGELOG.md").read_text()
    public = [
        name for name in gx.__all__ if not name.startswith("_") and not isinstance(getattr(gx, name), types.ModuleType)
    ]
    assert [name for name in public if f"`{name}`" not in text and f"`@{name}`" not in text] == []
