"""What is out of scope here is that of the installed Optax."""

from collections.abc import Callable
from typing import Any

from gradtx.optax._installed import OPTAX


def hand_on(name: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: what it does not have is taken from Optax's module of this name.

    Args:
        name: the path of the module within Optax; empty for Optax itself.
    """
    here, there = ".".join(filter(None, ("gradtx.optax", name))), ".".join(filter(None, ("optax", name)))

    def getattr_(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(f"module {here!r} has no attribute {attribute!r}")
        if OPTAX is None:
            raise AttributeError(
                f"module {here!r} has no attribute {attribute!r}; what Optax has besides optimizers, such as losses, "
                f"is handed on where Optax is installed: pip install optax"
            )
        module: Any = OPTAX
        for part in filter(None, name.split(".")):
            module = getattr(module, part)
        try:
            return getattr(module, attribute)
        except AttributeError:
            raise AttributeError(f"neither {here!r} nor {there!r} has an attribute {attribute!r}") from None

    return getattr_
