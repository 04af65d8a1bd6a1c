"""Names for what several branches read."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradtx._base.errors import GradtxValueError, wrong_state
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import lift, matching
from gradtx._core.kernel import Clock, Flow, Kernel, Memory, Step, naming
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation
def let(name: str, value: Any, body: Any):
    r"""Gives a name to what one transform makes of the updates, for another that reads it with `use(name)`.

    .. math:: u = body(g) \text{ with } name = value(g)

    So that a moment which occurs twice in an expression is stored, and computed, once.

    Args:
        name: the name; an inner `let` may give it again.
        value: a transform.
        body: a transform, with `use(name)` in it as often as needed.

    State: a tuple with the states of `value` and `body`. Nothing of its own.

    Example: the gradient's distance from its mean, over the mean itself.
        >>> tx = let("m", scale_by_ema(0.9), ratio(difference(identity(), use("m")), use("m")))
    """
    value, body = as_transformation(value), as_transformation(body)
    if value.kernel is not None and body.kernel is not None:
        return lift(naming(name, value.kernel, body.kernel))

    def init(params: Params) -> State:
        return value.init(params), body.init(params)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise wrong_state("one of a value and a body", state)
        named, value_state = value.update(updates, state[0], params, **extra)
        extra["bound"] = {**extra.get("bound", {}), name: named}
        updates, body_state = body.update(updates, state[1], params, **extra)
        return updates, (value_state, body_state)

    return GradientTransformation(init, update)


@transformation
def use(name: str):
    """What `let` gave this name, in place of the updates.

    .. math:: u = name

    Args:
        name: the name in the `let` around it.

    State: none.

    Raises:
        GradtxValueError: no `let` around it gives this name.
    """

    def look_up(bound: Mapping[str, Any]) -> Any:
        try:
            return bound[name]
        except KeyError:
            raise GradtxValueError(
                f"use({name!r}) stands outside let({name!r}, value, body); known are: {', '.join(bound) or 'none'}"
            ) from None

    def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
        named = look_up(g.bound)
        return g.to(named.value, named.again), memory

    def tick(clock: Clock) -> tuple[Step, Clock]:
        return step, clock

    def update(
        updates: Updates, state: State, params: Params = None, *, bound: Mapping[str, Updates] = MappingProxyType({})
    ) -> tuple[Updates, State]:
        return matching(updates, look_up(bound)), state

    return GradientTransformation(lambda params: (), update, Kernel((), lambda: (lambda p: (), ()), tick))
