"""Contributed optimizers: gradtx's, with Optax's arguments. States without a class of Optax here are gradtx's own."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import widened
from gradtx._base.typing import Params, State, Updates
from gradtx._combinators.mechanize import Mechanized
from gradtx.optax import _tree_math as trees
from gradtx.optax._combining import chain
from gradtx.optax._engine import with_state, zero_count
from gradtx.optax._installed import as_in_optax
from gradtx.optax._numerics import canonical_dtype, safe_increment
from gradtx.optax._scaling import add_decayed_weights, identity, scale_by_learning_rate
from gradtx.optax._states import ScaleByAdamState
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import MaskOrFn, ScalarOrSchedule, with_extra_args_support

# The states of these optimizers are gradtx's own.
COCOBState: TypeAlias = Any
DAdaptAdamWState: TypeAlias = Any
DoGState: TypeAlias = Any
DoWGState: TypeAlias = Any
MadgradState: TypeAlias = Any
MomoState: TypeAlias = Any
MomoAdamState: TypeAlias = Any
ProdigyState: TypeAlias = Any


@as_in_optax
class MechanicState(NamedTuple):
    base_optimizer_state: Any
    count: Any
    r: Any
    m: Any
    v: Any
    s: Any
    x0: Any


@as_in_optax
class ScaleByAdemamixState(NamedTuple):
    count: Any
    count_m2: Any
    m1: Any
    m2: Any
    nu: Any


@as_in_optax
class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    t: Any
    m: Any
    n: Any


def _number(x: Any) -> Any:
    """A schedule of Optax as one of gradtx; a number as it is."""
    return gx.Schedule(x) if callable(x) else x


def _at(x: Any, count: Any) -> Any:
    return x(count) if callable(x) else x


def _decayed(direction: Pair, learning_rate: Any, weight_decay: Any, mask: MaskOrFn) -> Pair:
    return chain(direction, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))


def scale_by_acprop(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-16, eps_root: Any = 1e-16) -> Pair:
    """ACProp's direction; deviations are those from the mean before, which are larger than in `gradtx.acprop`."""
    deviation = gx.chain(gx.difference(gx.identity(), gx.scale_by_ema(b1)), gx.scale(1 / b1), gx.square())
    before = gx.scale_by_previous_ema(b2, initial_value=1.0)
    noise = gx.chain(deviation, gx.add_constant(eps_root / (1 - b2)), before, gx.sqrt())
    return Pair(*gx.ratio(gx.identity(), noise, eps))


def acprop(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-16,
    eps_root: Any = 1e-16,
    weight_decay: Any = 0.0,
    mask: MaskOrFn = None,
) -> Pair:
    """ACProp; `gradtx.acprop`."""
    return _decayed(scale_by_acprop(b1, b2, eps, eps_root), learning_rate, weight_decay, mask)


def scale_by_ademamix(
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
) -> Pair:
    """AdEMAMix's direction: `gradtx.scale_by_ademamix`."""
    moments: tuple[str, ...] = ("m1", "m2", "nu")
    return with_state(
        lambda count: gx.scale_by_ademamix(b1, b2, _at(b3, count), _at(alpha, count), eps, eps_root),
        ScaleByAdemamixState,
        *moments,
        counts=("count", "count_m2"),
        dtypes=dict.fromkeys(moments, canonical_dtype(mu_dtype)),
    )


def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 0.0,
    mask: MaskOrFn = None,
) -> Pair:
    """AdEMAMix; `gradtx.ademamix`."""
    direction = scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)
    return _decayed(direction, learning_rate, weight_decay, mask)


def scale_by_simplified_ademamix(
    b1: Any = 0.99, b2: Any = 0.95, alpha: ScalarOrSchedule = 0.0, eps: Any = 1e-8, eps_root: Any = 0.0
) -> Pair:
    """The direction of `gradtx.simplified_ademamix`."""
    how_noisy = gx.chain(gx.square(), gx.scale_by_ema(b2), gx.bias_correction(b2), gx.sqrt())

    def at(count: Any) -> Any:
        return gx.ratio(gx.add(gx.add_momentum(b1), gx.scale(_at(alpha, count))), how_noisy, eps, eps_root)

    return with_state(at, ScaleBySimplifiedAdEMAMixState, "m", "n", counts=("t",))


def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.99,
    b2: Any = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mask: MaskOrFn = None,
) -> Pair:
    """Simplified AdEMAMix; `gradtx.simplified_ademamix`."""
    return _decayed(scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root), learning_rate, weight_decay, mask)


def scale_by_adopt(
    b1: Any = 0.9,
    b2: Any = 0.9999,
    eps: Any = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = lambda x: x**0.25,
) -> Pair:
    """ADOPT's direction: the parts of `gradtx.adopt`. At the first step it is 0."""
    before = gx.chain(gx.square(), gx.scale_by_previous_ema(b2, corrected=False), gx.sqrt(), gx.clip_min(eps))
    mean = gx.scale_by_ema(b1)
    momentum = gx.interpolate(mean, gx.identity(), b1) if nesterov else mean

    def at(count: Any) -> Any:
        step = jnp.asarray(count, float)
        bound = clip_value_fn(step) if use_clipping else jnp.where(step > 0, jnp.inf, 0.0)
        return gx.chain(gx.ratio(gx.identity(), before), gx.clip(bound), momentum)

    return with_state(at, ScaleByAdamState, "nu", "mu", dtypes={"mu": canonical_dtype(mu_dtype)})


def adopt(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.9999,
    eps: Any = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = lambda x: x**0.25,
) -> Pair:
    """ADOPT; `gradtx.adopt`."""
    direction = scale_by_adopt(
        b1, b2, eps, mu_dtype, nesterov=nesterov, use_clipping=use_clipping, clip_value_fn=clip_value_fn
    )
    return chain(direction, scale_by_learning_rate(learning_rate))


