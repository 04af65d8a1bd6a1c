"""Calls that do not fit a function: an error that says what is missing or unknown, and how the function is called."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from gradtx._base.counterparts import ARGUMENTS, near, no_argument
from gradtx._base.errors import GradtxError, GradtxTypeError, listing

F = TypeVar("F", bound=Callable[..., Any])


def explains_calls(name: str, **hints: str) -> Callable[[F], F]:
    """Decorates a public function or method, so that a call that does not fit its signature raises an error in words.

    The signature is read only after a TypeError. Factories check their arguments themselves.

    Args:
        name: the function as users write it: `tx.update`, `tree.norm`.
        **hints: what to say if an argument is missing, or if one that the function does not have is given, by its name.
    """

    def decorated(function: F) -> F:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                better = None if isinstance(error, GradtxError) else _wrong_call(function, name, hints, args, kwargs)
                if better is None:
                    raise
                raise better from None

        result: Any = called
        return result

    return decorated


def _wrong_call(
    function: Callable[..., Any], name: str, hints: dict[str, str], args: tuple, kwargs: dict[str, Any]
) -> GradtxTypeError | None:
    """The error for these arguments; None if they fit, and the error was raised by what the function does."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        words = str(error)
    else:
        return None
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    args = args[len(signature.parameters) - len(parameters) :]
    complaint = _complaint(name, hints, parameters, args, kwargs) or f"{name}: {words}"
    usage = str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    usage = re.sub("=<[^=]*>", "=...", usage)  # a default that is a function
    return GradtxTypeError(f"{complaint}; it is called as {name}{usage}")


def _complaint(
    name: str, hints: dict[str, str], parameters: list[inspect.Parameter], args: tuple, kwargs: dict[str, Any]
) -> str | None:
    """What is wrong with the arguments, the most telling thing first; None if Python's words say as much."""
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_position = [p.name for p in named if p.kind is not p.KEYWORD_ONLY]
    takes_extras = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [key for key in kwargs if key not in {p.name for p in named}]
    if unknown and not takes_extras:
        if unknown[0] in hints:
            return f"{name} has no argument {unknown[0]!r}; {hints[unknown[0]]}"
        return no_argument(name, unknown[0], [p.name for p in named])

    by_name = [p.name for p in named if p.kind is not p.POSITIONAL_ONLY and p.name in kwargs]
    given = {*by_position[: len(args)], *by_name}
    missing = [p.name for p in named if p.default is p.empty and p.name not in given]
    if missing:
        found = [f"{key} is {here} here" for key in unknown if (here := _meant(key, missing)) is not None]
        found += [f"{key} is given by position" for key in missing if key in kwargs]
        found = found or [hints[key] for key in missing if key in hints]
        arguments, are = ("argument", "is") if len(missing) == 1 else ("arguments", "are")
        lacks = f"{name}: the {arguments} {' and '.join(map(repr, missing))} {are} missing"
        return "; ".join([lacks, *found])

    if len(args) > len(by_position):
        options = [f"{p.name}=..." for p in named if p.kind is p.KEYWORD_ONLY]
        hint = f"; these go by name: {listing(options)}" if options else ""
        if takes_extras:
            hint = f"; extra arguments go by name: {name}({', '.join([*by_position, 'value=...'])})"
        return f"{name} takes {len(by_position)} arguments by position, got {len(args)}{hint}"
    return None


def _meant(key: str, missing: list[str]) -> str | None:
    """Which of the arguments that are missing was given under another name."""
    here = ARGUMENTS.get(key)
    return here if here in missing else near(key, missing)
