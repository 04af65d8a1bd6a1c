"""Hyperparameters in the state, where they can be read and changed."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.typing import Params, State, Updates
from gradtx.optax import _states as states
from gradtx.optax import _tree_math as trees
from gradtx.optax._engine import zero_count
from gradtx.optax._numerics import safe_increment
from gradtx.optax._types import (
    GradientTransformationExtraArgs as Pair,
)
from gradtx.optax._types import (
    Schedule,
    StatefulSchedule,
    StaticArgs,
    with_extra_args_support,
)


class WrappedSchedule:
    """A function of the step count as a `StatefulSchedule`, which counts the steps.

    Args:
        schedule_fn: the function.
    """

    def __init__(self, schedule_fn: Schedule):
        self.schedule_fn = schedule_fn

    def init(self) -> states.WrappedScheduleState:
        return states.WrappedScheduleState(zero_count())

    def update(self, state: Any, **extra_args: Any) -> states.WrappedScheduleState:
        return states.WrappedScheduleState(safe_increment(state.count))

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        return self.schedule_fn(state.count)


def inject_hyperparams(
    inner_factory: Callable[..., Any], static_args: StaticArgs = (), hyperparam_dtype: Any = None
) -> Callable[..., Pair]:
    """A factory whose numbers are kept in the state, as `state.hyperparams`; see `gradtx.inject`.

    Args:
        inner_factory: the factory.
        static_args: the names of arguments that are left alone.
        hyperparam_dtype: the dtype of the numbers; None for the highest of the parameters.
    """
    if not callable(inner_factory):
        raise GradtxTypeError(
            f"inject_hyperparams: expected a factory, as in inject_hyperparams(adam)(learning_rate=1e-3), got "
            f"{short(inner_factory)}"
        )
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)
    if unknown := static - set(signature.parameters):
        raise GradtxValueError(
            f"static_args: {listing(sorted(unknown))} are not arguments of the factory, which has "
            f"{listing(signature.parameters)}"
        )

    @functools.wraps(inner_factory)
    def factory(*args: Any, **kwargs: Any) -> Pair:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        schedules, numbers, rest = {}, {}, {}
        for name, value in bound.arguments.items():
            if name in static or isinstance(value, bool):
                rest[name] = value
            elif isinstance(value, StatefulSchedule):
                schedules[name] = value
            elif callable(value):
                schedules[name] = WrappedSchedule(value)
            elif isinstance(value, (int, float, jax.Array, np.ndarray)):
                numbers[name] = value
            else:
                rest[name] = value
        return _injected(inner_factory, schedules, numbers, rest, hyperparam_dtype)

    return factory


def _injected(
    make: Callable[..., Any], schedules: dict[str, Any], numbers: dict[str, Any], rest: dict[str, Any], dtype: Any
) -> Pair:
    def converted(value: Any, params: Params) -> Any:
        """A float in the dtype; arrays that have chosen theirs, and integers, as they are."""
        if isinstance(value, jax.Array) and not getattr(value, "weak_type", False):  # keys have none
            return value
        is_float = jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.floating)
        wanted = dtype if dtype is not None else trees.dtype(params, "highest")
        return jnp.asarray(value, wanted) if is_float else value

    def scheduled(held: dict[str, Any], params: Params, extra: dict[str, Any]) -> dict[str, Any]:
        return {name: converted(rule(held[name], **extra), params) for name, rule in schedules.items()}

    def init(params: Params) -> State:
        held = {name: rule.init() for name, rule in schedules.items()}
        now = {name: jnp.asarray(converted(value, params)) for name, value in numbers.items()}
        now |= scheduled(held, params, {})
        return states.InjectStatefulHyperparamsState(zero_count(), now, held, make(**rest, **now).init(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        like = updates if params is None else params
        now = {name: converted(value, like) for name, value in state.hyperparams.items()}
        now |= scheduled(state.hyperparams_states, like, extra)
        held = {name: rule.update(state.hyperparams_states[name], **extra) for name, rule in schedules.items()}
        inner = with_extra_args_support(make(**rest, **now))
        updates, own = inner.update(updates, state.inner_state, params, **extra)
        return updates, states.InjectStatefulHyperparamsState(safe_increment(state.count), now, held, own)

    return Pair(init, update)


def inject_stateful_hyperparams(
    inner_factory: Callable[..., Any], static_args: StaticArgs = (), hyperparam_dtype: Any = None
) -> Callable[..., Pair]:
    """The same as `inject_hyperparams`."""
    return inject_hyperparams(inner_factory, static_args, hyperparam_dtype)
