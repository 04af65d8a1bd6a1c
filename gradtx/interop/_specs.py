"""Keys for tables about gradtx's own factories."""

from typing import Any

from gradtx._values.registry import Spec


def spec_of(factory: Any) -> Spec:
    """The record of a decorated factory: `spec_of(adam) is adam(1e-3)._spec`.

    Tables are keyed by it and not by the factory's name, so that a factory of the user with the same name is not
    mistaken for gradtx's.
    """
    return factory.spec
