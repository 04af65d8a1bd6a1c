"""Schedules: hyperparameters as functions of the step count.

A schedule can replace any hyperparameter of any transform. The count is 0 at the first update. Every duration is a
number of steps of its own segment. Schedules are functions of an int or an array of counts, and work under `jit`,
`vmap` and `grad`; counts are exact up to 2**24 in float32. They support addition, subtraction, multiplication and
division: `2 * cosine_decay(1e-3, 1000)`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import jax.numpy as jnp
from jax import lax

from gradtx._base.counterparts import no_attribute
from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Number
from gradtx._values.factory import schedule
from gradtx._values.schedule import Duration, Hyperparameter, NonNegative, Positive, PositiveDuration, Scalar
from gradtx._values.segments import as_function, elapsed, half_cosine, in_turn, ways

__all__ = [
    "constant",
    "cosine_decay",
    "cosine_restarts",
    "every",
    "exponential_decay",
    "inverse_sqrt",
    "inverse_time_decay",
    "join",
    "linear",
    "one_cycle",
    "piecewise_constant",
    "piecewise_interpolate",
    "polynomial",
    "power",
    "warmup",
    "warmup_stable_decay",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # a type checker would take every name for right

    def __getattr__(name: str) -> Any:
        raise AttributeError(no_attribute("gradtx.schedules", name, __all__))


Growth = Annotated[Hyperparameter, Number(1.0)]
"""A `Scalar` of at least 1."""


@schedule
def constant(value: Scalar):
    """Constant: the same value at every step.

    .. math:: f(t) = value

    Args:
        value: the value.
    """
    return lambda t: jnp.full_like(t, value)


@schedule
def linear(init_value: Scalar, end_value: Scalar, steps: Duration):
    r"""Linear: a straight line from `init_value` to `end_value`, then constant.

    .. math:: f(t) = (1 - x) \cdot init\_value + x \cdot end\_value, \quad x = \min(t / steps, 1)

    Args:
        init_value: the value at step 0.
        end_value: the value at step `steps` and after.
        steps: the duration in steps; 0 starts at `end_value`.
    """

    def value(t):
        x = elapsed(t, steps)
        return (1 - x) * init_value + x * end_value

    return value


@schedule
def cosine_decay(init_value: Scalar, steps: Duration, alpha: Scalar = 0.0):
    r"""Cosine decay: half a cosine from `init_value` down to the fraction `alpha` of it, then constant.

    .. math:: f(t) = init\_value \left(alpha + (1 - alpha) \tfrac{1 + \cos \pi x}{2}\right),
        \quad x = \min(t / steps, 1)

    Args:
        init_value: the value at step 0.
        steps: the duration in steps.
        alpha: the fraction at the end.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, without
    restarts.
    """

    def value(t):
        return init_value * half_cosine(elapsed(t, steps), alpha)

    return value


@schedule
def cosine_restarts(
    init_value: Scalar,
    steps: PositiveDuration,
    alpha: Scalar = 0.0,
    steps_factor: Growth = 1.0,
    value_factor: Scalar = 1.0,
):
    r"""Cosine decay with warm restarts (SGDR): half cosines down from a peak, each followed by a jump to the next peak.

    .. math:: f(t) = init\_value \cdot value\_factor^i \left(alpha + (1 - alpha) \tfrac{1 + \cos \pi x}{2}\right),
        \quad x = \frac{t - t_i}{steps \cdot steps\_factor^i}, \quad t_i \le t < t_{i+1}, \quad
        t_{i+1} = t_i + steps \cdot steps\_factor^i

    With whole numbers the restarts are exactly at these steps, as far as counts are exact.

    Args:
        init_value: the first peak, at step 0.
        steps: the duration of the first cycle in steps.
        alpha: the fraction of its peak at which a cycle ends.
        steps_factor: the factor from the duration of one cycle to the next, at least 1.
        value_factor: the factor from the peak of one cycle to the next; below 1 the peaks fall.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, where
    `steps` is T_0 and `steps_factor` is T_mult.
    """

    def value(t):
        # In units of the first cycle: 2**k cycles take `sums[k]`, and the one after them takes `powers[k]`.
        sums: list[Any] = [1.0]
        powers: list[Any] = [steps_factor]
        for _ in range(23):
            sums.append(jnp.minimum(sums[-1] * (1 + powers[-1]), 1e9))
            powers.append(jnp.minimum(powers[-1] ** 2, 1e9))
        # The number of complete cycles, bit by bit, from products and sums only, which are exact for integers.
        cycle, begin, length = jnp.zeros_like(t), jnp.zeros_like(t), jnp.ones_like(t)
        for k in reversed(range(24)):
            further = begin + length * sums[k]
            over = steps * further <= t
            cycle = jnp.where(over, cycle + 2.0**k, cycle)
            begin, length = jnp.where(over, further, begin), jnp.where(over, length * powers[k], length)
        x = (t - steps * begin) / (steps * length)
        return init_value * jnp.power(value_factor, cycle) * half_cosine(x, alpha)

    return value


@schedule
def exponential_decay(init_value: Scalar, steps: PositiveDuration, decay_rate: Scalar, staircase: bool = False):
    r"""Exponential decay: multiplies the value by `decay_rate` every `steps` steps, continuously or as a staircase.

    .. math:: f(t) = init\_value \cdot decay\_rate^{t / steps}

    Args:
        init_value: the value at step 0.
        steps: the number of steps per multiplication.
        decay_rate: the factor.
        staircase: whether to round the exponent down to a whole number.

    Example: halved every 10 epochs of 500 steps each.
        >>> schedule = schedules.exponential_decay(0.8, steps=10 * 500, decay_rate=0.5, staircase=True)
        >>> print(schedule(4999), schedule(5000), schedule(10000))
        0.8 0.4 0.2
    """

    def value(t):
        # `floor(t / steps)` is one too low where the quotient is rounded down to just below a whole number.
        exponent = (t - lax.rem(t, jnp.full_like(t, steps))) / steps if staircase else t / steps
        return init_value * jnp.power(decay_rate, jnp.round(exponent) if staircase else exponent)

    return value


@schedule
def inverse_time_decay(init_value: Scalar, decay_rate: NonNegative):
    r"""Inverse time decay: divides `init_value` by a linear function of the step count.

    .. math:: f(t) = \frac{init\_value}{1 + decay\_rate \cdot t}

    Args:
        init_value: the value at step 0.
        decay_rate: the growth of the divisor per step.
    """
    return lambda t: init_value / (1 + decay_rate * t)


@schedule
def every(steps: PositiveDuration, value: Scalar, otherwise: Scalar):
    r"""Periodic: one value every `steps` steps, starting at step 0, and another value at the other steps.

    .. math:: f(t) = \begin{cases} value & steps \text{ divides } t \\ otherwise \end{cases}

    Args:
        steps: the period in steps, a whole number.
        value: the value at multiples of the period.
        otherwise: the value at the other steps.
    """
    if isinstance(steps, float) and not steps.is_integer():
        raise GradtxValueError(f"steps: expected a whole number, got {steps!r}")
    return lambda t: jnp.where(lax.rem(t, jnp.full_like(t, steps)) == 0, value, otherwise)


@schedule
def power(init_value: Scalar, exponent: Scalar, offset: Scalar = 0.0):
    r"""Power: a power of the step count.

    .. math:: f(t) = init\_value \cdot (t + offset)^{exponent}

    Args:
        init_value: the value where `t + offset` is 1.
        exponent: the exponent.
        offset: added to the step count; 1 counts steps from 1. The power of 0 is 0.
    """

    def value(t):
        zero = t + offset == 0
        return init_value * jnp.where(zero, 0.0, jnp.power(jnp.where(zero, 1.0, t + offset), exponent))

    return value


@schedule
def inverse_sqrt(init_value: Scalar, steps: Positive):
    r"""Inverse square root decay: after a warmup of the same number of steps, the schedule of the Transformer.

    .. math:: f(t) = \frac{init\_value}{\sqrt{1 + t / steps}}

    Args:
        init_value: the value at step 0.
        steps: the number of steps after which the value is divided by the root of 2; not 0.

    Reference: Vaswani et al., "Attention Is All You Need", 2017, equation 3.
    """
    return lambda t: init_value / jnp.sqrt(1 + t / steps)


@schedule
def polynomial(init_value: Scalar, end_value: Scalar, power: NonNegative, steps: Duration):
    r"""Polynomial decay: a power of the remaining fraction of `steps`, then constant.

    .. math:: f(t) = end\_value + (init\_value - end\_value) (1 - x)^{power}, \quad x = \min(t / steps, 1)

    Args:
        init_value: the value at step 0.
        end_value: the value at step `steps` and after.
        power: the exponent; 1 is a straight line, 2 slows down towards the end.
        steps: the duration in steps.
    """

    def value(t):
        left = 1 - elapsed(t, steps)
        over = left == 0
        part = jnp.where(over, 0.0, jnp.power(jnp.where(over, 1.0, left), power))
        return part * init_value + (1 - part) * end_value

    return value


@schedule
def warmup(steps: Duration, then: Hyperparameter):
    """Warmup: a straight line from 0 to the start of another schedule, followed by that schedule from its step 0.

    Args:
        steps: the duration of the warmup in steps.
        then: the schedule or constant after it.

    Example:
        >>> schedule = schedules.warmup(10, schedules.linear(0.1, 0.0, 90))
        >>> print(schedule(0), schedule(5), schedule(10), schedule(55), schedule(100))
        0.0 0.05 0.1 0.05 0.0
    """
    after = as_function("then", then)
    return in_turn([lambda t: elapsed(t, steps) * after(0), after], [steps])


@schedule
def piecewise_interpolate(values: Sequence[Scalar], steps: Sequence[Duration], shape: str = "linear"):
    """Piecewise interpolation: from `values[i]` to `values[i + 1]` in `steps[i]` steps, then constant.

    Args:
        values: the values.
        steps: the duration of each segment in steps, one fewer than there are values.
        shape: "linear", or "cosine" for segments that start and end slowly.
    """
    return ways(list(values), list(steps), shape)


@schedule
def one_cycle(
    peak_value: Scalar,
    warmup_steps: Duration,
    decay_steps: Duration,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    shape: str = "cosine",
):
    r"""One cycle: up to a peak, and down to nearly 0.

    .. math:: \frac{peak}{div} \to peak \to \frac{peak}{div \cdot final\_div}

    Args:
        peak_value: the largest value.
        warmup_steps: the number of steps up to the peak.
        decay_steps: the number of steps down from it.
        div_factor: the peak over the first value.
        final_div_factor: the first value over the last.
        shape: "cosine" or "linear".

    Reference: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    2019, without its third phase.
    """
    first = peak_value / div_factor
    return ways([first, peak_value, first / final_div_factor], [warmup_steps, decay_steps], shape)


@schedule
def warmup_stable_decay(
    peak_value: Scalar,
    warmup_steps: Duration,
    stable_steps: Duration,
    decay_steps: Duration,
    init_value: Scalar = 0.0,
    end_value: Scalar = 0.0,
    shape: str = "linear",
):
    """Warmup-stable-decay (WSD): up to a peak, constant, and down.

    A run can be ended or extended anywhere in the stable phase.

    Args:
        peak_value: the value of the stable phase.
        warmup_steps: the number of steps up to it.
        stable_steps: the number of steps of the stable phase.
        decay_steps: the number of steps down from it.
        init_value: the first value.
        end_value: the last value.
        shape: "linear" or "cosine".

    Reference: Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies",
    2024.
    """
    values = [init_value, peak_value, peak_value, end_value]
    return ways(values, [warmup_steps, stable_steps, decay_steps], shape)


@schedule
def piecewise_constant(values: Sequence[Scalar], steps: Sequence[Duration]):
    """Piecewise constant: `values[i]` for `steps[i]` steps, and the last value from then on.

    Example: halved every 500 steps, three times.
        >>> schedule = schedules.piecewise_constant([0.8 / 2**i for i in range(4)], steps=[500] * 3)
        >>> print(schedule(499), schedule(500), schedule(1500))
        0.8 0.4 0.1

    Args:
        values: the values.
        steps: the duration of each value in steps, one fewer than there are values.
    """
    return in_turn([lambda t, value=value: jnp.full_like(t, value) for value in values], list(steps))


@schedule
def join(schedules: Sequence[Hyperparameter], steps: Sequence[Duration]):
    """Join: `schedules[i]` for `steps[i]` steps, each with its own step count from 0.

    A warmup: `join([linear(0.0, 1e-3, 100), cosine_decay(1e-3, 900)], [100])`.

    Args:
        schedules: schedules or constants; the last one has no end.
        steps: the duration of each of the others in steps.

    Example:
        >>> schedule = schedules.join([0.01, schedules.linear(0.1, 0.0, 100), 0.001], steps=[10, 50])
        >>> print(schedule(9), schedule(10), schedule(59), schedule(60))
        0.01 0.1 0.051 0.001
    """
    return in_turn([as_function(f"schedules[{index}]", one) for index, one in enumerate(schedules)], list(steps))


@schedule
def arithmetic(operation: str, left: Scalar, right: Scalar):
    """Arithmetic: applies an operator to schedules or scalars: `2 * s` is `arithmetic("multiply", 2, s)`.

    Args:
        operation: "add", "subtract", "multiply", "divide" or "power".
        left: a schedule or a scalar.
        right: a schedule or a scalar.
    """
    operations = ("add", "subtract", "multiply", "divide", "power")
    if operation not in operations:
        raise GradtxValueError(f"arithmetic: operation: expected one of {', '.join(operations)}, got {operation!r}")
    return lambda t: jnp.broadcast_to(getattr(jnp, operation)(left, right), jnp.shape(t))
