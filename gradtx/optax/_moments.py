"""Transforms with moments: gradtx's expressions with Optax's arguments and states."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import weak
from gradtx.optax import _states as states
from gradtx.optax._engine import with_state
from gradtx.optax._numerics import canonical_dtype
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


def _root(eps: Any, in_sqrt: bool) -> dict[str, Any]:
    """The constant of a ratio, within the root or outside of it."""
    return {"eps": 0.0, "eps_root": eps} if in_sqrt else {"eps": eps, "eps_root": 0.0}


def _corrected(part: Any, decay: Any, is_corrected: bool = True) -> Any:
    return gx.chain(part, gx.bias_correction(decay)) if is_corrected else part


def first_moment(decay: Any, nesterov: bool, moment: Any = None) -> Any:
    """The corrected first moment, a step ahead with `nesterov`."""
    moment = gx.scale_by_ema(decay) if moment is None else moment
    if not nesterov:
        return _corrected(moment, decay)
    return gx.interpolate(gx.chain(moment, gx.bias_correction_ahead(decay)), gx.bias_correction(decay), decay)


def _second(decay: Any, is_corrected: bool = True) -> Any:
    return _corrected(gx.chain(gx.square(), gx.scale_by_ema(decay)), decay, is_corrected)


def scale_by_adam(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Pair:
    """Adam's direction: `gradtx.scale_by_adam`, or `gradtx.scale_by_nadam` with `nesterov`."""
    tx = (gx.scale_by_nadam if nesterov else gx.scale_by_adam)(b1, b2, eps, eps_root)
    return with_state(tx, states.ScaleByAdamState, "mu", "nu", dtypes={"mu": canonical_dtype(mu_dtype)})


