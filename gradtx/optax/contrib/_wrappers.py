"""Contributed wrappers, and what scales by the course of the loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Params, State, Updates
from gradtx._primitives.free import AheadOfAverage, Weights
from gradtx._primitives.plateau import Plateau
from gradtx.optax import _tree_math as trees
from gradtx.optax._combining import chain
from gradtx.optax._engine import taken, without_state
from gradtx.optax._installed import as_in_optax
from gradtx.optax._moments import scale_by_rms
from gradtx.optax._numerics import safe_increment
from gradtx.optax._optimizers import sgd
from gradtx.optax._scaling import NO_PARAMS_MSG, add_decayed_weights, scale_by_learning_rate
from gradtx.optax._schedules import warmup_constant_schedule
from gradtx.optax._states import EmptyState
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import ScalarOrSchedule, with_extra_args_support
from gradtx.optax._updates import apply_updates


@as_in_optax
class ReduceLROnPlateauState(NamedTuple):
    scale: Any
    best_value: Any
    plateau_count: Any
    cooldown_count: Any
    count: Any
    avg_value: Any


def reduce_on_plateau(
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: float = 0.0,
) -> Pair:
    """Scales down while the extra argument `value` does not improve; `gradtx.reduce_on_plateau`."""
    if not 0.0 < factor < 1.0:
        raise GradtxValueError(f"factor: expected a number in (0, 1), got {factor}")
    if rtol < 0.0 or atol < 0.0 or rtol > 1.0 or rtol == atol == 0.0:
        raise GradtxValueError(f"expected rtol in [0, 1] and atol >= 0, not both of them 0, got {rtol} and {atol}")
    tx = gx.reduce_on_plateau(factor, patience, rtol, atol, cooldown, accumulation_size, min_scale)

    def stored(native: Plateau, scale: Any, number: Any) -> State:
        return ReduceLROnPlateauState(
            scale=native.scale.astype(scale),
            best_value=native.best.astype(number),
            plateau_count=native.stale,
            cooldown_count=native.waiting,
            count=native.count,
            avg_value=jnp.where(native.count == 0, 0.0, native.mean).astype(number),
        )

    def init(params: Params) -> State:
        return stored(tx.init(params), trees.dtype(params, "lowest"), trees.dtype(params, "highest"))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        (value,) = taken(extra, "value")
        wide = [jnp.asarray(x, float) for x in (state.scale, state.best_value, state.avg_value)]
        native = Plateau(wide[0], wide[1], state.plateau_count, state.cooldown_count, state.count, wide[2])
        updates, native = tx.update(updates, native, params, value=jnp.asarray(value, float))
        return updates, stored(native, state.scale.dtype, state.best_value.dtype)

    return Pair(init, update)


@as_in_optax
class ScheduleFreeState(NamedTuple):
    b1: Any
    weight_sum: Any
    step_count: Any
    max_lr: Any
    base_optimizer_state: Any
    z: Any


def schedule_free(
    base_optimizer: Any,
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Pair:
    """Schedule-free averaging around an optimizer; `gradtx.schedule_free`."""
    base_optimizer = with_extra_args_support(base_optimizer)

    def init(params: Params) -> State:
        number = lambda x: jnp.asarray(x, trees.dtype(params, "lowest"))
        ahead = jax.tree.map(jnp.copy, trees.cast(params, state_dtype))
        inner = base_optimizer.init(params)
        return ScheduleFreeState(number(b1), number(0.0), jnp.ones((), jnp.int32), number(0.0), inner, ahead)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        steps, inner = base_optimizer.update(updates, state.base_optimizer_state, params, **extra)
        rate = learning_rate(state.step_count) if callable(learning_rate) else learning_rate
        tx = gx.schedule_free_averaging(jnp.asarray(rate, float), b1, weight_lr_power)
        wide = [jnp.asarray(x, float) for x in (state.weight_sum, state.max_lr, state.b1)]
        form = jax.eval_shape(tx.init, params).ahead
        out, new = tx.update(steps, AheadOfAverage(trees.cast_like(state.z, form), Weights(*wide)), params)
        return out, ScheduleFreeState(
            b1=state.b1,
            weight_sum=new.weights.total.astype(state.weight_sum.dtype),
            step_count=safe_increment(state.step_count),
            max_lr=new.weights.largest.astype(state.max_lr.dtype),
            base_optimizer_state=inner,
            z=trees.cast_like(new.ahead, state.z),
        )

    return Pair(init, update)


def schedule_free_eval_params(state: Any, params: Params) -> Params:
    """The averaged parameters, which are those to evaluate; `gradtx.eval_params`."""
    if getattr(state, "z", None) is None:
        raise GradtxValueError("schedule_free_eval_params: expected a ScheduleFreeState; take it out of the state")
    return jax.tree.map(lambda y, z: (y - (1.0 - state.b1) * z) / state.b1, params, state.z)


def _warmed_up(learning_rate: Any, steps: int | None) -> Any:
    return learning_rate if steps is None else warmup_constant_schedule(0.0, learning_rate, steps)


def schedule_free_sgd(
    learning_rate: Any = 1.0,
    warmup_steps: int | None = None,
    b1: Any = 0.9,
    weight_decay: Any = None,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Pair:
    """Schedule-free SGD; `gradtx.schedule_free_sgd`."""
    rate = _warmed_up(learning_rate, warmup_steps)
    inner = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(inner, rate, b1, weight_lr_power, state_dtype)


def schedule_free_adamw(
    learning_rate: Any = 0.0025,
    warmup_steps: int | None = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Pair:
    """Schedule-free AdamW; `gradtx.schedule_free_adamw`."""
    rate = _warmed_up(learning_rate, warmup_steps)
    direction = scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True)
    inner = chain(direction, add_decayed_weights(weight_decay), scale_by_learning_rate(rate))
    return schedule_free(inner, rate, b1, weight_lr_power, state_dtype)


NormalizeState = EmptyState


def normalize() -> Pair:
    """Divides by the global norm; `gradtx.normalize_by_global_norm`."""
    return without_state(gx.normalize_by_global_norm())


@as_in_optax
class SAMState(NamedTuple):
    steps_since_sync: Any
    opt_state: Any
    adv_state: Any
    cache: Any


def sam(
    optimizer: Any,
    adv_optimizer: Any,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
) -> Pair:
    """Sharpness-aware minimization: steps uphill, and then one of the optimizer from where they began.

    `gradtx.sharpness_aware` makes both in one step, with the extra argument `grad_fn`.

    Args:
        optimizer: the optimizer.
        adv_optimizer: the optimizer whose negative steps go uphill.
        sync_period: the number of steps of one round, all but the last uphill.
        reset_state: whether the state of `adv_optimizer` starts anew in each round.
        opaque_mode: whether a whole round is one update, which needs the extra argument `grad_fn(params, i)`.
        batch_axis_name: the axis over which gradients of `grad_fn` are averaged.
    """
    if sync_period < 1:
        raise GradtxValueError(f"sync_period: expected at least 1, got {sync_period}")
    optimizer, adv_optimizer = with_extra_args_support(optimizer), with_extra_args_support(adv_optimizer)

    def init(params: Params) -> State:
        cache = None if opaque_mode else params
        return SAMState(jnp.zeros((), jnp.int32), optimizer.init(params), adv_optimizer.init(params), cache)

    def uphill(updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        steps, state = adv_optimizer.update(updates, state, params)
        return jax.tree.map(jnp.negative, steps), state

    def in_turn(updates: Updates, state: Any, params: Params, grad_fn: Any) -> tuple[Updates, State]:
        is_first, is_last = state.steps_since_sync == 0, state.steps_since_sync == sync_period - 1
        up, adversary = uphill(updates, state.adv_state, params)
        down, inner = optimizer.update(updates, state.opt_state, state.cache)
        back = jax.tree.map(lambda c, p, u: c - p + u, state.cache, params, down)
        after = adv_optimizer.init(params) if reset_state else state.adv_state
        return trees.where(is_last, back, up), SAMState(
            steps_since_sync=(state.steps_since_sync + 1) % sync_period,
            opt_state=trees.where(is_last, inner, state.opt_state),
            adv_state=trees.where(is_last, after, adversary),
            cache=trees.where(is_first, params, state.cache),
        )

    def at_once(updates: Updates, state: Any, params: Params, grad_fn: Callable[..., Any] | None) -> Any:
        if grad_fn is None:
            raise GradtxTypeError("sam: opaque_mode=True needs the extra argument grad_fn(params, i)")
        here, adversary = params, state.adv_state
        for i in range(sync_period - 1):
            up, adversary = uphill(updates, adversary, here)
            here = apply_updates(here, up)
            updates = grad_fn(here, i)
            if batch_axis_name is not None:
                updates = jax.lax.pmean(updates, batch_axis_name)
        out, inner = optimizer.update(updates, state.opt_state, params)
        adversary = adv_optimizer.init(params) if reset_state else adversary
        return out, SAMState(jnp.zeros((), jnp.int32), inner, adversary, None)

    def update(
        updates: Updates, state: State, params: Params = None, *, grad_fn: Any = None, **extra: Any
    ) -> tuple[Updates, State]:
        if params is None:
            raise GradtxValueError(NO_PARAMS_MSG)
        return (at_once if opaque_mode else in_turn)(updates, state, params, grad_fn)

    return Pair(init, update)


class SplitRealAndImaginaryArrays(NamedTuple):
    """A complex array as two real ones."""

    real: Any
    imaginary: Any


@as_in_optax
class SplitRealAndImaginaryState(NamedTuple):
    inner_state: Any


def split_real_and_imaginary(inner: Any) -> Pair:
    """Applies a transform to real and imaginary parts as two arrays; `gradtx.split_complex`."""
    inner = with_extra_args_support(inner)

    def split(tree: Any) -> Any:
        as_pair = lambda x: SplitRealAndImaginaryArrays(x.real, x.imag) if jnp.iscomplexobj(x) else x
        return jax.tree.map(as_pair, tree)

    def joined(tree: Any) -> Any:
        is_pair = lambda x: isinstance(x, SplitRealAndImaginaryArrays)
        return jax.tree.map(lambda x: jax.lax.complex(*x) if is_pair(x) else x, tree, is_leaf=is_pair)

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        out, own = inner.update(split(updates), state.inner_state, split(params), **extra)
        return joined(out), SplitRealAndImaginaryState(own)

    return Pair(lambda params: SplitRealAndImaginaryState(inner.init(split(params))), update)
