"""The installed Optax, where there is one: its classes, and what is out of scope here."""

import sys
from types import ModuleType
from typing import Any, TypeVar

try:
    import optax as _optax
except ImportError:
    _optax = None

OPTAX: ModuleType | None = _optax

_MODULES = ("optax", "optax.contrib", "optax.schedules", "optax._src.transform", "optax.transforms._adding")
"""Where Optax has its classes; two of them are not public."""

T = TypeVar("T", bound=type)


def as_in_optax(own: T) -> T:
    """Optax's class of this name and with these fields, where Optax is installed; else `own`.

    So `isinstance` holds in code that asks for Optax's classes, and pickled states are read by both.
    """
    for module in _MODULES:
        theirs: Any = getattr(sys.modules.get(module), own.__name__, None)
        if getattr(theirs, "_fields", None) == getattr(own, "_fields", ()):
            return theirs
    return own
