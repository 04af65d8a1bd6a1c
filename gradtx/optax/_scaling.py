"""Transforms that scale, clip and add."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.numerics import is_key
from gradtx._base.typing import Array, Params, State, Updates
from gradtx.optax import _states as states
from gradtx.optax._engine import init_empty_state, without_state, zero_count
from gradtx.optax._masking import masked
from gradtx.optax._numerics import safe_increment
from gradtx.optax._tree_math import add_scale, full_like, random_like, where, zeros_like
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import MaskOrFn, ScalarOrSchedule, Schedule

NO_PARAMS_MSG = "the parameters are missing; call tx.update(updates, state, params)"


def of_params(tx: Pair) -> Pair:
    """The transform, which raises where the parameters are not given."""

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if params is None:
            raise GradtxValueError(NO_PARAMS_MSG)
        return tx.update(updates, state, params, **extra)

    return Pair(tx.init, update)


def identity() -> Pair:
    """Hands the updates on."""
    return Pair(init_empty_state, lambda updates, state, params=None, **extra: (updates, state))


def set_to_zero() -> Pair:
    """Zeros."""
    return stateless(lambda updates, params: zeros_like(updates))


def stateless(f: Callable[[Updates, Params], Updates]) -> Pair:
    """The function `f(updates, params)` as a transform."""

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        return f(updates, params), states.EmptyState()

    return Pair(init_empty_state, update)


def stateless_with_tree_map(f: Callable[[Array, Array | None], Array]) -> Pair:
    """The function `f(update, parameter)` of one array as a transform; without parameters it gets None."""

    def apply(updates: Updates, params: Params) -> Updates:
        return jax.tree.map(lambda u: f(u, None), updates) if params is None else jax.tree.map(f, updates, params)

    return stateless(apply)


def scale(step_size: Any) -> Pair:
    """Multiplies by a number: `gradtx.scale`."""
    return without_state(gx.scale(step_size))


def scale_by_schedule(step_size_fn: Schedule) -> Pair:
    """Multiplies by a function of the number of steps so far."""

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        size = step_size_fn(state.count)
        scaled = jax.tree.map(lambda g: jnp.asarray(size, g.dtype) * g, updates)
        return scaled, states.ScaleByScheduleState(safe_increment(state.count))

    return Pair(lambda params: states.ScaleByScheduleState(zero_count()), update)


def scale_by_learning_rate(learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True) -> Any:
    """Multiplies by the negative learning rate, a number or a schedule; None changes nothing."""
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if isinstance(learning_rate, Callable):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    if isinstance(learning_rate, str):
        got = f"got {learning_rate!r}; convert it by float"
        raise GradtxTypeError(f"learning_rate: expected a number or a schedule, {got}")
    return scale(sign * learning_rate)


def scale_by_sign() -> Pair:
    """The sign of each element: `gradtx.sign`."""
    return without_state(gx.sign())


def scale_by_trust_ratio(min_norm: Any = 0.0, trust_coefficient: Any = 1.0, eps: Any = 0.0) -> Pair:
    """Scales each array to the norm of its parameter: `gradtx.scale_by_trust_ratio`."""
    return of_params(without_state(gx.scale_by_trust_ratio(min_norm, trust_coefficient, eps)))


def scale_by_param_block_norm(min_scale: Any = 1e-3) -> Pair:
    """Scales by the norm of each parameter: `gradtx.scale_by_param_norm`."""
    return of_params(without_state(gx.scale_by_param_norm(min_scale)))


def scale_by_param_block_rms(min_scale: Any = 1e-3) -> Pair:
    """Scales by the root mean square of each parameter: `gradtx.scale_by_param_rms`."""
    return of_params(without_state(gx.scale_by_param_rms(min_scale)))


def scale_by_polyak(f_min: Any = 0.0, max_learning_rate: Any = 1.0, eps: Any = 0.0, variant: str = "sps") -> Pair:
    """Polyak's step size, which needs the extra argument `value`: `gradtx.scale_by_polyak`."""
    return without_state(gx.scale_by_polyak(f_min, max_learning_rate, eps, variant))


