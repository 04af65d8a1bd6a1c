"""Bounds on the size of updates."""

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._constructors import elementwise, treewise
from gradtx._core import transformation
from gradtx._numerics import abs_square, safe_divide, safe_sqrt, weak
from gradtx._schedule import NonNegative


@transformation
def clip(max_delta: NonNegative):
    r"""Clipping of each element; complex ones keep their direction.

    .. math:: u = \max(-max\_delta, \min(max\_delta, g))

    Args:
        max_delta: the largest magnitude let through, not negative.

    State: none.
    """

    def fn(g):
        if jnp.iscomplexobj(g):
            magnitude = safe_sqrt(abs_square(g))
            return g * jnp.where(magnitude > max_delta, safe_divide(max_delta, magnitude), 1.0)
        return jnp.clip(g, -max_delta, max_delta)

    return elementwise(fn)


@transformation
def clip_by_global_norm(max_norm: NonNegative):
    r"""Clipping of the whole tree: where its norm is above `max_norm`, all of it is scaled down to that norm.

    .. math:: u = g \cdot \min(1, max\_norm / \lVert g \rVert)

    The norm is that of `gradtx.tree.global_norm`, in at least float32 and safe from overflow; the arrays are multiplied
    by one number. One NaN makes all updates NaN, and an infinity becomes NaN: nothing here hides them.

    Args:
        max_norm: the largest norm let through, not negative.

    State: none.

    Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
    algorithm 1.
    """

    def update(updates, state, params):
        norm = tree.global_norm(updates)
        factor = weak(jnp.where(norm <= max_norm, 1.0, safe_divide(max_norm, norm)))
        return jax.tree.map(lambda g: factor * g, updates), state

    return treewise(update)
