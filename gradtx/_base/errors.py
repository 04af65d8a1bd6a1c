"""Errors that say who, where, what was got and what to do.

An error raised deep inside a composition knows its own complaint only. Each value it passes on its way out adds its
name (`at_stage`), so that the message begins with the path of stages: `in adamw > add_decayed_weights: ...`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import jax


class GradtxError(Exception):
    """Base of every error that gradtx raises on purpose.

    Attributes:
        complaint: the message without the stages.
        stages: names of the transforms it passed through, outermost first.
    """

    def __init__(self, complaint: str):
        super().__init__(complaint)
        self.complaint = complaint
        self.stages: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"in {' > '.join(self.stages)}: {self.complaint}" if self.stages else self.complaint


class GradtxValueError(GradtxError, ValueError):
    """A number, shape, structure or name that cannot be right."""


class GradtxTypeError(GradtxError, TypeError):
    """A dtype or kind of object that cannot be used here, or an argument that is missing."""


def add_stages(error: Exception, stages: tuple[str, ...]) -> Exception:
    """The error with these stages in front of its path; errors that are not of gradtx carry the path as a note."""
    if isinstance(error, GradtxError):
        error.stages = (*stages, *error.stages)
    elif stages:
        path = " > ".join(stages)
        notes = getattr(error, "__notes__", [])
        known = next((note for note in notes if note.startswith(_NOTE)), None)
        if known is None:
            error.add_note(_NOTE + path)
        else:
            notes[notes.index(known)] = f"{_NOTE}{path} > {known.removeprefix(_NOTE)}"
    return error


_NOTE = "raised in "


def without_machinery(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of the core, which say nothing about a mistake in a user's own function.

    They stay where JAX is told to leave its own: `JAX_TRACEBACK_FILTERING=off`.
    """
    option = jax.config.jax_traceback_filtering  # pyright: ignore[reportAttributeAccessIssue]
    if traceback is None or option == "off":
        return traceback
    rest = without_machinery(traceback.tb_next)
    if traceback.tb_frame.f_code.co_filename.startswith(_MACHINERY):
        return rest
    return TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


_PACKAGE = Path(__file__).parent.parent
_MACHINERY = tuple(str(_PACKAGE / folder) for folder in ("_base", "_core", "_cpu"))


@contextmanager
def at_stage(name: str) -> Iterator[None]:
    """Adds `name` in front of the stages of any error that leaves the block."""
    try:
        yield
    except Exception as error:
        add_stages(error, (name,))
        raise


def short(x: Any) -> str:
    """The text of `x` for a message, cut where it is long: nobody wants to read all parameters of a model there."""
    text = repr(x)
    return text if len(text) <= 100 else f"{text[:97]}..."


def wrong_state(wanted: str, state: Any) -> GradtxValueError:
    """The error for a state that does not have the form it should have."""
    if state is None:
        hint = "it is None; make it by state = tx.init(params), and give it second: tx.update(updates, state, params)"
    elif isinstance(state, (dict, list)):
        hint = (
            f"got a {type(state).__name__}; if it was restored from a file into plain containers, restore it with "
            f"jax.eval_shape(tx.init, params) as the target"
        )
    else:
        hint = f"got {short(jax.tree.structure(state)).removeprefix('PyTreeDef')}"
    return GradtxValueError(f"this is the state of another transform: wanted {wanted}; {hint}")


def listing(items) -> str:
    """`a, b, c` in the order given, cut after eight."""
    texts = [str(item) for item in items]
    return ", ".join(texts[:8]) + (f", ... ({len(texts) - 8} more)" if len(texts) > 8 else "")