def normalize_by_update_norm(scale_factor: Any = 1.0, eps: Any = 1e-6) -> Pair:
    """Divides by the global norm: `gradtx.normalize_by_global_norm`."""
    return without_state(gx.chain(gx.normalize_by_global_norm(eps), gx.scale(scale_factor)))


def centralize() -> Pair:
    """Subtracts the mean over all axes but the first; `gradtx.centralize` keeps the last."""

    def centred(g: Array) -> Array:
        return g if g.ndim < 2 else g - jnp.mean(g, tuple(range(1, g.ndim)), keepdims=True)

    return stateless(lambda updates, params: jax.tree.map(centred, updates))


def _bound(x: Any) -> Any:
    """A bound of 0, which Optax takes, as an array: gradtx refuses the number, and does not look into arrays."""
    return jnp.zeros(()) if isinstance(x, (int, float)) and x == 0 else x


def clip(max_delta: Any) -> Pair:
    """Clips each element: `gradtx.clip`."""
    return without_state(gx.clip(_bound(max_delta)))


def clip_by_block_rms(threshold: Any) -> Pair:
    """Clips the root mean square of each array: `gradtx.clip_by_block_rms`."""
    return without_state(gx.clip_by_block_rms(_bound(threshold)))


def clip_by_global_norm(max_norm: Any) -> Pair:
    """Clips the global norm: `gradtx.clip_by_global_norm`."""
    return without_state(gx.clip_by_global_norm(_bound(max_norm)))


def adaptive_grad_clip(clipping: Any, eps: Any = 1e-3, axis: Any = None) -> Pair:
    """Clips each unit relative to its parameters: `gradtx.adaptive_grad_clip`."""
    return of_params(without_state(gx.adaptive_grad_clip(clipping, eps, axis)))


def keep_params_nonnegative() -> Pair:
    """Stops parameters at 0: `gradtx.project_nonnegative`."""
    return of_params(without_state(gx.project_nonnegative()))


