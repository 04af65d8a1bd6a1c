"""A page for each named optimizer: formula, expression, what it stores, and its names elsewhere."""

import inspect
import os
from pathlib import Path

from api_pages import write
from atlas_curves import ABOUT, STORED, WIDTH, draw_curves, table
from atlas_pictures import draw

import gradtx as gx
import gradtx.optax as facade
from benchmarks.atlas import EXAMPLES, optimizers

TORCH = {
    "sgd": "SGD", "nesterov": "SGD(nesterov=True)", "adam": "Adam", "adamw": "AdamW", "adamax": "Adamax",
    "nadam": "NAdam", "radam": "RAdam", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta",
    "rprop": "Rprop", "amsgrad": "Adam(amsgrad=True)", "lbfgs": "LBFGS", "adafactor": "Adafactor", "muon": "Muon",
}  # fmt: skip
"""The class of `torch.optim`, where there is one."""


def example(name: str) -> gx.GradientTransformation:
    """The optimizer with its defaults, and a learning rate of 1e-3 where one is needed."""
    parameters = inspect.signature(getattr(gx, name)).parameters
    needed = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
    rate = {"learning_rate": 1e-3} if "learning_rate" in needed else {}
    inner = {"inner": gx.sgd(1e-3)} if "inner" in needed else {}
    return getattr(gx, name)(**rate, **inner, **EXAMPLES.get(name, {}))


def write_atlas(folder: Path) -> None:
    """Writes the pages that have changed."""
    folder.mkdir(exist_ok=True)
    for name in optimizers():
        tx = example(name)
        lines = [f"# {name}\n", f"```{{eval-rst}}\n.. autofunction:: gradtx.{name}\n   :no-index:\n```\n"]
        lines += ["## Made of\n", f"`{tx!r}` is\n", f"```text\n{gx.describe(tx)}\n```\n"]
        if "DOCS_QUICK" not in os.environ:
            lines += draw(folder, name, tx)
            lines += _curves(folder, name)
        elsewhere = _elsewhere(name)
        if elsewhere:
            lines += ["## Elsewhere\n", *(f"- {line}" for line in elsewhere), ""]
        write(folder, name, lines)
    pages = "\n".join(optimizers())
    lines = ["# Atlas\n", "A page for each named optimizer: formula, parts, what it does, and its source.\n"]
    lines += ["## Beside each other\n", ABOUT, WIDTH, *table(), ""]
    write(folder, "index", [*lines, f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n"])


def _curves(folder: Path, name: str) -> list[str]:
    if name not in STORED["losses"]:
        return []
    path = folder / f"{name}-curves.png"
    if not path.exists():
        draw_curves(path, name)
    return [
        "## How it depends on the learning rate\n",
        f"![Final loss of {name} by learning rate]({path.name})\n",
        ABOUT,
    ]


def _elsewhere(name: str) -> list[str]:
    found = []
    if name in facade.__all__ or name in facade.contrib.__all__:
        found.append(
            f"Optax: `optax.{'' if name in facade.__all__ else 'contrib.'}{name}`; where its numbers or arguments are "
            f"others, [Coming from Optax](../coming_from_optax.md) says so"
        )
    if name in TORCH:
        found.append(
            f"PyTorch: `torch.optim.{TORCH[name]}`; see [From PyTorch and Keras](../from_pytorch_and_keras.md)"
        )
    return found
