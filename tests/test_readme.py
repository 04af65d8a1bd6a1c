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

import gradtx as gx

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


DOCS = README.parent / "docs"
GENERATED = {"_build", "algebra", "api", "atlas", "drawn", "results.md", "changes.md"}  # by building the documentation
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
    """Those to generated pages are checked where these are: by the build of the documentation."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", text):
        path = (page.parent / "".join(target)).resolve()
        is_generated = page != README and path.is_relative_to(DOCS) and path.relative_to(DOCS).parts[0] in GENERATED
        if not "".join(target).startswith(("http://", "https://", "mailto:")) and not is_generated:
            assert path.exists(), f"{page.name} has a link to {path}"


def test_the_diagram_is_as_it_is_drawn():
    """By `python -c "import gradtx as gx; print(gx.diagram(gx.adamw(1e-3)).svg)" > examples/adamw.svg`."""
    assert (README.parent / "examples" / "adamw.svg").read_text() == gx.diagram(gx.adamw(1e-3)).svg + "\n"


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
