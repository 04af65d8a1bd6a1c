"""Schedules with Optax's arguments: boundaries are steps since the start, and durations include the warm-up."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import is_traced, safe_divide
from gradtx._base.typing import Array
from gradtx.optax._types import Schedule


def constant_schedule(value: Any) -> Schedule:
    """The same value at each step; `gradtx.schedules.constant`."""
    return lambda count: value


def polynomial_schedule(
    init_value: Any, end_value: Any, power: Any, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From one value to another along a power of the remaining time; `gradtx.schedules.polynomial`."""
    if transition_steps <= 0:
        return lambda count: init_value
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Array:
        left = 1 - jnp.clip(count - begin, 0, transition_steps) / transition_steps
        return end_value + (init_value - end_value) * left**power

    return schedule


def linear_schedule(init_value: Any, end_value: Any, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From one value to another along a line; `gradtx.schedules.linear`."""
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def piecewise_constant_schedule(init_value: Any, boundaries_and_scales: Mapping[int, float] | None = None) -> Schedule:
    """A value that is multiplied by a factor from each boundary on; `gradtx.schedules.piecewise_constant`."""
    boundaries, factors = _sorted("piecewise_constant_schedule", boundaries_and_scales)

    def schedule(count: Any) -> Any:
        value = init_value
        for boundary, factor in zip(boundaries, factors, strict=True):
            value = value * jnp.where(count >= boundary, factor, 1.0)
        return value

    return schedule


def exponential_decay(
    init_value: Any,
    transition_steps: int,
    decay_rate: Any,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Schedule:
    """A value that is multiplied by `decay_rate` in each period; `gradtx.schedules.exponential_decay`."""
    if transition_steps <= 0 or decay_rate == 0:
        return lambda count: init_value
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Array:
        periods = (count - begin) / transition_steps
        periods = jnp.floor(periods) if staircase else periods
        value = jnp.where(count <= begin, init_value, init_value * jnp.power(decay_rate, periods))
        if end_value is None:
            return value
        return (jnp.maximum if decay_rate < 1.0 else jnp.minimum)(value, end_value)

    return schedule


def cosine_decay_schedule(init_value: Any, decay_steps: int, alpha: Any = 0.0, exponent: Any = 1.0) -> Schedule:
    """From a value to `alpha` times it along half a cosine; `gradtx.schedules.cosine_decay`."""
    if not decay_steps > 0:
        raise GradtxValueError(f"cosine_decay_schedule: decay_steps: expected a positive number, got {decay_steps!r}")

    def schedule(count: Any) -> Array:
        done = jnp.minimum(jnp.asarray(count, float), float(decay_steps)) / float(decay_steps)
        wave = 0.5 * (1 + jnp.cos(jnp.pi * done))
        return init_value * ((1 - alpha) * wave**exponent + alpha)

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from its boundary. `gradtx.schedules.join` takes durations."""

    def schedule(step: Any) -> Any:
        value = schedules[0](step)
        for boundary, following in zip(boundaries, schedules[1:], strict=False):
            value = jnp.where(step < boundary, value, following(step - boundary))
        return value

    return schedule


def warmup_constant_schedule(init_value: Any, peak_value: Any, warmup_steps: int) -> Schedule:
    """A linear warm-up, and then the peak; `gradtx.schedules.warmup`."""
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: int,
    decay_steps: int,
    end_value: Any = 0.0,
    exponent: Any = 1.0,
) -> Schedule:
    """A linear warm-up and half a cosine, `decay_steps` for both together; `gradtx.schedules.warmup`."""
    if not decay_steps > warmup_steps:
        raise GradtxValueError(
            f"warmup_cosine_decay_schedule: expected decay_steps above warmup_steps, as it counts the warm-up too; got "
            f"{decay_steps!r} and {warmup_steps!r}"
        )
    if is_traced(peak_value):
        alpha = jnp.where(peak_value == 0.0, 0.0, safe_divide(end_value, peak_value))
    else:
        alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    up = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules(
        [up, cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)], [warmup_steps]
    )


def warmup_exponential_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: Any,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Schedule:
    """A linear warm-up, and then an exponential decay; `gradtx.schedules.warmup`."""
    up = linear_schedule(init_value, peak_value, warmup_steps)
    down = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([up, down], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Several of `warmup_cosine_decay_schedule`, one after the other; `gradtx.schedules.cosine_restarts`."""
    rounds = list(cosine_kwargs)
    ends = np.cumsum([kwargs["decay_steps"] for kwargs in rounds])
    return join_schedules([warmup_cosine_decay_schedule(**kwargs) for kwargs in rounds], list(map(int, ends[:-1])))


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Any, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """Between values at boundaries, along lines or half cosines; `gradtx.schedules.piecewise_interpolate`."""
    if interpolate_type not in _SHAPES:
        raise GradtxValueError(f"interpolate_type: expected one of {', '.join(_SHAPES)}, got {interpolate_type!r}")
    shape = _SHAPES[interpolate_type]
    boundaries, factors = _sorted("piecewise_interpolate_schedule", boundaries_and_scales)
    steps = (0, *boundaries)

    def schedule(count: Any) -> Array:
        values = [init_value]
        for factor in factors:
            values.append(values[-1] * factor)
        value = jnp.asarray(values[-1], float)
        for begin, end, first, last in reversed(list(zip(steps, steps[1:], values, values[1:], strict=False))):
            part = shape(jnp.clip((count - begin) / max(end - begin, 1), 0.0, 1.0))
            value = jnp.where(count < end, first + (last - first) * part, value)
        return value

    return schedule


_SHAPES = {"linear": lambda x: x, "cosine": lambda x: 0.5 * (1 - jnp.cos(jnp.pi * x))}


def _sorted(who: str, boundaries_and_scales: Mapping[int, float] | None) -> tuple[tuple, tuple]:
    pairs = sorted((boundaries_and_scales or {}).items())
    if any(factor < 0 for _, factor in pairs):
        raise GradtxValueError(f"{who}: expected scales that are not negative, got {dict(pairs)}")
    return tuple(step for step, _ in pairs), tuple(factor for _, factor in pairs)


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Any,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to the peak, down again, and further down, along lines; `gradtx.schedules.one_cycle`."""
    _check_positive("linear_onecycle_schedule", transition_steps)
    bends = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        transition_steps: 1.0 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, bends)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Any,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to the peak and down to almost nothing, along half cosines; `gradtx.schedules.one_cycle`."""
    _check_positive("cosine_onecycle_schedule", transition_steps)
    bends = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, bends)


def _check_positive(who: str, steps: int) -> None:
    if steps <= 0:
        raise GradtxValueError(f"{who}: transition_steps: expected a positive number, got {steps}")
