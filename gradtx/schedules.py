"""Schedules: numbers that follow the step count. Each is a value, and any number of any transform may be one.

The count is 0 at the first update. Every duration is a number of steps of its own segment. Schedules are functions of
an int or an array of counts, and `jit`, `vmap` and `grad` go through them; counts are exact up to 2**24 in float32.
They add, subtract, multiply and divide: `2 * cosine_decay(1e-3, 1000)`.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import jax.numpy as jnp
from jax import lax

from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Number
from gradtx._values.factory import schedule
from gradtx._values.schedule import NonNegative, Positive, Scalar, Schedule
from gradtx._values.segments import as_function, elapsed, half_cosine, in_turn, ways

Growth = Annotated[Any, Number(1.0)]
"""A `Scalar` of at least 1."""


@schedule
def constant(value: Scalar):
    """The same number at every step.

    .. math:: f(t) = value

    Args:
        value: the number.
    """
    return lambda t: jnp.full_like(t, value)


@schedule
def linear(init_value: Scalar, end_value: Scalar, steps: NonNegative):
    r"""A straight line, and its end from then on.

    .. math:: f(t) = (1 - x) \cdot init\_value + x \cdot end\_value, \quad x = \min(t / steps, 1)

    Args:
        init_value: the number at step 0.
        end_value: the number at step `steps` and after.
        steps: how many steps it takes from the first number to the last; 0 begins at the last.
    """

    def value(t):
        x = elapsed(t, steps)
        return (1 - x) * init_value + x * end_value

    return value


@schedule
def cosine_decay(init_value: Scalar, steps: NonNegative, alpha: Scalar = 0.0):
    r"""Half a cosine down from `init_value` to the fraction `alpha` of it, which stays from then on.

    .. math:: f(t) = init\_value \left(alpha + (1 - alpha) \tfrac{1 + \cos \pi x}{2}\right),
        \quad x = \min(t / steps, 1)

    Args:
        init_value: the number at step 0.
        steps: how many steps it takes to the end.
        alpha: the fraction at the end.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, without
    restarts.
    """

    def value(t):
        return init_value * half_cosine(elapsed(t, steps), alpha)

    return value


@schedule
def cosine_restarts(
    init_value: Scalar, steps: Positive, alpha: Scalar = 0.0, steps_factor: Growth = 1.0, value_factor: Scalar = 1.0
):
    r"""Half cosines one after another: down from a peak, and back to it at once.

    .. math:: f(t) = init\_value \cdot value\_factor^i \left(alpha + (1 - alpha) \tfrac{1 + \cos \pi x}{2}\right),
        \quad x = \frac{t - t_i}{steps \cdot steps\_factor^i}, \quad t_i \le t < t_{i+1}, \quad
        t_{i+1} = t_i + steps \cdot steps\_factor^i

    With whole numbers the restarts are at exactly these steps, as far as counts are exact.

    Args:
        init_value: the first peak, at step 0.
        steps: how many steps the first cycle takes.
        alpha: the fraction of its peak at which a cycle ends.
        steps_factor: how much longer each cycle is than the one before, at least 1.
        value_factor: how much higher the peak of each cycle is than the one before; below 1 the peaks fall.

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
        # The number of cycles that are over, bit by bit; products and sums only, which are exact for whole numbers.
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
def exponential_decay(init_value: Scalar, steps: Positive, decay_rate: Scalar, staircase: bool = False):
    r"""Multiplication by `decay_rate` every `steps` steps, smoothly or at once.

    .. math:: f(t) = init\_value \cdot decay\_rate^{t / steps}

    Args:
        init_value: the number at step 0.
        steps: how many steps one multiplication takes.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down to a whole number.

    Example: half as much after every 10 epochs of 500 steps each.
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
    r"""The inverse of a line.

    .. math:: f(t) = \frac{init\_value}{1 + decay\_rate \cdot t}

    Args:
        init_value: the number at step 0.
        decay_rate: how fast the divisor grows, per step.
    """
    return lambda t: init_value / (1 + decay_rate * t)


@schedule
def every(steps: Positive, value: Scalar, otherwise: Scalar):
    r"""A number at every so many steps, the first included, and another at the others.

    .. math:: f(t) = \begin{cases} value & steps \text{ divides } t \\ otherwise \end{cases}

    Args:
        steps: how many steps there are from one to the next, a whole number.
        value: the number at those steps.
        otherwise: the number at the others.
    """
    if isinstance(steps, float) and not steps.is_integer():
        raise GradtxValueError(f"steps must be a whole number, got {steps!r}")
    return lambda t: jnp.where(lax.rem(t, jnp.full_like(t, steps)) == 0, value, otherwise)


@schedule
def power(init_value: Scalar, exponent: Scalar, offset: Scalar = 0.0):
    r"""A power of the step count.

    .. math:: f(t) = init\_value \cdot (t + offset)^{exponent}

    Args:
        init_value: the number where `t + offset` is 1.
        exponent: the exponent.
        offset: what is added to the step count; 1 counts steps from 1. The power of 0 is 0.
    """

    def value(t):
        zero = t + offset == 0
        return init_value * jnp.where(zero, 0.0, jnp.power(jnp.where(zero, 1.0, t + offset), exponent))

    return value


@schedule
def inverse_sqrt(init_value: Scalar, steps: Positive):
    r"""The inverse root of a line: after a warmup of the same number of steps it is the schedule of the Transformer.

    .. math:: f(t) = \frac{init\_value}{\sqrt{1 + t / steps}}

    Args:
        init_value: the number at step 0.
        steps: after how many steps the number is divided by the root of 2; not 0.

    Reference: Vaswani et al., "Attention Is All You Need", 2017, equation 3.
    """
    return lambda t: init_value / jnp.sqrt(1 + t / steps)


@schedule
def polynomial(init_value: Scalar, end_value: Scalar, power: NonNegative, steps: NonNegative):
    r"""A power of the way that is left, and the end from then on.

    .. math:: f(t) = end\_value + (init\_value - end\_value) (1 - x)^{power}, \quad x = \min(t / steps, 1)

    Args:
        init_value: the number at step 0.
        end_value: the number at step `steps` and after.
        power: the exponent; 1 is a straight line, 2 slows down towards the end.
        steps: how many steps it takes from the first number to the last.
    """

    def value(t):
        left = 1 - elapsed(t, steps)
        over = left == 0
        part = jnp.where(over, 0.0, jnp.power(jnp.where(over, 1.0, left), power))
        return part * init_value + (1 - part) * end_value

    return value


@schedule
def warmup(steps: NonNegative, then: Schedule | float):
    r"""A straight line from 0 to where another schedule begins, and then that schedule from its step 0.

    Args:
        steps: how many steps the line takes.
        then: what comes after it, a schedule or a number.
    """
    after = as_function("then", then)
    return in_turn([lambda t: elapsed(t, steps) * after(0), after], [steps])


@schedule
def piecewise_interpolate(values: Sequence[Scalar], steps: Sequence[NonNegative], shape: str = "linear"):
    """From one number to the next: `values[i]` to `values[i + 1]` in `steps[i]` steps, and the last one for ever.

    Args:
        values: the numbers.
        steps: how many steps each way takes, one fewer than there are numbers.
        shape: "linear", or "cosine" for ways that begin and end slowly.
    """
    return ways(list(values), list(steps), shape)


@schedule
def one_cycle(
    peak_value: Scalar,
    warmup_steps: NonNegative,
    decay_steps: NonNegative,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    shape: str = "cosine",
):
    r"""Up to a peak, and down to nearly nothing.

    .. math:: \frac{peak}{div} \to peak \to \frac{peak}{div \cdot final\_div}

    Args:
        peak_value: the largest number.
        warmup_steps: how many steps it takes up to the peak.
        decay_steps: how many steps it takes down from it.
        div_factor: the peak over the first number.
        final_div_factor: the first number over the last.
        shape: "cosine" or "linear".

    Reference: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    2019, without its third phase.
    """
    first = peak_value / div_factor
    return ways([first, peak_value, first / final_div_factor], [warmup_steps, decay_steps], shape)


@schedule
def warmup_stable_decay(
    peak_value: Scalar,
    warmup_steps: NonNegative,
    stable_steps: NonNegative,
    decay_steps: NonNegative,
    init_value: Scalar = 0.0,
    end_value: Scalar = 0.0,
    shape: str = "linear",
):
    """Up to a peak, along it, and down: a run can be cut off or prolonged anywhere on the stable part.

    Args:
        peak_value: the number of the stable part.
        warmup_steps: how many steps it takes up to it.
        stable_steps: how many steps it stays there.
        decay_steps: how many steps it takes down from it.
        init_value: the first number.
        end_value: the last number.
        shape: "linear" or "cosine".

    Reference: Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies",
    2024.
    """
    numbers = [init_value, peak_value, peak_value, end_value]
    return ways(numbers, [warmup_steps, stable_steps, decay_steps], shape)


@schedule
def piecewise_constant(values: Sequence[Scalar], steps: Sequence[NonNegative]):
    """One number after another: `values[i]` for `steps[i]` steps, and the last one for ever.

    Example: half as much every 500 steps, three times.
        >>> schedule = schedules.piecewise_constant([0.8 / 2**i for i in range(4)], steps=[500] * 3)
        >>> print(schedule(499), schedule(500), schedule(1500))
        0.8 0.4 0.1

    Args:
        values: the numbers.
        steps: how many steps each lasts, one fewer than there are numbers.
    """
    return in_turn([lambda t, value=value: jnp.full_like(t, value) for value in values], list(steps))


@schedule
def join(schedules: Sequence[Schedule | float], steps: Sequence[NonNegative]):
    """One schedule after another, each counting its own steps from 0: `schedules[i]` for `steps[i]` steps.

    A warmup: `join([linear(0.0, 1e-3, 100), cosine_decay(1e-3, 900)], [100])`.

    Args:
        schedules: the schedules, or numbers; the last one goes on for ever.
        steps: how many steps each of the others lasts.
    """
    return in_turn([as_function(f"schedules[{index}]", one) for index, one in enumerate(schedules)], list(steps))


@schedule
def arithmetic(operation: str, left: Scalar, right: Scalar):
    """What an operator between schedules, or a schedule and a number, makes: `2 * s` is `arithmetic("multiply", 2, s)`.

    Args:
        operation: "add", "subtract", "multiply", "divide" or "power".
        left: a schedule or a number.
        right: a schedule or a number.
    """
    operations = ("add", "subtract", "multiply", "divide", "power")
    if operation not in operations:
        raise GradtxValueError(f"arithmetic: the operation must be one of {', '.join(operations)}, got {operation!r}")
    return lambda t: jnp.broadcast_to(getattr(jnp, operation)(left, right), jnp.shape(t))
