"""`optax.assignment`, which is handed on from the installed Optax."""

from typing import TYPE_CHECKING

from gradtx.optax._handed_on import surface as _surface

if TYPE_CHECKING:
    from optax.assignment import *  # pyright: ignore[reportWildcardImportFromLibrary]
else:
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
