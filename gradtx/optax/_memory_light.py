"""Adafactor's and SM3's directions, which store vectors for matrices."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.numerics import abs_square, widened
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._preconditioners.factored import Factors
from gradtx.optax import _states as states
from gradtx.optax._engine import zero_count
from gradtx.optax._numerics import safe_increment
from gradtx.optax._scaling import of_params
from gradtx.optax._tree_math import update_moment, zeros_like
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


def _power(step: Any, exponent: Any = 0.8) -> Array:
    return 1.0 - jnp.asarray(step + 1, jnp.float32) ** -exponent


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: Any = 0.8,
    step_offset: Any = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: Any = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = _power,
) -> Pair:
    """Adafactor's direction: `gradtx.scale_by_factored_rms`, with any function of the step as its decay."""
    smallest = min_dim_size_to_factor if factored else sys.maxsize

    def second(decay: Any) -> Any:
        return gx.scale_by_factored_ema(decay, smallest)

    def stored(native: Any, params: Params, count: Array) -> State:
        """The native state with arrays of one 0 where there is nothing, as Optax has them."""

        def field(name: str) -> Any:
            def one(factors: Factors, p: Array) -> Array:
                x = getattr(factors, name)
                return jnp.zeros((1,), p.dtype) if x is None else x.astype(jnp.finfo(p.dtype).dtype)

            return jax.tree.map(one, native, params, is_leaf=lambda x: isinstance(x, Factors))

        return states.FactoredState(count, field("row"), field("column"), field("full"))

    def init(params: Params) -> State:
        return stored(second(0.5).init(zeros_like(params)), params, zero_count())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        decay = jnp.asarray(decay_rate_fn(state.count - step_offset, decay_rate), float)
        form = jax.eval_shape(second(0.5).init, params)

        def native(factors: Factors, *fields: Array) -> Factors:
            return Factors(*(None if have is None else x for have, x in zip(factors, fields, strict=True)))

        own = jax.tree.map(native, form, state.v_row, state.v_col, state.v, is_leaf=lambda x: isinstance(x, Factors))
        squares = jax.tree.map(lambda g: abs_square(widened(g)) + epsilon, updates)
        noise, new = second(decay).update(squares, own)
        direction = jax.tree.map(lambda g, v: g * (v**-0.5).astype(g.dtype), updates, noise)
        return direction, stored(new, params, safe_increment(state.count))

    return of_params(Pair(init, update))


def scale_by_sm3(b1: Any = 0.9, b2: Any = 1.0, eps: Any = 1e-8) -> Pair:
    """SM3's direction: the parts of `gradtx.sm3`. `b2` other than 1 has no counterpart."""
    if b2 != 1.0:
        raise GradtxValueError(f"scale_by_sm3: b2: expected 1.0, a sum of squares, got {b2}")
    sums = gx.chain(gx.square(), gx.running_sum_by_axis())

    def init(params: Params) -> State:
        if any(map(jnp.iscomplexobj, jax.tree.leaves(params))):
            raise GradtxTypeError("scale_by_sm3: expected real parameters, got complex ones")
        _, native = sums.init(zeros_like(params))
        return states.ScaleBySM3State(_like(list, params, native), zeros_like(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        total, (_, native) = sums.update(updates, ((), _like(tuple, updates, state.mu)))
        direction = jax.tree.map(lambda g, s: jnp.where(s > 0, g * jax.lax.rsqrt(s + eps), 0.0), updates, total)
        momentum = update_moment(direction, state.nu, b1, 1)
        return momentum, states.ScaleBySM3State(_like(list, updates, native), momentum)

    return Pair(init, update)


def _like(kind: Any, updates: Updates, trees: Any) -> Any:
    """The containers of vectors, one for each array of the updates, as `kind`."""
    treedef = jax.tree.structure(updates)
    return treedef.unflatten([kind(vectors) for vectors in treedef.flatten_up_to(trees)])