def scale_by_cocob(alpha: Any = 100.0, eps: Any = 1e-8) -> Pair:
    """The step of `gradtx.cocob`."""
    return Pair(*gx.cocob(1.0, alpha, eps))


def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: Any = 100.0,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    mask: MaskOrFn = None,
) -> Pair:
    """COCOB; `gradtx.cocob`."""
    rate = scale_by_learning_rate(learning_rate, flip_sign=False)
    return chain(add_decayed_weights(weight_decay, mask), rate, scale_by_cocob(alpha, eps))


def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
    estim_lr0: Any = 1e-6,
    weight_decay: Any = 0.0,
) -> Pair:
    """D-Adaptation of AdamW; `gradtx.dadapt_adamw`."""
    return Pair(*gx.dadapt_adamw(_number(learning_rate), *betas, eps, estim_lr0, weight_decay))


def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    beta3: Any = None,
    eps: Any = 1e-8,
    estim_lr0: Any = 1e-6,
    estim_lr_coef: Any = 1.0,
    weight_decay: Any = 0.0,
    safeguard_warmup: bool = False,
) -> Pair:
    """Prodigy; `gradtx.prodigy`."""
    rate = _number(learning_rate)
    return Pair(*gx.prodigy(rate, *betas, beta3, eps, estim_lr0, estim_lr_coef, weight_decay, safeguard_warmup))


def scale_by_dog(init_step: tuple[str, Any], eps: Any = 1e-8) -> Pair:
    """DoG's step: the parts of `gradtx.dog`.

    Args:
        init_step: how the first distance is found: `("heuristic", part of the norm)`, or `("distance", length)`.
        eps: added within the root.
    """
    kind, value = init_step
    if kind not in ("heuristic", "distance"):
        raise GradtxValueError(f"init_step: expected ('heuristic', x) or ('distance', x), got {init_step!r}")
    distance = gx.max_distance_from_init(value, relative=kind == "heuristic")
    return Pair(*gx.let("distance", distance, gx.product(gx.use("distance"), gx.scale_by_global_rss(eps_root=eps))))


def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_step: tuple[str, Any] = ("heuristic", 1e-6),
    eps: Any = 1e-8,
    weight_decay: Any = None,
    mask: MaskOrFn = None,
) -> Pair:
    """DoG; `gradtx.dog`."""
    decay = identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
    return chain(decay, scale_by_dog(init_step, eps), scale_by_learning_rate(learning_rate))


def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: Any = None,
    eps: Any = 1e-4,
    weight_decay: Any = None,
    mask: MaskOrFn = None,
) -> Pair:
    """DoWG; `gradtx.dowg`."""
    distance = (eps if init_estim_sq_dist is None else init_estim_sq_dist) ** 0.5
    decay = identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
    step = Pair(*gx.chain(gx.dowg(1.0, distance, eps), gx.elementwise(jnp.negative)))  # the minus comes behind
    return chain(decay, step, scale_by_learning_rate(learning_rate))


def scale_by_madgrad(learning_rate: ScalarOrSchedule, momentum: Any = 0.9, eps: Any = 1e-6) -> Pair:
    """The step of `gradtx.madgrad`; `eps` is added to the rate too."""
    rate = gx.Schedule(lambda count: learning_rate(count) + eps) if callable(learning_rate) else learning_rate + eps
    return Pair(*gx.madgrad(rate, momentum, 0.0, eps))


def madgrad(learning_rate: ScalarOrSchedule, momentum: Any = 0.9, weight_decay: Any = 0.0, eps: Any = 1e-6) -> Pair:
    """MADGRAD; `gradtx.madgrad`."""
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps))


def mechanize(
    base_optimizer: Any, weight_decay: Any = 1e-2, eps: Any = 1e-8, s_init: Any = 1e-6, num_betas: int = 6
) -> Pair:
    """Mechanic; `gradtx.mechanize`."""
    tx = gx.mechanize(with_extra_args_support(base_optimizer), weight_decay, eps, s_init, num_betas)

    def stored(native: Mechanized, count: Any, like: Params, dtype: Any) -> State:
        r, m, v, s = (x.astype(dtype) for x in (native.reward, native.largest, native.variance, native.scales))
        return MechanicState(native.inner, count, r, m, v, s, trees.cast_like(native.start, like))

    def init(params: Params) -> State:
        return stored(tx.init(params), zero_count(), params, trees.dtype(params, "lowest"))

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        r, m, v, s = (jnp.asarray(x, float) for x in (state.r, state.m, state.v, state.s))
        start = jax.tree.map(widened, state.x0)
        native = Mechanized(start, s, m, v, r, state.base_optimizer_state)
        updates, native = tx.update(updates, native, params, **extra)
        return updates, stored(native, safe_increment(state.count), state.x0, state.s.dtype)

    return Pair(init, update)


def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: Any = 0.9,
    lower_bound: Any = 0.0,
    weight_decay: Any = 0.0,
    adapt_lower_bound: bool = False,
) -> Pair:
    """MoMo, which needs the extra argument `value`; `gradtx.momo`."""
    tx = gx.momo(_number(learning_rate), beta, lower_bound, weight_decay, adapt_lower_bound)
    return Pair(tx.init, tx.update)


def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    lower_bound: Any = 0.0,
    weight_decay: Any = 0.0,
    adapt_lower_bound: bool = False,
) -> Pair:
    """MoMo with Adam's direction, which needs the extra argument `value`; `gradtx.momo_adam`."""
    tx = gx.momo_adam(_number(learning_rate), b1, b2, eps, lower_bound, weight_decay, adapt_lower_bound)
    return Pair(tx.init, tx.update)
