"""Lookahead: slow parameters that follow fast ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from gradtx._base.checks import whole_number
from gradtx._base.errors import wrong_state
from gradtx._base.numerics import align, strong, weighted_mean, widened
from gradtx._base.typing import Array, Params, Updates
from gradtx._core.constructors import lift, required
from gradtx._core.identity import identity
from gradtx._core.kernel import Begin, Clock, Flow, Kernel, Memory, Slot, Step, gated, unrecognizable
from gradtx._core.protocol import GradientTransformation, apply_updates, as_transformation, transformation
from gradtx._values.schedule import Fraction


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
    inner, period = as_transformation(inner), whole_number("sync_period", sync_period)
    if inner.kernel is not None and not reset_state:
        kernel = _kernel(inner.kernel, period, slow_step_size)
        alone = lift(kernel)
        # As a pair without a kernel: what is made of kernels, `store` would encode, and the parameters with it.
        return GradientTransformation(
            alone.init, _checked(alone.update), gated=lambda opened, often: lift(gated(kernel, opened)).update
        )
    nothing = identity().kernel
    assert nothing is not None
    outside = lift(_kernel(nothing, period, slow_step_size))

    def init(params: Params) -> Lookahead:
        return outside.init(params)._replace(inner=inner.init(params))

    def update(updates: Updates, state: Lookahead, params: Params, **extra: Any) -> tuple[Updates, Lookahead]:
        updates, new = inner.update(updates, state.inner, required(params), **extra)
        updates, own = outside.update(updates, state._replace(inner=()), params)
        if reset_state:
            # Not chosen in the loops: what is stored would be another array than what the update is reckoned from.
            new = lax.cond(own.count == 0, lambda: inner.init(apply_updates(params, updates)), lambda: new)
        return updates, own._replace(inner=new)

    return GradientTransformation(init, _checked(update))


def _checked(update: Callable[..., tuple[Updates, Lookahead]]) -> Callable[..., tuple[Updates, Lookahead]]:
    """`update`, if the state is one of this transform."""

    def checked(updates: Updates, state: Lookahead, params: Params = None, **extra: Any) -> tuple[Updates, Lookahead]:
        if not isinstance(state, Lookahead):
            raise wrong_state("a `Lookahead`", state)
        return update(updates, state, params, **extra)

    return checked


def _kernel(inner: Kernel, period: int, slow_step_size: Any) -> Kernel:
    """The choice is made in the loops over the arrays: a branch would copy what the transform inside stores."""
    mean = weighted_mean(slow_step_size)

    def start() -> tuple[Begin, Clock]:
        begin, clock = inner.start()
        return (
            lambda p: Lookahead(None, jnp.copy(widened(p)), begin(p)),
            Lookahead(jnp.zeros((), jnp.int32), None, clock),
        )

    def tick(clock: Clock) -> tuple[Step, Clock]:
        count = (clock.count + 1) % period
        is_due = count == 0
        work, own = inner.tick(clock.inner)

        def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            assert p is not None
            u, kept = work(g, memory.inner, p)

            def out(u: Array, slow: Array) -> Array:
                u, at = align(u, p)
                return lax.select(is_due, strong(slow - at, u.dtype), u)

            at, fast = align(p, u.value)
            fast, old = align(at + fast, memory.slow)
            slow = lax.select(is_due, strong(mean(fast, old), memory.slow.dtype), memory.slow)
            slow = u.storage.replace(slow, memory.slow)
            moved = u.to(out(u.again(), slow), lambda: out(u.again(), unrecognizable(slow)))
            return moved, Lookahead(None, slow, kept)

        return step, Lookahead(count, None, own)

    layout = Lookahead(Slot.CLOCK, Slot.MEMORY, inner.layout)
    return Kernel(layout, start, tick, inner.needs_params or "")
