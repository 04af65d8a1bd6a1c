"""The search along a line for one scalar function: which trial step comes next, and which one is accepted.

A trial is measured in units of the slope at 0, which makes every rule independent of the scale of the loss:

    rise(t)  = (f(t) - f(0)) / |f'(0)|
    slope(t) = f'(t) / |f'(0)|,   so slope(0) = -1

The search keeps a bracket: its low end has a negative slope and is low enough, its high end does not. Without a high
end it goes on to larger steps.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from gradtx._base.numerics import safe_divide
from gradtx._base.typing import Array

NEAR, FAR = 1.1, 4.0
"""A larger step is at least and at most this multiple of the last extension, beyond the low end."""

INSET, SHRINK = 0.1, 0.66
"""A trial keeps this part of the bracket from its ends; two trials have to shrink it to this part, or it is halved."""

BACK = 0.1
"""Where the loss is not finite, the next trial is at this part of the way from the low end."""


class Trial(NamedTuple):
    """One step along the line.

    Attributes:
        t: the step.
        rise: the change of the loss, in units of the slope at 0.
        slope: the slope, in the same units.
    """

    t: Array
    rise: Array
    slope: Array


class Bracket(NamedTuple):
    """Where an acceptable step lies.

    Attributes:
        low: the best trial from which the loss still falls; at first the step 0.
        high: the end beyond it, if `is_closed`.
        is_closed: whether there is a high end.
        widths: of the bracket, after the last two trials.
    """

    low: Trial
    high: Trial
    is_closed: Array
    widths: Array


def start(dtype: Any) -> Bracket:
    """The bracket before the first trial."""
    low = Trial(jnp.zeros((), dtype), jnp.zeros((), dtype), -jnp.ones((), dtype))
    high = Trial(*(jnp.full((), jnp.inf, dtype) for _ in low))
    return Bracket(low, high, jnp.zeros((), bool), jnp.full(2, jnp.inf, dtype))


def is_low_enough(trial: Trial, c1: Any, noise: Array) -> Array:
    """Whether the loss falls by enough (Armijo), up to its rounding."""
    return trial.rise <= noise - c1 * trial.t


def is_accepted(trial: Trial, c1: Any, c2: Any, noise: Array) -> Array:
    """Whether the strong Wolfe conditions hold, or the approximate ones, which rounding of the loss does not hide."""
    strong = (trial.rise <= -c1 * trial.t) & (jnp.abs(trial.slope) <= c2)
    approximate = (trial.rise <= noise) & (trial.slope >= -c2) & (trial.slope <= 1 - 2 * c1)
    return strong | approximate


def narrowed(bracket: Bracket, trial: Trial, c1: Any, noise: Array) -> tuple[Bracket, Array]:
    """The bracket after a trial that was not accepted, and the next step to try."""
    is_finite = jnp.isfinite(trial.rise) & jnp.isfinite(trial.slope)
    is_low = is_finite & is_low_enough(trial, c1, noise) & (trial.slope < 0)
    low, high = _chosen(is_low, trial, bracket.low), _chosen(is_low, bracket.high, trial)
    is_closed = bracket.is_closed | ~is_low
    inside = _inside(low, high, bracket.widths, noise)
    t = jnp.where(is_closed, inside, _beyond(bracket.low, trial))
    widths = jnp.stack([bracket.widths[1], jnp.where(is_closed, high.t - low.t, jnp.inf)])
    return Bracket(low, high, is_closed, widths), t


def _chosen(which: Array, x: Trial, y: Trial) -> Trial:
    return Trial(*(lax.select(which, a, b) for a, b in zip(x, y, strict=True)))


def _inside(low: Trial, high: Trial, widths: Array, noise: Array) -> Array:
    """The minimum of the cubic through both ends, or of the slopes where the losses differ by rounding only."""
    width = high.t - low.t
    mean = low.slope + high.slope - 3 * safe_divide(high.rise - low.rise, width)
    root = mean**2 - low.slope * high.slope
    way = jnp.sqrt(jnp.maximum(root, 0))
    part = 1 - safe_divide(high.slope + way - mean, high.slope - low.slope + 2 * way)
    secant = safe_divide(-low.slope, high.slope - low.slope)
    part = jnp.where((jnp.abs(high.rise - low.rise) <= noise) & (high.slope > 0), secant, part)
    is_slow = ~(width <= SHRINK * widths[0]) & jnp.isfinite(widths[0])
    part = jnp.where(is_slow | ~jnp.isfinite(part) | (root < 0), 0.5, jnp.clip(part, INSET, 1 - INSET))
    is_finite = jnp.isfinite(high.rise) & jnp.isfinite(high.slope)
    return low.t + width * jnp.where(is_finite, part, BACK)


def _beyond(low: Trial, trial: Trial) -> Array:
    """A larger step: the minimum of the cubic through the last two trials where it lies ahead, within limits."""
    width = trial.t - low.t
    mean = low.slope + trial.slope - 3 * safe_divide(trial.rise - low.rise, width)
    way = jnp.sqrt(jnp.maximum(mean**2 - low.slope * trial.slope, 0))
    cubic = -safe_divide(trial.slope + way - mean, trial.slope - low.slope + 2 * way)
    ahead = jnp.where(jnp.isfinite(cubic) & (cubic > 0), cubic, FAR)
    return trial.t + width * jnp.clip(ahead, NEAR, FAR)
