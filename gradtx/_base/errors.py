"""Errors that say where they were raised, what was expected, what was got and what to do.

An error raised deep inside a composition has only its own message. Each transform that it passes on its way out adds
its name (`add_stages`), so that the message begins with the path of stages: `in adamw > add_decayed_weights: ...`.
"""

import re
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
        is_about_state: whether a state does not have the form that it should have.
        lacks_transform: whether something else was given where a transform belongs; the factory adds how it is called.
    """

    def __init__(self, complaint: str):
        super().__init__(complaint)
        self.complaint = complaint
        self.stages: tuple[str, ...] = ()
        self.is_about_state = False
        self.lacks_transform = False

    def __str__(self) -> str:
        return f"in {' > '.join(self.stages)}: {self.complaint}" if self.stages else self.complaint


class GradtxValueError(GradtxError, ValueError):
    """An invalid value: a number, shape, structure or name."""


class GradtxTypeError(GradtxError, TypeError):
    """An invalid dtype or type of object, or a missing argument."""


def add_stages(error: Exception, stages: tuple[str, ...]) -> Exception:
    """The error with these stages in front of its path; errors that gradtx does not define get the path as a note."""
    if isinstance(error, GradtxError):
        error.stages = (*stages, *error.stages)
    elif stages:
        path = " > ".join(stages)
        notes = getattr(error, "__notes__", [])
        known = next((note for note in notes if note.startswith(_NOTE)), None)
        if known is None:
            error.add_note(_NOTE + path)
            if isinstance(error, jax.errors.TracerBoolConversionError) or "truth value" in str(error):
                error.add_note(
                    "use jnp.where(condition, x, y) in place of `if`, and & and | in place of `and` and `or`"
                )
            elif isinstance(error, jax.errors.UnexpectedTracerError):
                error.add_note(
                    "the state or the updates hold tracers of a traced function that has ended; return them from it: "
                    "updates, state = jax.jit(tx.update)(updates, state, params)"
                )
        else:
            notes[notes.index(known)] = f"{_NOTE}{path} > {known.removeprefix(_NOTE)}"
    return error


_NOTE = "raised in "


def without_machinery(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of the core, which do not help to find a mistake in a user's own function.

    They stay with `JAX_TRACEBACK_FILTERING=off`, as do those of JAX.
    """
    option = jax.config.jax_traceback_filtering  # pyright: ignore[reportAttributeAccessIssue]
    if option == "off":
        return traceback
    frames, rest = [], None
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    for at in reversed(frames):
        if not at.tb_frame.f_code.co_filename.startswith(_MACHINERY):
            rest = TracebackType(rest, at.tb_frame, at.tb_lasti, at.tb_lineno)
    return rest


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
    """`repr(x)` for a message, without addresses, cut to 100 characters: `x` may be all parameters of a model."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(x))
    return text if len(text) <= 100 else f"{text[:97]}..."


RESTORE = "if it was restored into plain containers, restore it with jax.eval_shape(tx.init, params) as the target"


def is_of_plain_containers(state: Any) -> bool:
    """Whether the state looks as if a file had been read back into lists and dicts: states are tuples inside."""
    found: list[Any] = []
    jax.tree.leaves(state, is_leaf=lambda node: bool(found.append(node)))
    return isinstance(state, list) or (isinstance(state, dict) and not any(isinstance(x, tuple) for x in found))


def wrong_state(expected: str, state: Any) -> GradtxValueError:
    """The error for a state that does not have the form it should have; the outermost call knows more about it."""
    got = short(jax.tree.structure(state)).removeprefix("PyTreeDef")
    if is_of_plain_containers(state):
        got = f"a {type(state).__name__}; {RESTORE}"
    error = GradtxValueError(f"this is the state of another transform: expected {expected}, got {got}")
    error.is_about_state = True
    return error


def check_state(kind: type, state: Any) -> None:
    """Raises if the state is not of this class."""
    if not isinstance(state, kind):
        raise wrong_state(f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} `{kind.__name__}`", state)


def inner_in_tuple(state: Any) -> Any:
    """The inner state, which is all that the state of a wrapper holds."""
    if not isinstance(state, (tuple, list)) or len(state) != 1:
        raise wrong_state("a tuple of length 1", state)
    return state[0]


def inner_in_dict(state: Any) -> Any:
    """The same where it is a dict."""
    if not isinstance(state, dict) or set(state) != {"inner"}:
        raise wrong_state("one with the part inner", state)
    return state["inner"]


def listing(items) -> str:
    """`a, b, c` in the order given, cut after eight."""
    texts = [str(item) for item in items]
    return ", ".join(texts[:8]) + (f", ... ({len(texts) - 8} more)" if len(texts) > 8 else "")
