"""Sophia: momentum divided by an estimate of the curvature."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Params, State, Updates
from gradtx.optax import _tree_math as trees
from gradtx.optax._combining import chain
from gradtx.optax._engine import zero_count
from gradtx.optax._installed import as_in_optax
from gradtx.optax._numerics import canonical_dtype, safe_increment
from gradtx.optax._scaling import NO_PARAMS_MSG, add_decayed_weights, scale_by_learning_rate
from gradtx.optax._types import (
    GradientTransformationExtraArgs as Pair,
)
from gradtx.optax._types import (
    MaskOrFn,
    ScalarOrSchedule,
    with_extra_args_support,
)


@as_in_optax
class HutchinsonState(NamedTuple):
    key: Any


@as_in_optax
class SophiaState(NamedTuple):
    count: Any
    mu: Any
    nu: Any
    hessian_fn_state: Any


def hutchinson_estimator_diag_hessian(random_seed: Any = None) -> Pair:
    """Estimates the diagonal of the Hessian of `obj_fn`, an extra argument; `gradtx.hutchinson` takes keys too."""

    def init(params: Params) -> State:
        return HutchinsonState(jax.random.PRNGKey(0) if random_seed is None else random_seed)

    def update(
        updates: Updates, state: Any, params: Params = None, obj_fn: Any = None, **extra: Any
    ) -> tuple[Updates, State]:
        if params is None:
            raise GradtxValueError(NO_PARAMS_MSG)
        if obj_fn is None:
            raise GradtxTypeError("the extra argument obj_fn is missing, the loss as a function of the parameters")
        following, now = jax.random.split(state.key)
        signs = trees.random_like(now, params, jax.random.rademacher, jnp.float32)
        signs = trees.cast(signs, trees.dtype(params, "lowest"))
        _, curved = jax.jvp(jax.grad(obj_fn), (params,), (signs,))
        return trees.mul(curved, signs), HutchinsonState(following)

    return Pair(init, update)


_HUTCHINSON = hutchinson_estimator_diag_hessian()


def scale_by_sophia(
    b1: Any = 0.965,
    b2: Any = 0.99,
    eps: Any = 1e-8,
    gamma: Any = 0.01,
    clip_threshold: Any = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: Any = _HUTCHINSON,
    mu_dtype: Any = None,
) -> Pair:
    """Sophia's direction. It divides by the estimate of the step before, where `gradtx.sophia` has the newest one."""
    hessian_diagonal_fn, mu_dtype = with_extra_args_support(hessian_diagonal_fn), canonical_dtype(mu_dtype)

    def init(params: Params) -> State:
        inner = hessian_diagonal_fn.init(params)
        return SophiaState(zero_count(), trees.zeros_like(params, mu_dtype), trees.zeros_like(params), inner)

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if params is None:
            raise GradtxValueError(NO_PARAMS_MSG)
        count = safe_increment(state.count)
        mu = trees.update_moment(updates, state.mu, b1, 1)
        mean = trees.bias_correction(mu, b1, count)
        out = jax.tree.map(lambda m, h: m / jnp.maximum(gamma * h, eps), mean, state.nu)
        if clip_threshold is not None:
            out = trees.clip(out, -clip_threshold, clip_threshold)

        def estimated() -> tuple[State, Updates]:
            diagonal, inner = hessian_diagonal_fn.update(updates, state.hessian_fn_state, params, **extra)
            return inner, trees.update_moment(diagonal, state.nu, b2, 1)

        is_due = state.count % update_interval == 0
        inner, nu = jax.lax.cond(is_due, estimated, lambda: (state.hessian_fn_state, state.nu))
        return out, SophiaState(count, trees.cast(mu, mu_dtype), nu, inner)

    return Pair(init, update)


def sophia(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.965,
    b2: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    weight_decay_mask: MaskOrFn = None,
    gamma: Any = 0.01,
    clip_threshold: Any = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: Any = _HUTCHINSON,
    mu_dtype: Any = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> Pair:
    """Sophia; `gradtx.sophia`. What `verbose` would print is not printed."""
    direction = scale_by_sophia(b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype)
    return chain(direction, add_decayed_weights(weight_decay, weight_decay_mask), scale_by_learning_rate(learning_rate))
