"""The signature of a factory as `help` shows it."""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gradtx._base.typing import Number

_NUMBER = "float | Array | Schedule"
_MODULES = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


class _Shown:
    """An annotation whose text is computed when it is printed: at import that would take 40 ms."""

    def __init__(self, read: Callable[[], str]):
        self._read = read

    def __repr__(self) -> str:
        return self._read()


def readable_signature(body: Callable[..., Any], kind: type) -> inspect.Signature:
    """The signature of the factory of `body`, which returns a `kind`; the annotations are printed without modules."""
    signature = inspect.signature(body)
    parameters = [
        p if p.annotation is p.empty else p.replace(annotation=_Shown(partial(_text_of, body, p.name)))
        for p in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=_Shown(lambda: kind.__name__))


def _text_of(body: Callable[..., Any], name: str) -> str:
    hint = typing.get_type_hints(body, include_extras=True)[name]
    text = hint.__qualname__ if isinstance(hint, type) else repr(hint)
    for number in _numbers(hint):
        text = text.replace(repr(number), _NUMBER)
    return _MODULES.sub("", text)


def _numbers(hint: Any) -> Iterator[Any]:
    """The annotations of hyperparameters inside an annotation."""
    if any(isinstance(mark, Number) for mark in getattr(hint, "__metadata__", ())):
        yield hint
    else:
        for part in typing.get_args(hint):
            yield from _numbers(part)
