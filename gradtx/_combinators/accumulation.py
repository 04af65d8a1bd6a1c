"""Gradient accumulation: several small batches act as one large batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxValueError, check_state
from gradtx._base.numerics import align, increment, strong, weak, widen
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._combinators.condition import single
from gradtx._core.context import Context, Work
from gradtx._core.facts import Facts
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._values.schedule import Schedule


@state_class
class Accumulated(NamedTuple):
    """The state of `accumulate_gradients`.

    Attributes:
        count: int32, the number of gradients accumulated in the current window.
        emitted: int32, the number of complete windows, which is the number of updates of the transform.
        mean: the sum of the accumulated gradients, each divided by the window length: their mean once the window is
            complete, and until the next one begins.
        inner: the state of the transform.
    """

    count: Any
    emitted: Any
    mean: Any
    inner: Any


@transformation(role="wrapper")
def accumulate_gradients(inner: Transform, every: Any, skip: Callable[[Updates], Any] | None = None):
    r"""Gradient accumulation: passes the mean of several gradients to the inner transform; until then updates are zero.

    .. math:: m_t = m_{t-1} + g_t / every, \quad u_t = inner(m_t) \text{ at the end of a window, else } 0

    where m restarts at 0 in each window, so a NaN affects only its own window. Gradients are divided before they are
    added, so the sum does not overflow, and a window of length 1 gives exactly the output of `inner`.

    At inactive steps the state of `inner` is unchanged. Its old state is selected in the same fused loop that computes
    the new one, without a temporary buffer; where a part of `inner` needs the whole tree for more than one scalar,
    `inner` is not computed. A schedule inside `inner` counts the updates of `inner`. Where `accumulate_gradients` is
    the transform itself that `make_train_step` gets, and in no other, a step within a window does not touch parameters
    or inner state, and moves a third of the bytes.

    `inner` gets the parameters and extra arguments of the last step of a window; those of the other steps are lost. For
    transforms that read the loss or gradients at other parameters (`momo`, `polyak_sgd`, `sharpness_aware`, `sophia`)
    they belong to the last part of the batch only: use `make_train_step(..., accumulate=n)` for the means.

    Args:
        inner: the transform.
        every: the window length: a whole number, or a schedule of the number of updates emitted so far, which is
            rounded, and at least 1.
        skip: a function of the gradients, in at least 32 bits, that returns whether to skip them (`has_nonfinite`):
            skipped gradients count neither for the mean nor for the window length.

    State: `Accumulated(count, emitted, mean, inner)`: besides the inner state two int32, and one array per parameter,
    in its dtype or float32 if that is wider.

    Raises:
        GradtxValueError: `every` is not a positive whole number or a schedule, or `skip` does not return a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = accumulate_gradients(sgd(1.0), every=2)
        >>> state = tx.init(jnp.zeros(()))
        >>> for gradient in (1.0, 3.0, 5.0):
        ...     update, state = tx.update(jnp.asarray(gradient), state)
        ...     print(update, has_updated(state))
        0.0 False
        -2.0 True
        0.0 False
    """
    inner, length = as_transformation(inner), _length(every)

    def init(step: Context, params: Params) -> Accumulated:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        mean = treedef.unflatten([jnp.zeros_like(p, dtype=widen(p.dtype)) for p in leaves])
        return Accumulated(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), mean, step.init(inner, params))

    def added(updates: Updates, state: State) -> tuple[Array, Accumulated]:
        """Whether the window is full with these gradients, and the state with them, all of it but the inner one."""
        check_state(Accumulated, state)
        trees.leaves_like(updates, state.mean, "updates", "state")
        updates = trees.widened(updates)  # `skip` may compute with them
        left_out = jnp.asarray(single("skip", skip(updates)) if skip else False).astype(bool)
        window = length(state.emitted)
        begins = state.count == 0

        def add(g: Array, mean: Array) -> Array:
            g, m = align(jnp.where(left_out, jnp.zeros_like(g), g) if skip else g, mean)
            part = (1 / window) * g
            return strong(jnp.where(begins, part, m + part), mean.dtype)

        mean = jax.tree.map(add, updates, state.mean)
        count = jnp.where(left_out, state.count, state.count + 1)
        full = ~left_out & (count.astype(float) >= window)
        emitted = jnp.where(full, increment(state.emitted), state.emitted)
        return full, Accumulated(jnp.where(full, 0, count), emitted, mean, state.inner)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, Accumulated]:
        full, new = added(updates, state)
        out, own = step.update_where(full, inner, new.mean, new.inner, params)
        return out, new._replace(inner=own)

    def apply(step: Context, updates: Updates, state: State, params: Params) -> tuple[Params, Accumulated]:
        full, new = added(updates, state)
        params, own = step.apply_where(full, inner, new.mean, new.inner, params)
        return params, new._replace(inner=own)

    return GradientTransformation._of(Work(init, update, facts=Facts(pauses=True), apply=apply))


@explains_calls("has_updated")
def has_updated(state: State) -> Array:
    """Whether the last step completed a window of `accumulate_gradients`, as a 0-d boolean array.

    A gradient that is skipped changes no count, so after it the answer is that of the step before.

    Args:
        state: a state with one `accumulate_gradients` in it.

    Raises:
        GradtxValueError: it has none, or several.
    """
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Accumulated))
    found = [node for node in nodes if isinstance(node, Accumulated)]
    if len(found) != 1:
        raise GradtxValueError(
            f"has_updated: expected a state with one `accumulate_gradients` in it, got {len(found) or 'none'}"
        )
    return (found[0].count == 0) & (found[0].emitted > 0)


def _length(every: Any) -> Callable[[Array], Any]:
    """The window length after so many emitted updates; it is constant within a window."""
    if not callable(every):
        length = float(whole_number("every", every))
        return lambda emitted: length
    follow = every if isinstance(every, Schedule) else Schedule(every)
    return lambda emitted: weak(jnp.maximum(jnp.round(follow(emitted)), 1.0))
