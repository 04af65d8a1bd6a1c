"""The pages of the reference, by topic: every public name has its place, or the build fails."""

import types
from pathlib import Path

import gradtx as gx

# By topic, the modules whose public names belong there; the first that fits takes a name.
TOPICS = {
    "Protocol and values": ("_core.protocol", "_core.updates", "_core.averages", "_values", "_base"),
    "Constructors": ("_core.constructors", "_core.matrixwise"),
    "Parts: elementwise and with memory": (
        "_core",
        "_primitives.elementwise",
        "_primitives.accumulate",
        "_primitives.lag",
    ),
    "Parts: norms, clipping, projections": (
        *("_primitives.clip", "_primitives.normalize", "_primitives.project", "_primitives.scale", "_primitives.add"),
    ),
    "Parts: what the loss and the parameters say": ("_primitives",),
    "Combinators": ("_combinators",),
    "Matrices": ("_preconditioners",),
    "Line searches and minimization": ("_linesearch", "minimization"),
    "Executions": ("_executions", "_cpu"),
    "Optimizers": ("_optimizers",),
    "Training and looking inside": ("training", "inspect", "_inspection"),
}
MODULES = ("schedules", "codecs", "tree", "linalg", "problems", "interop.optax", "interop.torch", "plot", "testing")


def by_topic() -> dict[str, list[str]]:
    """The names at the root by topic."""
    found: dict[str, list[str]] = {topic: [] for topic in TOPICS}
    for name in sorted(gx.__all__, key=str.lower):
        item = getattr(gx, name)
        if isinstance(item, types.ModuleType) or name.startswith("_"):
            continue
        home = getattr(item, "__module__", "") or ""
        topic = next(
            (topic for topic, homes in TOPICS.items() if any(home.startswith(f"gradtx.{part}") for part in homes)),
            "Protocol and values",
        )
        found[topic].append(name)
    return found


def write_api(folder: Path) -> None:
    """Writes the pages that have changed."""
    folder.mkdir(exist_ok=True)
    names = []
    for topic, members in by_topic().items():
        lines = [f"# {topic}\n"]
        for name in members:
            item = getattr(gx, name)
            kind = "autoclass" if isinstance(item, type) else "autofunction" if callable(item) else "autodata"
            options = ":members:\n" if kind == "autoclass" else ""
            lines.append(
                f"```{{eval-rst}}\n.. {kind}:: gradtx.{name}\n" + (f"   {options}" if options else "") + "```\n"
            )
        names.append(write(folder, topic, lines))
    for module in MODULES:
        lines = [f"# gradtx.{module}\n", f"```{{eval-rst}}\n.. automodule:: gradtx.{module}\n   :members:\n```\n"]
        names.append(write(folder, f"gradtx.{module}", lines))
    toctree = "\n".join(names)
    write(folder, "index", ["# Reference\n", f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"])


def write(folder: Path, title: str, lines: list[str]) -> str:
    """Writes a page if it has changed, and returns its name."""
    name = title.lower().replace(": ", "_").replace(", ", "_").replace(" ", "_").replace(".", "_")
    path, text = folder / f"{name}.md", "\n".join(lines)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return name