def scale_by_amsgrad(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> Pair:
    """AMSGrad's direction; corrected, it is `gradtx.scale_by_amsgrad`."""
    how_far = _corrected(gx.scale_by_ema(b1), b1, bias_correction_mu)
    how_noisy = gx.chain(_second(b2, bias_correction_nu), gx.running_max(), gx.sqrt())
    tx = gx.ratio(how_far, how_noisy, eps, eps_root)
    return with_state(tx, states.ScaleByAmsgradState, "mu", "nu", "nu_max", dtypes={"mu": canonical_dtype(mu_dtype)})


def scale_by_adamax(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Pair:
    """AdaMax's direction; `eps` is added to each magnitude, and not to the maximum as in `gradtx.scale_by_adamax`."""
    largest = gx.chain(gx.absolute(), gx.add_constant(eps), gx.running_max(b2))
    return with_state(gx.ratio(first_moment(b1, False), largest), states.ScaleByAdamState, "mu", "nu")


def scale_by_belief(
    b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-16, eps_root: Any = 1e-16, *, nesterov: bool = False
) -> Pair:
    """AdaBelief's direction; `eps_root` is added to the stored moment, and not as in `gradtx.scale_by_belief`."""
    deviation = gx.chain(
        gx.difference(gx.identity(), gx.use("mean")), gx.square(), gx.add_constant(eps_root / (1 - b2))
    )
    how_noisy = gx.chain(_corrected(gx.chain(deviation, gx.scale_by_ema(b2)), b2), gx.sqrt())
    tx = gx.let("mean", gx.scale_by_ema(b1), gx.ratio(first_moment(b1, nesterov, gx.use("mean")), how_noisy, eps))
    return with_state(tx, states.ScaleByBeliefState, "mu", "nu")


def scale_by_yogi(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-3,
    eps_root: Any = 0.0,
    initial_accumulator_value: Any = 1e-6,
) -> Pair:
    """Yogi's direction; both moments start from the initial value, in `gradtx.scale_by_yogi` the second only."""
    second = _corrected(gx.chain(gx.square(), gx.scale_by_additive_ema(b2)), b2)
    tx = gx.ratio(first_moment(b1, False), gx.chain(second, gx.sqrt()), eps, eps_root)
    start = {"mu": initial_accumulator_value, "nu": initial_accumulator_value}
    return with_state(tx, states.ScaleByAdamState, "mu", "nu", start=start)


def scale_by_radam(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    threshold: Any = 5.0,
    *,
    nesterov: bool = False,
) -> Pair:
    """RAdam's direction; without `nesterov`, it is `gradtx.scale_by_radam`."""
    rectified = gx.chain(_second(b2), gx.radam_denominator(b2, eps, eps_root, threshold))
    return with_state(gx.ratio(first_moment(b1, nesterov), rectified), states.ScaleByAdamState, "mu", "nu")


def scale_by_adan(b1: Any = 0.98, b2: Any = 0.92, b3: Any = 0.99, eps: Any = 1e-8, eps_root: Any = 0.0) -> Pair:
    """Adan's direction; changes are weighted by `1 - b2`; by `b2` in the paper and in `gradtx.scale_by_adan`."""
    change = gx.chain(gx.use("change"), gx.scale(1 - b2))
    mean_change = gx.chain(_corrected(gx.chain(gx.use("change"), gx.scale_by_ema(b2)), b2), gx.scale(1 - b2))
    how_noisy = gx.chain(gx.add(gx.identity(), change), _second(b3), gx.sqrt())
    direction = gx.ratio(gx.add(first_moment(b1, False), mean_change), how_noisy, eps, eps_root)
    tx = gx.let("change", gx.gradient_difference(), direction)
    return with_state(tx, states.ScaleByAdanState, "g", "m", "v", "n", counts=("t",))


_LION_MODES: dict[str, Callable[[float], Any]] = {
    "hard": lambda beta: gx.sign(),
    "smooth": lambda beta: gx.elementwise(lambda x: jnp.tanh(beta * x)),
    "refined": lambda beta: gx.clip(1.0),
}


def scale_by_lion(
    b1: Any = 0.9, b2: Any = 0.99, mu_dtype: Any = None, *, mode: str = "hard", smooth_beta: float = 1.0
) -> Pair:
    """Lion's direction: `gradtx.scale_by_lion`, or another function in place of the sign."""
    if mode not in _LION_MODES:
        raise GradtxValueError(f"mode: expected one of {', '.join(_LION_MODES)}, got {mode!r}")
    blend = gx.interpolate(gx.scale_by_ema(b2), gx.identity(), b1 / b2)
    tx = gx.chain(blend, _LION_MODES[mode](smooth_beta))
    return with_state(tx, states.ScaleByLionState, "mu", dtypes={"mu": canonical_dtype(mu_dtype)})


def scale_by_rms(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Pair:
    """RMSProp's direction: `gradtx.scale_by_rms`, with `eps` as its `eps_root` unless `eps_in_sqrt=False`."""
    tx = gx.ratio(gx.identity(), gx.chain(_second(decay, bias_correction), gx.sqrt()), **_root(eps, eps_in_sqrt))
    kind = states.ScaleByRmsWithCountState if bias_correction else states.ScaleByRmsState
    return with_state(tx, kind, "nu", start={"nu": initial_scale})


def scale_by_stddev(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Pair:
    """Centred RMSProp's direction; `gradtx.scale_by_stddev` stores the variance itself, which does not cancel."""
    mean = gx.chain(_corrected(gx.scale_by_ema(decay), decay, bias_correction), gx.square())
    variance = gx.chain(gx.difference(_second(decay, bias_correction), mean), gx.clip_min(0.0))
    tx = gx.ratio(gx.identity(), gx.chain(variance, gx.sqrt()), **_root(eps, eps_in_sqrt))
    kind = states.ScaleByRStdDevWithCountState if bias_correction else states.ScaleByRStdDevState
    return with_state(tx, kind, "nu", "mu", start={"nu": initial_scale})


def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Pair:
    """AdaGrad's direction: `gradtx.scale_by_rss`, with `eps` as its `eps_root`."""
    tx = gx.scale_by_rss(initial_accumulator_value, 0.0, eps)
    return with_state(tx, states.ScaleByRssState, "sum_of_squares")


def scale_by_adadelta(rho: Any = 0.9, eps: Any = 1e-6) -> Pair:
    """AdaDelta's direction: `gradtx.adadelta(1.0)` without the sign."""
    normalized = gx.ratio(gx.identity(), gx.chain(_second(rho, False), gx.sqrt()), eps_root=eps)
    tx = gx.chain(normalized, gx.scale_by_update_rms(rho, eps))
    return with_state(tx, states.ScaleByAdaDeltaState, "e_g", "e_x")


def scale_by_novograd(
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mu_dtype: Any = None,
) -> Pair:
    """NovoGrad's direction; gradtx stores the root of `nu`, and -1 before the first step."""
    tx = gx.chain(gx.scale_by_norm_ema(b2, eps, eps_root), gx.add_decayed_weights(weight_decay), gx.add_momentum(b1))
    root = (lambda nu, count: jnp.where(count == 0, -1.0, jnp.sqrt(nu)), lambda root: jnp.maximum(root, 0.0) ** 2)
    dtypes = {"mu": canonical_dtype(mu_dtype)}
    return with_state(tx, states.ScaleByNovogradState, "nu", "mu", dtypes=dtypes, convert={"nu": root})


def trace(decay: Any, nesterov: bool = False, accumulator_dtype: Any = None) -> Pair:
    """Momentum: `gradtx.add_momentum`, and decays of 1 or more are allowed."""
    tx = gx.memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: weak(decay) * m + g,
        emit=lambda g, m, p: weak(decay) * m + g if nesterov else m,
    )
    return with_state(tx, states.TraceState, "trace", dtypes={"trace": canonical_dtype(accumulator_dtype)})


def ema(decay: Any, debias: bool = True, accumulator_dtype: Any = None) -> Pair:
    """An exponential moving average: `gradtx.scale_by_ema` and `gradtx.bias_correction`."""
    tx = _corrected(gx.scale_by_ema(decay), decay, debias)
    return with_state(tx, states.EmaState, "ema", dtypes={"ema": canonical_dtype(accumulator_dtype)})
