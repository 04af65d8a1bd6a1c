"""Gradients of several small batches as if they were of one large batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.checks import whole_number
from gradtx._base.errors import wrong_state
from gradtx._base.numerics import align, increment, strong, weak, widen
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._combinators.condition import single
from gradtx._core.constructors import combinator
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation
from gradtx._values.schedule import Schedule


class Accumulated(NamedTuple):
    """The state of `accumulate_gradients`.

    Attributes:
        count: int32, how many gradients of the present window have been taken in.
        emitted: int32, how many windows are full, so how many updates the transform has made.
        mean: the gradients taken in, each divided by the length of the window: their mean once the window is full, and
            from then until the next one begins.
        inner: the state of the transform.
    """

    count: Any
    emitted: Any
    mean: Any
    inner: Any


@transformation(role="wrapper")
def accumulate_gradients(inner: Any, every: Any, skip: Callable[[Updates], Any] | None = None):
    r"""The mean of several gradients, given to the transform once they are all there; until then updates are zero.

    .. math:: m_t = m_{t-1} + g_t / every, \quad u_t = inner(m_t) \text{ at the end of a window, else } 0

    and m begins each window at 0, whatever was in it: a NaN spoils no window but its own. Gradients are divided before
    they are added, so the sum does not overflow, and a window of one gives exactly what `inner` gives. In between
    `inner` stays as it is: the old memory is chosen in the loop that computes the new one, which costs no array in
    between; where something in it needs the whole tree for more than one number, `inner` is not computed. A schedule
    inside it counts the updates that it makes; it gets the parameters and the extras of the step that ends the window,
    and the others are lost: for transforms that want the loss or gradients elsewhere (`momo`, `polyak_sgd`,
    `sharpness_aware`, `sophia`) these are of the last part of the batch only. Let `make_train_step(..., accumulate=n)`
    take the means for them.

    Args:
        inner: the transform.
        every: how many gradients make a window: a whole number, or a schedule of the number of updates emitted so far,
            which is rounded, and at least 1.
        skip: a function of the gradients that says whether to leave them out (`has_nonfinite`): then they do not count,
            neither for the mean nor for the length of the window.

    State: `Accumulated(count, emitted, mean, inner)`: beside the inner state two int32, and one array per parameter, in
    its dtype or float32 if that is wider.

    Raises:
        GradtxValueError: `every` is not a positive whole number or a schedule, or `skip` gives more than one truth.
    """
    inner, length = as_transformation(inner), _length(every)

    def init(step: Context, params: Params) -> Accumulated:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        mean = treedef.unflatten([jnp.zeros_like(p, dtype=widen(p.dtype)) for p in leaves])
        return Accumulated(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), mean, step.init(inner, params))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, Accumulated]:
        if not isinstance(state, Accumulated):
            raise wrong_state("an `Accumulated`", state)
        trees.leaves_like(updates, state.mean, "updates", "state")
        left_out = jnp.asarray(single("skip", skip(updates)) if skip else False).astype(bool)
        window = length(state.emitted)
        begins = state.count == 0

        def add(g: Array, mean: Array) -> Array:
            g, m = align(jnp.where(left_out, jnp.zeros_like(g), g) if skip else g, mean)
            part = (1 / window) * g
            return strong(jnp.where(begins, part, m + part), mean.dtype)

        mean = jax.tree.map(add, trees.widened(updates), state.mean)
        count = jnp.where(left_out, state.count, state.count + 1)
        full = ~left_out & (count.astype(float) >= window)
        out, own = step.update_where(full, inner, mean, state.inner, params)
        emitted = jnp.where(full, increment(state.emitted), state.emitted)
        return out, Accumulated(jnp.where(full, 0, count), emitted, mean, own)

    return combinator(init, update)


def _length(every: Any) -> Callable[[Array], Any]:
    """The length of the window that begins after so many emitted updates, which stays until the next is emitted."""
    if not callable(every):
        length = float(whole_number("every", every))
        return lambda emitted: length
    follow = every if isinstance(every, Schedule) else Schedule(every)
    return lambda emitted: weak(jnp.maximum(jnp.round(follow(emitted)), 1.0))