def zero_nans() -> Pair:
    """Replaces NaN by 0: `gradtx.zero_nans`. The state says where one was found."""
    tx = gx.zero_nans()

    def init(params: Params) -> State:
        return states.ZeroNansState(jax.tree.map(lambda p: jnp.asarray(False), params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        found = states.ZeroNansState(jax.tree.map(lambda g: jnp.any(jnp.isnan(g)), updates))
        return tx.update(updates, tx.init(updates))[0], found

    return Pair(init, update)


def add_decayed_weights(weight_decay: Any = 0.0, mask: MaskOrFn = None) -> Any:
    """Adds the parameters times a number or a schedule of it, where the mask is True."""
    is_scheduled = callable(weight_decay)

    def init(params: Params) -> State:
        return states.WeightDecaySchedule(zero_count()) if is_scheduled else states.EmptyState()

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if is_scheduled:
            return add_scale(updates, weight_decay(state.count), params), type(state)(safe_increment(state.count))
        return add_scale(updates, weight_decay, params), state

    tx = of_params(Pair(init, update))
    return tx if mask is None else masked(tx, mask)


def add_noise(eta: Any, gamma: Any, key: Any = None, *, seed: int | None = None) -> Pair:
    """Adds Gaussian noise of the variance `eta / steps**gamma`; `gradtx.add_noise` takes the key per step."""
    number_or_key = one_key(key, seed)

    def init(params: Params) -> State:
        return states.AddNoiseState(zero_count(), as_key(number_or_key))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        count = safe_increment(state.count)
        following, now = jax.random.split(state.rng_key)
        deviation = jnp.sqrt(eta / count**gamma)
        return add_scale(updates, deviation, random_like(now, updates)), states.AddNoiseState(count, following)

    return Pair(init, update)


def one_key(key: Any, seed: int | None) -> Any:
    """The key, which older code calls `seed`; 0 with a warning if there is neither."""
    if seed is not None:
        warnings.warn("seed has another name now; give key", DeprecationWarning, stacklevel=3)
        if key is not None:
            raise GradtxValueError("expected key or seed, got both")
        return seed
    if key is None:
        warnings.warn("the key is missing, and is 0; give one", stacklevel=3)
        return 0
    return key


def as_key(number_or_key: Any) -> Array:
    """The key itself, or the one that belongs to a number."""
    return number_or_key if is_key(number_or_key) else jax.random.key(number_or_key)


def apply_every(k: Any = 1) -> Pair:
    """Hands on the sum of `k` updates at each `k`-th step, and zeros at the others."""

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        position = state.count % k
        total = add_scale(updates, (position != 0), state.grad_acc)
        emitted = jax.tree.map(lambda x: jnp.where(position == k - 1, x, jnp.zeros_like(x)), total)
        return emitted, states.ApplyEvery(safe_increment(state.count) % k, total)

    return Pair(lambda params: states.ApplyEvery(zero_count(), zeros_like(params)), update)


def scale_by_optimistic_gradient(alpha: Any = 1.0, beta: Any = 1.0) -> Pair:
    """Extrapolates the gradient from the one before; at the first step there is none, and it is the same."""

    def init(params: Params) -> State:
        return states.ScaleByOptimisticGradientState(jnp.asarray(True), zeros_like(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        before = where(state.is_initial_step, updates, state.previous_gradient)
        ahead = jax.tree.map(lambda g, b: (alpha + beta) * g - beta * b, updates, before)
        return ahead, states.ScaleByOptimisticGradientState(jnp.asarray(False), updates)

    return Pair(init, update)


def scale_by_rprop(
    learning_rate: Any,
    eta_minus: Any = 0.5,
    eta_plus: Any = 1.2,
    min_step_size: Any = 1e-6,
    max_step_size: Any = 50.0,
) -> Pair:
    """Rprop's step, one step late: what goes out is the step that the gradient before asked for."""

    def init(params: Params) -> State:
        return states.ScaleByRpropState(full_like(params, learning_rate), zeros_like(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        agreement = jax.tree.map(lambda g, u: g * u, updates, state.prev_updates)

        def resized(a: Array, size: Array) -> Array:
            factor = jnp.where(a > 0, eta_plus, eta_minus)
            return jnp.where(a == 0, size, jnp.clip(size * factor, min_step_size, max_step_size))

        sizes = jax.tree.map(resized, agreement, state.step_sizes)
        steps = jax.tree.map(lambda a, g, s: jnp.where(a < 0, 0.0, s * jnp.sign(g)), agreement, updates, sizes)
        late = jax.tree.map(lambda a, u: jnp.where(a < 0, 0.0, u), agreement, state.prev_updates)
        return late, states.ScaleByRpropState(sizes, steps)

    return Pair(init, update)


def scale_by_distance_over_gradients(
    reps_rel: Any = 1e-6, eps: Any = 1e-8, param_dtype: Any = jnp.float32, global_scale: Any = 1.0
) -> Pair:
    """DoG for each array by itself; `gradtx.dog` has one step size for all."""

    def length(x: Array, y: Any = 0.0) -> Array:
        return jnp.sqrt(jnp.sum(jnp.square(x - y)))

    def init(params: Params) -> State:
        start = jax.tree.map(lambda p: reps_rel * (1 + length(p)), params)
        kept = jax.tree.map(lambda p: p.astype(param_dtype), params)
        none = jax.tree.map(lambda p: jnp.zeros(1), params)
        return states.ScaleByDistanceOverGradientsState(start, none, kept)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        far = jax.tree.map(lambda d, p, q: jnp.maximum(d, length(p, q)), state.max_dist, params, state.init_params)
        total = jax.tree.map(lambda s, g: s + jnp.sum(jnp.square(g)), state.grad_sum_of_squares, updates)
        out = jax.tree.map(lambda g, d, s: global_scale * (d / jnp.sqrt(s + eps)) * g, updates, far, total)
        return out, states.ScaleByDistanceOverGradientsState(far, total, state.init_params)

    return Pair(init, of_params(Pair(init, update)).update)
