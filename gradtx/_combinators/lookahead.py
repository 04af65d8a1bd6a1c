"""Lookahead: slow parameters that follow fast ones."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.branch import cast_like, one_of
from gradtx._base.checks import whole_number
from gradtx._base.numerics import weighted_mean
from gradtx._base.states import state_class
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.compose import compose
from gradtx._core.constructors import clocked_memory, combinator, with_facts
from gradtx._core.context import Context
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._core.updates import apply_updates
from gradtx._values.schedule import UnitInterval


@state_class
class Slow(NamedTuple):
    """The state of `lookahead` besides that of its inner transform.

    Attributes:
        params: the slow parameters, in at least float32.
        count: int32, the number of updates since the last synchronization.
    """

    params: Any
    count: Any


@transformation(role="wrapper")
def lookahead(inner: Transform, sync_period: int, slow_step_size: UnitInterval, reset_state: bool = False):
    r"""Lookahead: applies an optimizer, and every k steps moves the parameters back towards the slow parameters.

    .. math:: \phi \leftarrow \phi + slow\_step\_size \, (p + u - \phi), \quad u \leftarrow \phi - p
        \quad \text{at every } sync\_period\text{-th step}

    where u is the update of the inner transform and :math:`\phi` are the slow parameters, kept in the state. The
    trained parameters p are the fast ones; a synchronization sets them to the slow ones. Evaluate right after a
    synchronization.

    Args:
        inner: a transform whose updates are steps, such as a named optimizer.
        sync_period: the number of steps between synchronizations.
        slow_step_size: the fraction of the way from the slow to the fast parameters, in [0, 1].
        reset_state: whether to reinitialize the inner state after each synchronization.

    State: a dict with the state of `inner`, and `slow`, a `Slow(params, count)`: one array per parameter, in its dtype
    or float32 if that is wider, and one int32. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing, or `sync_period` is not a positive whole number.

    Reference: Zhang, Lucas, Hinton and Ba, "Lookahead Optimizer: k steps forward, 1 step back", 2019, algorithm 1.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, params = lookahead(sgd(1.0), sync_period=2, slow_step_size=0.5), jnp.zeros(())
        >>> state = tx.init(params)
        >>> for _ in range(3):
        ...     updates, state = tx.update(jnp.full((), -1.0), state, params)
        ...     params = apply_updates(params, updates)
        ...     print(params)
        1.0
        1.0
        2.0
    """
    inner = as_transformation(inner)
    synchronize = _synchronize(whole_number("sync_period", sync_period), slow_step_size)
    if not reset_state:
        built = [inner._built(), synchronize._built()]
        work = compose(built, in_series=True, keys=("inner", "slow"))
        return GradientTransformation._of(replace(work, facts=work.facts._replace(keeps_params=True)))

    def init(step: Context, params: Params) -> State:
        return {"inner": step.init(inner, params), "slow": step.init(synchronize, params)}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        updates, new = step.update(inner, updates, state["inner"], params)
        updates, slow = step.update(synchronize, updates, state["slow"], params)
        # Not selected inside the arithmetic: the stored array would not be the one the update is computed from.
        new = one_of(
            slow.count == 0,
            lambda: jax.tree.map(cast_like, step.init(inner, apply_updates(params, updates)), new),
            lambda: new,
        )
        return updates, {"inner": new, "slow": slow}

    return with_facts(combinator(init, update), keeps_params=True)


def _synchronize(period: int, slow_step_size: Any) -> GradientTransformation:
    """Passes updates through, and every `period` steps moves the parameters back towards the slow ones."""
    mean = weighted_mean(slow_step_size)

    def advance(count: Any) -> tuple[Any, Any]:
        count = (count + 1) % period
        return count == 0, count

    return clocked_memory(
        init=lambda p: p,
        start=lambda: jnp.zeros((), jnp.int32),
        advance=advance,
        step=lambda g, slow, p, is_due: jnp.where(is_due > 0, mean(p + g, slow), slow),
        emit=lambda g, slow, p, is_due: jnp.where(is_due > 0, slow - p, g),
        state=Slow,
        needs_params=True,
        encoded=False,
    )
