"""The shape of the library itself: layers, file sizes, exports, docstrings."""

import ast
import inspect
import operator
import re
import types
from pathlib import Path
from typing import Any

import pytest

import gradtx

ROOT = Path(gradtx.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Imports go down, never across or up. A file or folder belongs to the first row that names it.
LAYERS = [
    ("_base", "_version"),
    ("_values", "_cpu", "_core", "tree", "_linalg", "linalg"),
    ("codecs", "schedules", "problems"),
    ("_primitives", "_preconditioners", "_linesearch", "_combinators", "_executions"),
    ("_optimizers",),
    ("training", "minimization", "inspect", "_inspection", "interop", "plot", "testing"),
    ("transforms",),
    ("__init__", "optax"),
]
# Within the second layer too: what a row may not see.
UNSEEN = {
    "_values": {"_core", "_cpu", "tree", "_linalg", "linalg"},
    "_cpu": {"_values", "_core", "tree", "_linalg", "linalg"},
    "_core": {"tree"},
}
BLIND_TO_EACH_OTHER = {"_primitives", "_preconditioners", "_linesearch", "_combinators", "_executions"}


def _layer(part):
    return next(index for index, row in enumerate(LAYERS) if part in row)


def _part(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path):
    """The parts of gradtx that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gradtx":
            names = node.module.split(".")[1:] or [alias.name for alias in node.names]
            yield names[0]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "gradtx":
                    yield [*alias.name.split("."), "__init__"][1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    own = _part(path)
    for other in _imports(path):
        # The conformance kit evaluates texts with the public names, as a user would.
        if own == "testing" and other == "__init__":
            continue
        assert _layer(other) <= _layer(own), f"{path.name} imports {other} from above"
        assert not (other != own and {own, other} <= BLIND_TO_EACH_OTHER), f"{own} must not see {other}"
        assert other not in UNSEEN.get(own, ()), f"{own} must not see {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_above_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_named_optimizers_are_made_of_exported_names():
    constructors = {"transformation"}
    for path in (ROOT / "_optimizers").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gradtx"):
                home = gradtx.schedules if node.module == "gradtx.schedules" else gradtx
                for alias in node.names:
                    assert hasattr(home, alias.name), f"{path.name} uses {alias.name}, which users cannot import"
                    if alias.name.islower() and alias.name not in constructors:
                        assert getattr(getattr(home, alias.name), "spec", None), f"{alias.name} is no factory"


def _public():
    for name, item in vars(gradtx).items():
        if not name.startswith("_") and not isinstance(item, types.ModuleType):
            yield name, item


def test_one_public_name_has_one_public_address():
    submodules = [gradtx.schedules, gradtx.tree, gradtx.inspect, gradtx.training]
    homes = dict(CALLABLES)
    again = [
        f"{module.__name__}.{name}"
        for module in submodules
        for name, item in vars(module).items()
        if name in homes and item is homes[name] and item.__module__ == module.__name__ and module is gradtx.tree
    ]
    assert again == []
    assert len({id(item) for item in homes.values()}) == len(homes)


ALIASES = {"Params", "Updates", "OptState"}  # for annotations: any pytree
CALLABLES = [(name, item) for name, item in _public() if callable(item) and name not in ALIASES]


def test_names_for_annotations_are_any_pytree():
    assert {name for name, item in _public() if item is Any} == ALIASES


@pytest.mark.parametrize(("name", "item"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_public_names_are_documented(name, item):
    text = inspect.getdoc(item)
    assert text
    assert text.split("\n")[0].endswith((".", "`.", ")")), "the first line is a sentence"


FACTORIES = [(name, item) for name, item in _public() if hasattr(item, "spec")]


@pytest.mark.parametrize(("name", "item"), FACTORIES, ids=[name for name, _ in FACTORIES])
def test_factories_say_formula_arguments_and_state(name, item):
    text = inspect.getdoc(item)
    transforms = issubclass(item.spec.kind, gradtx.GradientTransformation)
    for parameter in item.spec.signature.parameters.values():
        shown = f"*{parameter.name}" if parameter.kind is parameter.VAR_POSITIONAL else parameter.name
        assert f"{shown}: " in text, f"{name} does not explain {shown}"
    assert not transforms or "State: " in text, f"{name} does not say what it stores"


def test_the_optimizers_cite_their_papers():
    for path in (ROOT / "_optimizers").glob("[a-z]*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert "Reference: " in ast.get_docstring(node), f"{node.name} cites no source"


# The public names whose docstring shows how they are used; `test_docstring_examples_run` runs what it shows.
WITH_AN_EXAMPLE = """
accumulate_gradients adamw aggregate_privately as_matrices average_params by_path chain clip_by_global_norm clocked
combinator conditional describe diagram elementwise freeze from_config graft hutchinson in_eigenbasis inject let
line_search load_state_dict lookahead make_train_step masked master_params matrixwise memory minimize muon parallel
partition record reduce_on_plateau schedules.exponential_decay schedules.join schedules.piecewise_constant
schedules.warmup set_hyperparams sharpness_aware skip_nonfinite sophia state_dict store summary sweep transformation
tree.find treewise where
"""


@pytest.mark.parametrize("name", WITH_AN_EXAMPLE.split())
def test_the_docstring_has_an_example(name):
    text = inspect.getdoc(operator.attrgetter(name)(gradtx))
    assert re.search(r"^Example:.*\n    >>> ", text, re.MULTILINE), f"{name} shows no example"


def test_docstring_examples_run():
    import doctest
    import importlib

    count = 0
    for path in FILES:
        if "testing" in path.parts or path.name == "__init__.py":
            continue
        module = importlib.import_module(".".join(["gradtx", *path.relative_to(ROOT).with_suffix("").parts]))
        result = doctest.testmod(module, extraglobs=vars(gradtx))
        assert result.failed == 0, path
        count += result.attempted
    assert count > 0


def test_every_public_module_lists_its_names_and_shows_nothing_else():
    import importlib
    import pkgutil

    for info in pkgutil.walk_packages(gradtx.__path__, "gradtx."):
        if any(part.startswith("_") for part in info.name.split(".")) or info.name.startswith("gradtx.testing."):
            continue
        module = importlib.import_module(info.name)
        assert dir(module) == sorted(module.__all__), f"{info.name} shows other names than its __all__ lists"
        for name in module.__all__:
            item = getattr(module, name)
            if isinstance(item, types.ModuleType):
                assert item.__name__.startswith("gradtx."), f"{info.name} lists the import {name}"
    assert dir(gradtx) == sorted(gradtx.__all__)
    shown = [getattr(gradtx, name) for name in gradtx.__all__]
    assert all(item.__name__.startswith("gradtx.") for item in shown if isinstance(item, types.ModuleType))


def test_the_parts_have_a_home_and_the_same_address_at_the_root():
    for name in gradtx.transforms.__all__:
        assert getattr(gradtx.transforms, name) is getattr(gradtx, name)
    parts = {name for name in gradtx.transforms.__all__ if hasattr(getattr(gradtx, name), "spec")}
    assert parts == set(gradtx.transforms.__all__)
