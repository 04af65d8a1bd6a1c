"""The two transforms that do not read their input: one lets everything through, the other nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from gradtx._base.numerics import is_float0
from gradtx._base.typing import Array
from gradtx._core.context import Context
from gradtx._core.facts import Extent, Facts
from gradtx._core.leafwise import LeafTransform, leafwise
from gradtx._core.protocol import GradientTransformation, transformation


@transformation
def identity():
    """Identity: every update goes through as it is, of whatever dtype.

    .. math:: u = g

    State: none. The unit of `chain`.
    """
    return _on_any_dtype(lambda g: g, is_identity=True)


@transformation
def set_to_zero():
    """Zero updates, of the dtype that comes in: what it is applied to stays as it is. Integer leaves are welcome.

    .. math:: u = 0

    State: none.
    """
    return _on_any_dtype(lambda g: g if is_float0(g) else jnp.zeros_like(g), is_zero=Extent.ALL)


def _on_any_dtype(function: Callable[[Any], Any], **facts: Any) -> GradientTransformation:
    """A function of one array of any dtype, without state."""

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        return function(g), slots

    leaf = LeafTransform((), lambda step, p: (), update_leaf, lambda: (), any_dtype=True)
    return GradientTransformation._of(replace(leafwise(leaf), facts=Facts(**facts)))
