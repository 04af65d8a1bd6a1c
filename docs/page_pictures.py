"""Pictures in pages: the code of a page is run, and the results are drawn where the page asks for it.

A page asks by a comment, `<!-- picture of rate: a half cosine -->`, for the value of `rate` after the code above it: a
schedule, a figure, a diagram or the path of a film. So each picture is that of the code that the reader sees.
"""

import contextlib
import io
import re
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from gradtx import plot
from gradtx.schedules import constant

CODE_OR_MARK = re.compile(
    r"^```python\n(?P<code>.*?)^```$|^<!-- picture of (?P<name>\w+): (?P<about>[^\n]*) -->$", re.MULTILINE | re.DOTALL
)
STEPS = 100
"""The steps of a picture of a schedule."""
DPI = 200
"""Two pixels of the file for one of the page."""


def with_pictures(page: Path, folder: Path) -> str:
    """The text of the page with pictures in place of the comments; they are drawn if the page is newer."""
    text = page.read_text()
    paths = iter(_kept(page, folder) or list(_draw(page, folder)))
    return CODE_OR_MARK.sub(lambda found: image(next(paths), found["about"]) if found["name"] else found[0], text)


def image(path: Path, about: str) -> str:
    """The lines that show a picture in the folder beside the page, with a text for who cannot see it."""
    width = 0
    if path.suffix == ".png":
        with Image.open(path) as opened:
            width = opened.width * 100 // DPI
    size = f":width: {width}px\n" if width else ""
    return f"```{{image}} {path.parent.name}/{path.name}\n:alt: {about}\n{size}```"


def save(drawn: Any, path: Path) -> Path:
    """Saves a schedule, a figure or a diagram, or copies a file; returns the path with its suffix."""
    if isinstance(drawn, Path):
        return Path(shutil.copy(drawn, path.with_suffix(drawn.suffix)))
    if hasattr(drawn, "svg"):
        path = path.with_suffix(".svg")
        path.write_text(drawn.svg)
        return path
    figure = _small(drawn) if isinstance(drawn, type(constant(1.0))) else drawn
    path = path.with_suffix(".png")
    figure.savefig(path, dpi=DPI)
    return path


def _kept(page: Path, folder: Path) -> list[Path]:
    """The pictures of the page from a build before, if none is missing or older than the page."""
    count = sum(found["name"] is not None for found in CODE_OR_MARK.finditer(page.read_text()))
    paths = [path for index in range(count) for path in folder.glob(f"{page.stem}-{index}.*")]
    return paths if len(paths) == count and all(path.stat().st_mtime > page.stat().st_mtime for path in paths) else []


def _draw(page: Path, folder: Path) -> Iterator[Path]:
    """Runs the code, and draws the pictures in their order."""
    folder.mkdir(exist_ok=True)
    names, count = vars(types.ModuleType("page")), 0
    for found in CODE_OR_MARK.finditer(page.read_text()):
        if found["name"] is None:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(found["code"], page.name, "exec"), names)
        else:
            yield save(names[found["name"]], folder / f"{page.stem}-{count}")
            count += 1


def _small(schedule: Any) -> Figure:
    """A small picture of a schedule, down to 0."""
    figure = Figure(figsize=(3.6, 1.3), layout="constrained")
    axes = figure.subplots()
    plot.schedule(schedule, STEPS, ax=axes)
    low, high = axes.get_ylim()
    axes.set(title="", xlabel="", ylabel="", ylim=(min(low, -0.05 * high), high))
    return figure
