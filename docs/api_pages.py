"""The pages of the reference: every public name has its place, or the build fails."""

import ast
import functools
import importlib
import inspect
import itertools
import pkgutil
import textwrap
import types
from pathlib import Path
from typing import Any

import gradtx as gx

# By topic, the modules in which its names are defined; a dot at the end stands for all modules of a package.
TOPICS = {
    "Protocol and values": ("_core.protocol", "_core.updates", "_core.averages", "_values.", "_base.typing"),
    "Classes of errors": ("_base.errors",),
    "Constructors": ("_core.constructors", "_core.matrixwise"),
    "Parts: elementwise and with memory": (
        *("_core.identity", "_primitives.elementwise", "_primitives.accumulate", "_primitives.lag"),
        *("_primitives.reversal", "_primitives.rectify"),
    ),
    "Parts: norms, clipping, projections": (
        *("_primitives.clip", "_primitives.normalize", "_primitives.project", "_primitives.scale", "_primitives.add"),
    ),
    "Parts: what the loss and the parameters say": (
        *("_primitives.anchor", "_primitives.curvature", "_primitives.estimate", "_primitives.free"),
        *("_primitives.plateau", "_primitives.polyak", "_primitives.private"),
    ),
    "Combinators": ("_combinators.",),
    "Parts of matrices": ("_preconditioners.",),
    "Line searches and minimization": ("_linesearch.", "minimization"),
    "Executions": ("_executions.", "_cpu."),
    "Optimizers and directions": ("_optimizers.",),
    "Training and looking inside": ("training", "inspect", "_inspection."),
}


def by_topic() -> dict[str, list[str]]:
    """The names at the root by topic."""
    found: dict[str, list[str]] = {topic: [] for topic in TOPICS}
    for name in _names("gradtx"):
        home = origin("gradtx", name)[0].removeprefix("gradtx.")
        topics = [topic for topic, homes in TOPICS.items() if any(_is_in(home, part) for part in homes)]
        if len(topics) != 1:
            raise LookupError(f"docs/api_pages.py: gradtx.{name} of {home} has {len(topics)} topics instead of one")
        found[topics[0]].append(name)
    return found


def public_modules() -> list[str]:
    """The public modules that list names of their own, besides those of `gradtx.optax`."""
    found = [info.name for info in pkgutil.walk_packages(gx.__path__, "gradtx.")]
    named = [name for name in found if not any(part.startswith("_") for part in name.split("."))]
    return [name for name in named if name.split(".")[1] != "optax" and _names(name)]


@functools.cache
def origin(module: str, name: str) -> tuple[str, str]:
    """The module in which a name is defined, and the name that it has there."""
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                return origin(node.module, alias.name)
            if alias.name == "*" and name in importlib.import_module(node.module).__all__:
                return origin(node.module, name)
    return module, name


def write_api(folder: Path) -> None:
    """Writes the pages that have changed."""
    folder.mkdir(exist_ok=True)
    pages, seen = [], {}
    for topic, members in by_topic().items():
        lines = [f"# {topic}\n", *(_entry("gradtx", name, seen) for name in members)]
        pages.append(write(folder, topic, lines))
    for module in public_modules():
        lines = [f"# {module}\n", f"```{{eval-rst}}\n.. automodule:: {module}\n   :no-members:\n```\n"]
        lines += [_entry(module, name, seen) for name in _names(module)]
        pages.append(write(folder, module, lines))
    pages.append(write(folder, "gradtx.optax", _optax()))
    write_index(folder, ["# All public names\n"], pages)


def _names(module: str) -> list[str]:
    """What the module lists, without modules."""
    found = importlib.import_module(module)
    names = [name for name in getattr(found, "__all__", []) if not isinstance(getattr(found, name), types.ModuleType)]
    return sorted((name for name in names if not name.startswith("_")), key=str.lower)


def _is_in(home: str, part: str) -> bool:
    return home.startswith(part) if part.endswith(".") else home == part


def _entry(module: str, name: str, seen: dict[tuple[str, str], str]) -> str:
    """The entry of a name; where the same thing is described already, a link."""
    address, item = f"{module}.{name}", getattr(importlib.import_module(module), name)
    first = seen.setdefault(origin(module, name), address)
    if first != address:
        return f"- {{py:obj}}`{name} <{first}>`: {_first_line(item)}\n"
    if isinstance(item, type) and item is not Any:  # a class, from Python 3.11 on
        return f"```{{eval-rst}}\n.. autoclass:: {address}\n   :members:\n```\n"
    if isinstance(item, types.FunctionType):
        return f"```{{eval-rst}}\n.. autofunction:: {address}\n```\n"
    about = textwrap.indent(_comment(*origin(module, name)), "   ")
    return f"```{{eval-rst}}\n.. py:data:: {name}\n   :module: {module}\n\n{about}\n```\n"


def _first_line(item: Any) -> str:
    return (inspect.getdoc(item) or "").partition("\n")[0]


def _comment(module: str, name: str) -> str:
    """The string below an assignment."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        lines = node.body if isinstance(node, (ast.Module, ast.If)) else []
        for line, below in itertools.pairwise(lines):
            targets = [
                getattr(target, "id", "") for target in getattr(line, "targets", [getattr(line, "target", None)])
            ]
            if name in targets and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return inspect.cleandoc(str(below.value.value))
    raise LookupError(f"docs/api_pages.py: {module}.{name} has no string below it that says what it is")


def _optax() -> list[str]:
    """The names of the facade by module; what they mean is said by Optax."""
    lines = ["# gradtx.optax\n", "```{eval-rst}\n.. automodule:: gradtx.optax\n   :no-members:\n```\n"]
    lines += [
        "Name by name: [Coming from Optax](../coming_from_optax.md). Arguments and defaults are those of Optax.\n"
    ]
    modules = ["gradtx.optax", *(info.name for info in pkgutil.walk_packages(gx.optax.__path__, "gradtx.optax."))]
    modules = [module for module in modules if "._" not in module]
    for module in modules:
        if names := _names(module):
            lines += [f"## `{module}`\n", " ".join(f"`{name}`" for name in names), ""]
    handed_on = ", ".join(f"`{module}`" for module in modules if not _names(module))
    return [*lines, "## Handed on\n", f"These are those of the installed Optax: {handed_on}.\n"]


def lead_back(app: Any, env: Any) -> None:
    """Leads from the source of an optimizer back to its page in the reference; that of the atlas has no anchor."""
    for entry in getattr(env, "_viewcode_modules", {}).values():
        used = entry[2] if entry else {}
        used.update({name: "api/optimizers_and_directions" for name, page in used.items() if page.startswith("atlas/")})


def write_index(folder: Path, lines: list[str], pages: list[str]) -> None:
    """Writes the index of the pages, and removes those of a build before that are no more."""
    toctree = "\n".join(pages)
    write(folder, "index", [*lines, f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"])
    for path in folder.glob("*.md"):
        if path.stem not in (*pages, "index"):
            path.unlink()


def write(folder: Path, title: str, lines: list[str]) -> str:
    """Writes a page if it has changed, and returns its name."""
    name = title.lower().replace(": ", "_").replace(", ", "_").replace(" ", "_").replace(".", "_")
    path, text = folder / f"{name}.md", "\n".join(lines)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return name
