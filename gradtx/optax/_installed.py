"""The installed Optax, where there is one: its classes, and what is out of scope here."""

import sys
from types import ModuleType
from typing import Any, TypeVar

try:
    import optax as _optax
except ImportError:
    _optax = None

OPTAX: ModuleType | None = _optax

_PUBLIC = ("optax", "optax.contrib", "optax.schedules")
_MODULES = (*_PUBLIC, "optax._src.transform", "optax.transforms._adding", "optax.schedules._inject")
"""Where Optax has its classes; some have no public name."""

T = TypeVar("T", bound=type)


def as_in_optax(own: T) -> T:
    """Optax's class of this name and with these fields, where Optax is installed; else `own`.

    So `isinstance` holds in code that asks for Optax's classes, and pickled states are read by both.
    """
    for module in filter(None, map(sys.modules.get, _MODULES)):
        theirs: Any = vars(module).get(own.__name__)
        if getattr(theirs, "_fields", None) == getattr(own, "_fields", ()):
            return theirs
    return own
