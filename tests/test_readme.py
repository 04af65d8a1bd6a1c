"""The README's snippets run in order, and print what the README says; its table says what is stored."""

import contextlib
import io
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_snippets_print_what_they_say(monkeypatch):
    blocks = BLOCK.findall(README.read_text())
    module = types.ModuleType("readme")  # so that what is defined in the snippets can be pickled
    monkeypatch.setitem(sys.modules, "readme", module)
    names, printed, checked = vars(module), "", 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for language, text in blocks:
            if language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(text, "README.md", "exec"), names)
                printed = out.getvalue()
            elif language == "text":
                assert printed == text
                checked += 1
    assert checked >= 6
    assert names["adam_from_parts"].kernel is not None


def test_adam_from_parts_is_adam():
    names = {}
    exec(BLOCK.findall(README.read_text())[0][1], names)
    g = jnp.asarray([0.1, -2.0])
    ours, adam = names["adam_from_parts"], gx.adam(1e-3)
    assert jnp.array_equal(ours.update(g, ours.init(g))[0], adam.update(g, adam.init(g))[0])


def test_every_name_in_the_readme_exists():
    names = [
        name
        for line in README.read_text().splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`(\w+)(?:\([^`]*)?`", line)
    ]
    assert len(names) > 40
    for name in names:
        assert hasattr(gx, name) or hasattr(gx.schedules, name), name


@pytest.mark.parametrize(
    ("tx", "wanted"),
    [
        (gx.sgd(0.1), ("sgd", "0")),
        (gx.sgd(0.1, 0.9), ("sgd", "1 with momentum")),
        (gx.nesterov(0.1), ("nesterov", "1")),
        (gx.adagrad(0.1), ("adagrad", "1")),
        (gx.rmsprop(0.1), ("rmsprop", "1")),
        (gx.rmsprop(0.1, centered=True, momentum=0.9), ("rmsprop", "1, 1 more centred, 1 more with momentum")),
        (gx.adam(0.1), ("adam", "2")),
        (gx.adamw(0.1), ("adamw", "2")),
        (gx.adamax(0.1), ("adamax", "2")),
        (gx.adamaxw(0.1), ("adamaxw", "2")),
        (gx.adadelta(), ("adadelta", "2")),
        (gx.nadam(0.1), ("nadam", "2")),
        (gx.nadamw(0.1), ("nadamw", "2")),
        (gx.amsgrad(0.1), ("amsgrad", "3")),
        (gx.padam(0.1), ("padam", "3")),
        (gx.yogi(0.1), ("yogi", "2")),
        (gx.laprop(0.1), ("laprop", "2")),
        (gx.qhadam(0.1), ("qhadam", "2")),
        (gx.sign_sgd(0.1), ("sign_sgd", "0")),
        (gx.signum(0.1), ("signum", "1")),
        (gx.lion(0.1), ("lion", "1")),
        (gx.tiger(0.1), ("tiger", "1")),
        (gx.qhm(0.1), ("qhm", "1")),
        (gx.aggmo(0.1), ("aggmo", "3, one for each")),
        (gx.optimistic_gradient_descent(0.1), ("optimistic_gradient_descent", "1")),
    ],
    ids=lambda value: value.name if isinstance(value, gx.GradientTransformation) else value[0],
)
def test_the_table_says_what_is_stored(tx, wanted):
    name, text = wanted
    found = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", README.read_text(), re.MULTILINE)
    rows = {name: stored for names, stored in found for name in re.findall(r"\w+", names)}
    assert text in rows[name]
    params = jax.ShapeDtypeStruct((10**6,), jnp.float32)
    stored = round(gx.summary(tx, params).rows[0].arrays)
    assert stored == sum(int(number) for number in re.findall(r"\d", text))


def test_the_commands_are_two():
    commands = [text for language, text in BLOCK.findall(README.read_text()) if language == "sh"]
    assert len(commands) == 2


def test_every_public_name_has_a_line_in_the_changelog():
    text = (README.parent / "CHANGELOG.md").read_text()
    public = [
        name for name in vars(gx) if not name.startswith("_") and not isinstance(vars(gx)[name], types.ModuleType)
    ]
    assert [name for name in public if f"`{name}`" not in text and f"`@{name}`" not in text] == []
