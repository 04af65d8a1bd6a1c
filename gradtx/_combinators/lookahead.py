"""Lookahead: slow parameters that follow fast ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._checks import whole_number
from gradtx._constructors import required
from gradtx._core import GradientTransformation, apply_updates, as_transformation, transformation
from gradtx._errors import wrong_state
from gradtx._numerics import align, strong, weighted_mean
from gradtx._schedule import Fraction
from gradtx._typing import Params, Updates


class Lookahead(NamedTuple):
    """The state of `lookahead`.

    Attributes:
        count: int32, the number of updates since the last synchronization.
        slow: the slow parameters, in at least float32.
        inner: the state of the transform itself.
    """

    count: Any
    slow: Any
    inner: Any


@transformation
def lookahead(inner: Any, sync_period: int, slow_step_size: Fraction, reset_state: bool = False):
    r"""Lookahead: k steps of an optimizer, then one step back towards where they began.

    .. math:: \phi \leftarrow \phi + slow\_step\_size \, (p + u - \phi), \quad u \leftarrow \phi - p
        \quad \text{at every } sync\_period\text{-th step}

    where u is the update of the inner transform and :math:`\phi` are the slow parameters; the parameters p that are
    trained are the fast ones, and go to the slow ones at a synchronization. There is one tree of parameters; the slow
    ones are in the state. Evaluate right after a synchronization.

    Args:
        inner: a transform whose updates are steps, such as a named optimizer.
        sync_period: the number of steps from one synchronization to the next.
        slow_step_size: how far the slow parameters go towards the fast ones, in [0, 1].
        reset_state: whether the inner transform starts afresh after each synchronization.

    State: `Lookahead(count, slow, inner)`: one array per parameter, in its dtype or float32 if that is wider, and one
    int32. Needs the parameters.

    Raises:
        GradtxValueError: the parameters were not given, or `sync_period` is no positive whole number.

    Reference: Zhang, Lucas, Hinton and Ba, "Lookahead Optimizer: k steps forward, 1 step back", 2019, algorithm 1.
    """
    inner, mean = as_transformation(inner), weighted_mean(slow_step_size)
    period = whole_number("sync_period", sync_period)

    def init(params: Params) -> Lookahead:
        return Lookahead(jnp.zeros((), jnp.int32), tree.copied(params), inner.init(params))

    def update(updates: Updates, state: Lookahead, params: Params = None, **extra: Any) -> tuple[Updates, Lookahead]:
        if not isinstance(state, Lookahead):
            raise wrong_state("a `Lookahead`", state)
        updates, new = inner.update(updates, state.inner, required(params), **extra)
        ps = tree.leaves_like(updates, params, "updates", "parameters")
        slows = tree.leaves_like(updates, state.slow, "updates", "state")
        us, treedef = tree.floating_leaves(updates), jax.tree.structure(updates)
        us, ps = zip(*map(align, us, ps), strict=True) if us else ((), ())

        def go_on() -> tuple:
            return us, tuple(slows), new

        def synchronize() -> tuple:
            aligned = [align(p + u, slow) for p, u, slow in zip(ps, us, slows, strict=True)]
            means = [mean(fast, slow) for fast, slow in aligned]
            steps = tuple(strong(x - p, u.dtype) for x, p, u in zip(means, ps, us, strict=True))
            began = inner.init(apply_updates(params, treedef.unflatten(steps))) if reset_state else new
            return steps, tuple(strong(x, slow.dtype) for x, slow in zip(means, slows, strict=True)), began

        count = (state.count + 1) % period
        us, slows, new = jax.lax.cond(count == 0, synchronize, go_on)
        return treedef.unflatten(us), Lookahead(count, treedef.unflatten(slows), new)

    return GradientTransformation(init, update)
