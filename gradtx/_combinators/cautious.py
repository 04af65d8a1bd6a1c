"""Updates only where they agree with the gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import wrong_state
from gradtx._base.numerics import align, is_inexact, weak
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import combinator
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation


@transformation(role="wrapper")
def cautious(inner: Any):
    r"""Leaves out the coordinates of an optimizer's update that would go up the gradient of the moment.

    .. math:: u = \frac{n}{\max(k, 1)} \, [w g < 0] \, w, \quad w = inner(g)

    where of the n elements of an array the k with :math:`w g < 0` are kept; for complex ones it is the real part of
    :math:`\bar w g` that must be negative. An element that is NaN is kept, so that nothing hides it.

    Args:
        inner: an optimizer, whose updates are to be added: `cautious(adam(1e-3))`. Weight decay that it adds is left
            out with the rest of an element.

    State: a tuple with the state of `inner`. Nothing of its own.

    Reference: Liang, Chen, Liu and Liu, "Cautious Optimizers: Improving Training with One Line of Code", 2024,
    algorithm 1, whose divisor is k + 1.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        return (step.init(inner, params),)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != 1:
            raise wrong_state("one with the state of `inner`", state)
        proposed, new = step.update(inner, updates, state[0], params)
        gradients = trees.leaves_like(proposed, updates, "updates that go out", "updates that came in")
        leaves, treedef = jax.tree.flatten(proposed)
        return treedef.unflatten(list(map(_where_it_descends, leaves, gradients))), (new,)

    return combinator(init, update)


def _where_it_descends(w: Any, g: Any) -> Array:
    if not is_inexact(w):
        return w
    w, g = align(w, jnp.asarray(g))
    # Signs, because a product of the two may go under.
    keep = ~((jnp.sign(w).conj() * jnp.sign(g)).real >= 0)
    kept = jnp.maximum(jnp.sum(keep, dtype=jnp.int32), 1)  # in floating point a sum of ones stops at 2**24
    return weak(w.size / kept.astype(float)) * jnp.where(keep, w, 0.0)
