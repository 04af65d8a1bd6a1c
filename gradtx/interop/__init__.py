"""Conversion of optimizer states from and to other libraries: `gradtx.interop.optax` and `gradtx.interop.torch`.

Neither module imports the other library.
"""

from gradtx.interop import optax as optax
from gradtx.interop import torch as torch

__all__ = ["optax", "torch"]


def __dir__() -> list[str]:
    return __all__
