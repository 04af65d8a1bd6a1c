"""The classes of states."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import jax.export

C = TypeVar("C", bound=type[tuple])

STATES: set[type] = set()
"""All of them."""


def state_class(kind: C) -> C:
    """Decorates a named tuple that is (a part of) a state: programs exported by JAX that have it can be saved."""
    STATES.add(kind)
    jax.export.register_namedtuple_serialization(kind, serialized_name=f"gradtx.{kind.__name__}")
    return kind


class Logged(ABC):
    """The classes of states that have something for `logs`; they register here."""

    @property
    @abstractmethod
    def numbers(self) -> dict[str, Any]:
        """Scalars by name."""
