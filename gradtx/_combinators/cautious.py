"""Cautious optimizers: no update against the gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import inner_in_tuple
from gradtx._base.numerics import align, is_inexact, weak
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation


@transformation(role="wrapper")
def cautious(inner: Transform):
    r"""Cautious optimizer: zeroes the elements of an update that point up the gradient, and rescales the others.

    .. math:: u = \frac{n}{\max(k, 1)} \, [w g < 0] \, w, \quad w = inner(g)

    where k of the n elements of an array have :math:`w g < 0` and are kept; for complex elements the real part of
    :math:`\bar w g` must be negative. NaN elements are kept, so that they are not hidden.

    Args:
        inner: an optimizer, whose updates are added to the parameters: `cautious(adam(1e-3))`. Its weight decay is
            zeroed with the rest of an element.

    State: a tuple with the state of `inner`. Nothing of its own.

    Reference: Liang, Chen, Liu and Liu, "Cautious Optimizers: Improving Training with One Line of Code", 2024,
    algorithm 1, where the divisor is k + 1.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        return (step.init(inner, params),)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        proposed, new = step.update(inner, updates, inner_in_tuple(state), params)
        gradients = trees.leaves_like(proposed, updates, "output updates", "input updates")
        leaves, treedef = jax.tree.flatten(proposed)
        return treedef.unflatten(list(map(_where_it_descends, leaves, gradients))), (new,)

    return combinator(init, update)


def _where_it_descends(w: Any, g: Any) -> Array:
    if not is_inexact(w):
        return w
    w, g = align(w, jnp.asarray(g))
    # A product of signs, because a product of the elements may underflow.
    keep = ~((jnp.sign(w).conj() * jnp.sign(g)).real >= 0)
    kept = jnp.maximum(jnp.sum(keep, dtype=jnp.int32), 1)  # int32, because a float32 sum of ones stops at 2**24
    return weak(w.size / kept.astype(float)) * jnp.where(keep, w, 0.0)
