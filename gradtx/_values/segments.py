"""Functions of the step count from which schedules are composed."""

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import safe_divide


def as_function(name, schedule):
    """A schedule, or a constant, as a function of the step count."""
    if callable(schedule):
        return schedule
    if isinstance(schedule, (int, float, jax.Array)) and jnp.shape(schedule) == ():
        return lambda t: jnp.full_like(jnp.asarray(t, float), schedule)
    raise GradtxTypeError(f"{name}: expected a schedule or a number, got {short(schedule)}")


def elapsed(t, steps):
    """The fraction of `steps` that has passed at `t`, from 0 to 1."""
    return jnp.where(t >= steps, 1.0, safe_divide(t, steps))


def half_cosine(x, end):
    """Half a cosine from 1 at `x = 0` to `end` at `x = 1`, both exact."""
    part = 0.5 * (1 + jnp.cos(jnp.pi * x))
    return part + (1 - part) * end


def ways(values, steps, shape):
    """From each value to the next, along a line or half a cosine; then the last value."""
    if shape not in ("linear", "cosine"):
        raise GradtxValueError(f"shape: expected 'linear' or 'cosine', got {shape!r}")

    def way(start, end, duration):
        def value(t):
            x = elapsed(t, duration)
            x = x if shape == "linear" else 0.5 * (1 - jnp.cos(jnp.pi * x))
            return (1 - x) * start + x * end

        return value

    parts = [way(start, end, duration) for start, end, duration in zip(values, values[1:], steps, strict=False)]
    if len(values) != len(steps) + 1:
        raise GradtxValueError(
            f"steps: expected {_durations(len(values) - 1)} (not boundaries) between {len(values)} values, got "
            f"{len(steps)}"
        )
    return in_turn([*parts, lambda t: jnp.full_like(t, values[-1])], steps)


def _durations(count):
    return "1 duration" if count == 1 else f"{count} durations"


def in_turn(functions, steps):
    """One function after another; each gets the number of steps since its start."""
    if len(functions) != len(steps) + 1:
        raise GradtxValueError(
            f"steps: expected {_durations(len(functions) - 1)} for {len(functions)} segments, as the last has no end, "
            f"got {len(steps)}; durations are not boundaries: [100, 200] ends the second at step 300"
        )

    def value(t):
        begin, result = 0.0, functions[0](t)
        for function, duration in zip(functions[1:], steps, strict=True):
            begin = begin + duration
            result = jnp.where(t >= begin, function(t - begin), result)
        return result

    return value
