"""What the references share.

Every reference takes `gradients` of shape (steps, n) and the initial `current_params` of shape (n,),
and returns the updates of shape (steps, n): what is added to the parameters at each step.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Number = float | Callable[[int], float]


def at(number: Number, step: int) -> float:
    """Returns the number, or the value of the schedule at `step` (0 at the first update)."""
    return float(number(step)) if callable(number) else float(number)


def double_precision(gradients: ArrayLike, parameters: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns copies of both in float64, or in complex128 if either of them is complex."""
    is_complex = np.iscomplexobj(gradients) or np.iscomplexobj(parameters)
    dtype = np.complex128 if is_complex else np.float64
    return np.array(gradients, dtype), np.array(parameters, dtype)


def abs_squared(x: np.ndarray) -> np.ndarray:
    """Returns |x|^2, which is real: x^2 where x is real."""
    return x.real**2 + x.imag**2


def divide(numerator: np.ndarray, denominator: np.ndarray | float) -> np.ndarray:
    """Returns numerator / denominator, with 0/0 counted as 0."""
    both_zero = (numerator == 0) & (denominator == 0)
    return numerator / np.where(both_zero, 1.0, denominator)


def squared_norm(x):
    """The squared Euclidean norm of the whole array."""
    return float(np.sum(abs_squared(x)))


def inner(x, y):
    """The real part of the inner product over the whole arrays."""
    return float(np.vdot(x, y).real)
