"""The other optimizers with Optax's names, arguments, defaults and meanings: chains of the transforms here."""

from typing import Any

from gradtx.optax import _moments as moments
from gradtx.optax import _scaling as scaling
from gradtx.optax._combining import chain
from gradtx.optax._linesearch import scale_by_zoom_linesearch
from gradtx.optax._masking import masked
from gradtx.optax._memory_light import scale_by_factored_rms, scale_by_sm3
from gradtx.optax._moments import ema, trace
from gradtx.optax._quasi_newton import scale_by_lbfgs
from gradtx.optax._scaling import add_decayed_weights, identity, scale, scale_by_learning_rate, scale_by_polyak
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import MaskOrFn, ScalarOrSchedule


def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0.0,
    weight_decay_mask: MaskOrFn = None,
) -> Pair:
    """AdaDelta; `gradtx.adadelta`."""
    decay = add_decayed_weights(weight_decay, weight_decay_mask)
    return chain(decay, moments.scale_by_adadelta(rho, eps), scale_by_learning_rate(learning_rate))


def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Any = 0.8,
    decay_offset: Any = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Any = 1.0,
    momentum: Any = None,
    dtype_momentum: Any = "float32",
    weight_decay_rate: Any = None,
    eps: Any = 1e-30,
    factored: bool = True,
    weight_decay_mask: MaskOrFn = None,
) -> Pair:
    """Adafactor; `gradtx.adafactor`, which has a rate of its own where None is given, and here there is none."""
    parts: list[Any] = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(scaling.clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scaling.scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1))


def adagrad(learning_rate: ScalarOrSchedule, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Pair:
    """AdaGrad; `gradtx.adagrad`, whose `eps` is outside of the root."""
    return chain(moments.scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))


def fromage(learning_rate: ScalarOrSchedule, min_norm: Any = 1e-6) -> Pair:
    """Fromage; `gradtx.fromage`."""

    def at(count: Any) -> Any:
        return learning_rate(count) if callable(learning_rate) else learning_rate

    def length(count: Any) -> Any:
        return 1 / (1 + at(count) ** 2) ** 0.5

    rate, shrink = lambda count: length(count) * at(count), lambda count: length(count) - 1
    if not callable(learning_rate):
        rate, shrink = rate(0), shrink(0)
    return chain(scaling.scale_by_trust_ratio(min_norm), scale_by_learning_rate(rate), add_decayed_weights(shrink))


def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn = True,
    trust_coefficient: Any = 0.001,
    eps: Any = 0.0,
    trust_ratio_mask: MaskOrFn = True,
    momentum: Any = 0.9,
    nesterov: bool = False,
) -> Pair:
    """LARS; `gradtx.lars`."""
    trust_ratio = scaling.scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps)
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(trust_ratio, trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = _ZOOM,
) -> Pair:
    """L-BFGS with a line search; `gradtx.lbfgs`."""
    rate = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond), rate, identity() if linesearch is None else linesearch
    )


def noisy_sgd(
    learning_rate: ScalarOrSchedule, eta: Any = 0.01, gamma: Any = 0.55, key: Any = None, *, seed: int | None = None
) -> Pair:
    """SGD with noise; `gradtx.noisy_sgd`."""
    return chain(scaling.add_noise(eta, gamma, key, seed=seed), scale_by_learning_rate(learning_rate))


def optimistic_gradient_descent(learning_rate: ScalarOrSchedule, alpha: Any = 1.0, beta: Any = 1.0) -> Pair:
    """Optimistic gradient descent; `gradtx.optimistic_gradient_descent`."""
    return chain(scaling.scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def polyak_sgd(
    max_learning_rate: Any = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Any = 0.0,
    eps: Any = 0.0,
    variant: str = "sps",
) -> Pair:
    """SGD with Polyak's step size; `gradtx.polyak_sgd`."""
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Pair:
    """RMSProp; `gradtx.rmsprop`, whose `eps` is outside of the root, and whose momentum comes before the rate."""
    direction = moments.scale_by_stddev if centered else moments.scale_by_rms
    return chain(
        direction(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def rprop(
    learning_rate: Any,
    eta_minus: Any = 0.5,
    eta_plus: Any = 1.2,
    min_step_size: Any = 1e-6,
    max_step_size: Any = 50.0,
) -> Pair:
    """Rprop; `gradtx.rprop` is not a step late."""
    step = scaling.scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    return chain(step, scale(-1.0))


def sgd(
    learning_rate: ScalarOrSchedule, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None
) -> Pair:
    """Gradient descent, with momentum or without; `gradtx.sgd` and `gradtx.nesterov`."""
    first = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(first, scale_by_learning_rate(learning_rate))


def sign_sgd(learning_rate: ScalarOrSchedule) -> Pair:
    """Steps along the sign of the gradient; `gradtx.sign_sgd`."""
    return chain(scaling.scale_by_sign(), scale_by_learning_rate(learning_rate))


def signum(learning_rate: ScalarOrSchedule, beta: Any = 0.9, accumulator_dtype: Any = None) -> Pair:
    """Steps along the sign of the averaged gradient; `gradtx.signum`."""
    mean = ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return chain(mean, scaling.scale_by_sign(), scale_by_learning_rate(learning_rate))


def sm3(learning_rate: Any, momentum: Any = 0.9) -> Pair:
    """SM3; `gradtx.sm3`."""
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))
