"""The public modules here: what they list, and where they take from what is out of scope."""

import types
from collections.abc import Callable
from typing import Any

from gradtx._base.counterparts import near
from gradtx.optax._installed import OPTAX


def surface(name: str, names: dict[str, Any]) -> tuple[list[str], Callable[[], list[str]], Callable[[str], Any]]:
    """`__all__`, `__dir__` and `__getattr__` of a public module; what it does not have is taken from Optax's.

    Args:
        name: its name, such as "gradtx.optax.tree".
        names: its global names.
    """
    there = name.removeprefix("gradtx.")
    own = sorted(key for key, item in names.items() if _is_public(key, item))

    def getattr_(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if OPTAX is None:
            raise AttributeError(
                f"module {name!r} has no attribute {attribute!r}; what Optax has besides optimizers, such as losses, "
                f"is handed on where Optax is installed: pip install optax"
            )
        module: Any = OPTAX
        for part in there.split(".")[1:]:
            module = getattr(module, part)
        if not hasattr(module, attribute):
            if hasattr(getattr(module, "contrib", None), attribute):
                raise AttributeError(f"{name!r} has no attribute {attribute!r}; it is contrib.{attribute}")
            close = near(attribute, {*own, *dir(module)})
            hint = f"; did you mean {close!r}?" if close else ""
            raise AttributeError(f"neither {name!r} nor {there!r} has an attribute {attribute!r}{hint}")
        return getattr(module, attribute)

    return own, lambda: own, getattr_


def _is_public(key: str, item: Any) -> bool:
    """Whether a global name is one of the module, and not what it imports for itself."""
    is_foreign = isinstance(item, types.ModuleType) and not item.__name__.startswith("gradtx.")
    return not key.startswith("_") and key != "TYPE_CHECKING" and not is_foreign
