"""The documentation: `python -m sphinx -W -b html docs docs/_build` after `pip install -e ".[docs]"`.

With the environment variable DOCS_OFFLINE, names of JAX and Python are not linked, which needs the network; with
DOCS_QUICK, the pages have no pictures, which take some minutes.
"""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from api_pages import lead_back, write_api  # noqa: E402
from atlas_pages import write_atlas  # noqa: E402
from docutils import nodes  # noqa: E402
from page_pictures import with_pictures  # noqa: E402
from parts_pages import write_algebra  # noqa: E402

import gradtx  # noqa: E402

project = "gradtx"
author = "The gradtx authors"
copyright = "2026, the gradtx authors"
release = version = gradtx.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
if "DOCS_OFFLINE" not in os.environ:
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "jax": ("https://docs.jax.dev/en/latest", None),
    "numpy": ("https://numpy.org/doc/stable", None),
}

html_theme = "sphinx_book_theme"
html_title = "gradtx"
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    **{f"navbar_{place}": [] for place in ("start", "center", "end", "persistent")},  # the search is beside the pages
}
exclude_patterns = ["_build", "jupyter_execute"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests execute the notebooks, and run the code of the pages
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # types written in full are longer than a page is wide
napoleon_custom_sections = ["State", "Reference"]
default_role = "py:obj"  # names in single backticks are links where they are known
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def _copy(source: Path, target: Path) -> None:
    """Copies what has changed, so that Sphinx does not read everything anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or source.read_bytes() != target.read_bytes():
        shutil.copy(source, target)


def _outside(text: str) -> str:
    """A page with links out of the documentation led to where their targets are in it."""
    for old, new in {
        "](../notebooks)": "](lessons/index.md)",
        "](../benchmarks/RESULTS.md)": "](results.md)",
        "](../CHANGELOG.md)": "](changes.md)",
    }.items():
        text = text.replace(old, new)
    return text


def _gather(app: object) -> None:
    """What lies outside of this folder: lessons, pictures, figures and changes."""
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        _copy(notebook, HERE / "lessons" / notebook.name)
    _copy(ROOT / "benchmarks" / "RESULTS.md", HERE / "results.md")
    _copy(ROOT / "CHANGELOG.md", HERE / "changes.md")
    _copy(ROOT / "benchmarks" / "training.png", HERE / "training.png")
    write_api(HERE / "api")
    write_atlas(HERE / "atlas")
    write_algebra(HERE / "algebra")


PICTURED = ("schedules", "gallery")
"""The pages whose code draws pictures."""


def _read(app: object, name: str, source: list[str]) -> None:
    if name in PICTURED and "DOCS_QUICK" not in os.environ:
        source[0] = with_pictures(HERE / f"{name}.md", HERE / "drawn")
    source[0] = _outside(source[0])


def _literal_blocks(app: object, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Indented blocks of docstrings are code, which reStructuredText wants to be told."""
    result: list[str] = []
    for line in lines:
        before = next((old for old in reversed(result) if old.strip()), "")
        is_after_text = bool(result) and not result[-1].strip() and before and not before.startswith((" ", ".."))
        if line.startswith("    ") and is_after_text and not line.lstrip().startswith(">>>"):
            result += ["::", ""]
        result.append(line)
    lines[:] = result


def _aligned(app: object, doctree: nodes.document) -> None:
    """Trees and tables of text get a class, for their lines must not wrap."""
    for block in doctree.findall(nodes.literal_block):
        if "─" in block.astext():
            block["classes"].append("aligned")


def setup(app) -> None:
    app.connect("autodoc-process-docstring", _literal_blocks, priority=400)  # before napoleon
    app.connect("builder-inited", _gather)
    app.connect("source-read", _read)
    app.connect("env-updated", lead_back)
    app.connect("doctree-read", _aligned)
