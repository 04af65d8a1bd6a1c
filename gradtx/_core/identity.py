"""The two transforms that do not read the numbers: everything through, and nothing through."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.numerics import is_float0
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.kernel import Flow, Kernel, Memory
from gradtx._core.protocol import GradientTransformation, transformation


@transformation
def identity():
    """Identity: every update goes through as it is, of whatever dtype.

    .. math:: u = g

    State: none. The unit of `chain`.
    """
    return _on_any_dtype(lambda g: g)


@transformation
def set_to_zero():
    """Zero updates, of the dtype that comes in: what it is applied to stays as it is. Integer leaves are welcome.

    .. math:: u = 0

    State: none.
    """
    return _on_any_dtype(lambda g: g if is_float0(g) else jnp.zeros_like(g))


def _on_any_dtype(function: Callable[[Any], Any]) -> GradientTransformation:
    def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
        return g.map(function), memory

    def update(updates: Updates, state: State, params: Params = None) -> tuple[Updates, State]:
        return jax.tree.map(function, updates), state

    kernel = Kernel((), lambda: (lambda p: (), ()), lambda clock: (step, clock))
    return GradientTransformation(lambda params: (), update, kernel)
