"""Transforms that are applied at some steps only."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._combinators.condition import has_nonfinite
from gradtx.optax import _states as states
from gradtx.optax._engine import zero_count
from gradtx.optax._numerics import canonical_dtype, safe_increment
from gradtx.optax._tree_math import cast_like, norm, where, zeros_like
from gradtx.optax._types import GradientTransformation, with_extra_args_support
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


class ShouldSkipUpdateFunction(Protocol):
    """Says whether `MultiSteps` leaves a gradient out: `(updates, gradient_step, params) -> (boolean, state)`."""

    def __call__(self, updates: Updates, gradient_step: Array, params: Params, /) -> tuple[Array, Any]: ...


class ConditionFn(Protocol):
    """Says whether a step counts: `(step, **extra) -> boolean`."""

    def __call__(self, step: Array, **extra_args: Any) -> Any: ...


def skip_not_finite(updates: Updates, gradient_step: Array, params: Params) -> tuple[Array, dict[str, Array]]:
    """For `MultiSteps`: leaves out a gradient with elements that are not finite."""
    bad = jax.tree.map(lambda g: jnp.sum(~jnp.isfinite(g)), updates)
    count = jnp.sum(jnp.stack(jax.tree.leaves(bad)))
    return count > 0, {"should_skip": count > 0, "num_not_finite": count}


def skip_large_updates(
    updates: Updates, gradient_step: Array, params: Params, max_squared_norm: Any
) -> tuple[Array, dict[str, Array]]:
    """For `MultiSteps`: leaves out a gradient whose squared norm is not below a bound."""
    squared = norm(updates, squared=True)
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}


class MultiSteps:
    """Accumulates gradients over steps; see `gradtx.accumulate_gradients`, a transform like all others.

    Args:
        opt: the optimizer that gets the accumulated gradient.
        every_k_schedule: over how many steps, a number or a function of the updates so far.
        use_grad_mean: whether gradients are averaged, or summed.
        should_skip_update_fn: which gradients to leave out, a `ShouldSkipUpdateFunction`.
        accumulator_dtype: the dtype of the accumulated gradient.
    """

    def __init__(
        self,
        opt: Any,
        every_k_schedule: int | Callable[[Array], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
        accumulator_dtype: Any = jnp.float32,
    ):
        self._opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda step: every_k_schedule
        self._is_mean = use_grad_mean
        self._skips = should_skip_update_fn or (lambda updates, gradient_step, params: (jnp.asarray(False), ()))
        self._dtype = canonical_dtype(accumulator_dtype)

    @property
    def inner_opt(self) -> Pair:
        return self._opt

    def init(self, params: Params) -> states.MultiStepsState:
        return states.MultiStepsState(
            mini_step=zero_count(),
            gradient_step=zero_count(),
            inner_opt_state=self._opt.init(params),
            acc_grads=zeros_like(params, self._dtype),
            skip_state=self._skips(zeros_like(params), zero_count(), params)[1],
        )

    def update(
        self, updates: Updates, state: Any, params: Params = None, **extra_args: Any
    ) -> tuple[Updates, states.MultiStepsState]:
        skip, skip_state = self._skips(updates, state.gradient_step, params)
        if (skip.dtype, skip.shape) != (jnp.bool_, ()):
            raise GradtxValueError(f"should_skip_update_fn: expected a 0-d boolean, got {skip.dtype}{skip.shape}")
        every = self._every(state.gradient_step)
        emits = state.mini_step == every - 1

        def added(g: Array, total: Array) -> Array:
            return total + (g - total) / (state.mini_step + 1) if self._is_mean else total + g

        total = jax.tree.map(added, updates, state.acc_grads)

        def emitted(inner: State) -> tuple[Updates, State]:
            out, new = self._opt.update(cast_like(total, updates), inner, params, **extra_args)
            return out, jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), new, inner)

        def nothing(inner: State) -> tuple[Updates, State]:
            form, _ = jax.eval_shape(emitted, inner)
            return zeros_like(form), inner

        out, inner = lax.cond(emits & ~skip, emitted, nothing, state.inner_opt_state)
        kept = jax.tree.map(lambda t: jnp.where(emits, 0.0, t).astype(self._dtype), total)
        return out, states.MultiStepsState(
            mini_step=jnp.where(skip, state.mini_step, safe_increment(state.mini_step) % every),
            gradient_step=jnp.where(emits & ~skip, safe_increment(state.gradient_step), state.gradient_step),
            inner_opt_state=inner,
            acc_grads=where(skip, state.acc_grads, kept),
            skip_state=skip_state,
        )

    def has_updated(self, state: Any) -> Array:
        """Whether the last step handed on an update."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """This as a pair."""
        return GradientTransformation(self.init, self.update)


def apply_if_finite(inner: Any, max_consecutive_errors: int) -> Pair:
    """Leaves out updates that are not finite, but no more than so many in a row; see `gradtx.skip_nonfinite`."""
    inner = with_extra_args_support(inner)

    def init(params: Params) -> State:
        return states.ApplyIfFiniteState(zero_count(), jnp.asarray(True), zero_count(), inner.init(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        is_finite = ~has_nonfinite(updates)
        bad = jnp.where(is_finite, 0, safe_increment(state.notfinite_count))
        total = jnp.where(is_finite, state.total_notfinite, safe_increment(state.total_notfinite))
        active = is_finite | (bad > max_consecutive_errors)
        out, own = _where(active, inner, updates, state.inner_state, params, extra, zeros_like(updates))
        return out, states.ApplyIfFiniteState(bad, is_finite, total, own)

    return Pair(init, update)


def conditionally_transform(inner: Any, should_transform_fn: ConditionFn, forward_extra_args: bool = False) -> Pair:
    """Applies a transform at some steps, and hands the updates on at the others; see `gradtx.conditional`."""
    return _conditional(inner, should_transform_fn, forward_extra_args, lambda g: g, states.ConditionallyTransformState)


def conditionally_mask(inner: Any, should_transform_fn: ConditionFn, forward_extra_args: bool = False) -> Pair:
    """Applies a transform at some steps, and hands on zeros at the others; see `gradtx.conditional`."""
    return _conditional(inner, should_transform_fn, forward_extra_args, zeros_like, states.ConditionallyMaskState)


def _conditional(inner: Any, condition: ConditionFn, forwards: bool, otherwise: Any, kind: Any) -> Pair:
    inner = with_extra_args_support(inner)

    def init(params: Params) -> State:
        return kind(inner_state=inner.init(params), step=zero_count())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        active = condition(state.step, **(extra if forwards else {}))
        out, own = _where(active, inner, updates, state.inner_state, params, extra, otherwise(updates))
        return out, kind(inner_state=own, step=safe_increment(state.step))

    return Pair(init, update)


def _where(
    active: Any, inner: Pair, updates: Updates, state: State, params: Params, extra: dict[str, Any], otherwise: Updates
) -> tuple[Updates, State]:
    """What `inner` makes of the updates where `active`, else other updates and the state as it is."""
    return lax.cond(active, lambda: inner.update(updates, state, params, **extra), lambda: (otherwise, state))


def lookahead(fast_optimizer: Any, sync_period: int, slow_step_size: Any, reset_state: bool = False) -> Pair:
    """Lookahead on two sets of parameters, `LookaheadParams`; `gradtx.lookahead` keeps the slow ones in the state."""
    if sync_period < 1:
        raise GradtxValueError(f"sync_period: expected at least 1, got {sync_period}")
    fast_optimizer = with_extra_args_support(fast_optimizer)

    def init(params: Params) -> State:
        return states.LookaheadState(fast_optimizer.init(getattr(params, "fast", params)), zero_count())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if not hasattr(params, "slow"):
            raise GradtxTypeError("expected LookaheadParams as parameters; call LookaheadParams.init_synced(params)")
        steps, own = fast_optimizer.update(updates, state.fast_state, params.fast, **extra)
        syncs = state.steps_since_sync == sync_period - 1
        ahead = jax.tree.map(lambda f, u, s: f + u - s, params.fast, steps, params.slow)
        slow = jax.tree.map(lambda d: jnp.where(syncs, slow_step_size * d, jnp.zeros_like(d)), ahead)
        fast = jax.tree.map(lambda u, d: jnp.where(syncs, u - (1 - slow_step_size) * d, u), steps, ahead)
        if reset_state:
            own = where(syncs, fast_optimizer.init(params.fast), own)
        counted = (state.steps_since_sync + 1) % sync_period
        return states.LookaheadParams(fast=fast, slow=slow), states.LookaheadState(own, counted)

    return Pair(init, update)
