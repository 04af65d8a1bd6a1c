"""The classes of states."""

from typing import TypeVar

import jax.export

C = TypeVar("C", bound=type[tuple])


def state_class(kind: C) -> C:
    """Decorates a named tuple that is (a part of) a state: programs exported by JAX that have it can be saved."""
    jax.export.register_namedtuple_serialization(kind, serialized_name=f"gradtx.{kind.__name__}")
    return kind
