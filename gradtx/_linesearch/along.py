"""The loop of a line search: one evaluation per trial, along one direction from one point."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.branch import cast_like
from gradtx._base.checks import one_number
from gradtx._base.numerics import safe_divide, strong, weak
from gradtx._base.typing import Array, Params, Updates
from gradtx._base.varying import all_axes, varied
from gradtx._core.boundary import rounded
from gradtx._core.norms import inner_product, norm, over
from gradtx._core.updates import apply_updates
from gradtx._linesearch import wolfe
from gradtx._linesearch.wolfe import Bracket, Trial

ROUNDING = 10
"""How many units in the last place the loss may rise by rounding."""


class Rules(NamedTuple):
    """The rules of one kind of search.

    Attributes:
        is_accepted: `(trial, noise)` to whether the search ends there.
        is_low_enough: `(trial, noise)` to whether it is a step at all, if there are no more trials.
        narrowed: `(bracket, trial, noise)` to the bracket after it, and the next step.
    """

    is_accepted: Callable[[Trial, Array], Array]
    is_low_enough: Callable[[Trial, Array], Array]
    narrowed: Callable[[Bracket, Trial, Array], tuple[Bracket, Array]]


class Line(NamedTuple):
    """A line of descent from the parameters.

    Attributes:
        params: the parameters.
        direction: the direction, in at least 32 bits.
        value: the loss at the parameters.
        length: the norm of the gradient there.
        slope: by how much the loss descends along the direction, in units of `length`; positive.
        is_finite: whether the loss, the gradient and the direction are finite.
    """

    params: Any
    direction: Any
    value: Any
    length: Any
    slope: Any
    is_finite: Any


class Found(NamedTuple):
    """The end of a search.

    Attributes:
        step: the step, 0 if none is taken.
        value: the loss there.
        grads: the gradient there.
        evaluations: the number of trials.
        is_accepted: whether the step satisfies the conditions.
        is_taken: whether there is a step.
    """

    step: Any
    value: Any
    grads: Any
    evaluations: Any
    is_accepted: Any
    is_taken: Any


def line_along(
    grads: Updates, direction: Updates, params: Params, value: Array, is_refused: Array
) -> tuple[Line, Array]:
    """The line along a direction, or along the negative gradient, and whether it is the latter.

    That is so if the direction does not descend, or `is_refused`.
    """
    gs, ds = jax.tree.leaves(grads), jax.tree.leaves(direction)
    length = norm(gs)
    slope = -_slope(gs, ds, length)
    is_fallback = (~(slope > 0) | is_refused) & (length > 0) & jnp.isfinite(slope)
    ds = [lax.select(is_fallback, -over(g, length), d) for g, d in zip(gs, ds, strict=True)]
    slope = jnp.where(is_fallback, 1.0, slope)
    is_finite = jnp.isfinite(slope) & jnp.isfinite(length) & jnp.isfinite(value)
    return Line(params, jax.tree.structure(direction).unflatten(ds), value, length, slope, is_finite), is_fallback


def searched(
    line: Line, evaluate: Callable[[Params], tuple[Any, Any]], grads: Any, max_evaluations: int, rules: Rules
) -> Found:
    """The step along a line that the rules accept, or the best one found.

    Args:
        line: the line.
        evaluate: parameters to the loss and the gradient there.
        grads: the gradient at the parameters; None if `evaluate` does not give one.
        max_evaluations: the largest number of trials.
        rules: which trial comes next, and which one is accepted.
    """
    # No derivatives go through a loop of unknown length: the step is a constant.
    line, grads = lax.stop_gradient((line, grads))
    ds, dtype = jax.tree.leaves(line.direction), line.value.dtype

    def point(t: Array) -> Params:
        # As the caller will do it: the update is rounded, and then added.
        return apply_updates(line.params, rounded(jax.tree.map(lambda d: weak(t) * d, line.direction), line.params))

    def in_units(x: Array) -> Array:
        return safe_divide(safe_divide(x, strong(line.length, dtype)), strong(line.slope, dtype))

    def tried(carry: _Carry) -> _Carry:
        value, new = evaluate(point(carry.t))
        noise = in_units(strong(ROUNDING * float(jnp.finfo(jnp.result_type(value)).eps) * jnp.abs(line.value), dtype))
        value = one_number("the loss", value)
        slope = jnp.zeros((), dtype) if new is None else _slope(jax.tree.leaves(new), ds, line.length)
        slope = safe_divide(strong(slope, dtype), strong(line.slope, dtype))
        trial = Trial(carry.t, in_units(value - line.value), slope)
        is_accepted = rules.is_accepted(trial, noise)
        is_taken = is_accepted | carry.is_last & rules.is_low_enough(trial, noise) & (trial.rise < 0)
        count = carry.found.evaluations + 1

        bracket, t = rules.narrowed(carry.bracket, trial, noise)
        low, high = bracket.low.t, bracket.high.t
        is_narrow = bracket.is_closed & (high - low <= 4 * float(jnp.finfo(dtype).eps) * high)
        is_last = is_narrow | (count == max_evaluations - 1)
        t = jnp.where(is_last & (low > 0), low, t)  # the best trial once more, for its gradient
        found = Found(carry.t, value, new, count, is_accepted, is_taken)
        return jax.tree.map(cast_like, _Carry(t, bracket, found, is_last, is_taken | carry.is_last), carry)

    none = jnp.zeros((), bool)
    found = Found(jnp.zeros((), dtype), line.value, grads, jnp.zeros((), jnp.int32), none, none)
    last = jnp.full((), max_evaluations == 1)
    carry = _Carry(jnp.ones((), dtype), wolfe.start(dtype), found, last, ~line.is_finite | (line.length == 0))
    axes = all_axes((line, grads))
    carry = jax.tree.map(lambda x: varied(x, axes), carry)
    found = lax.while_loop(lambda carry: ~carry.is_done, tried, carry).found
    or_before = lambda x, before: lax.select(found.is_taken, x, strong(before, x.dtype))
    return found._replace(
        step=or_before(found.step, jnp.zeros_like(found.step)),
        value=or_before(found.value, line.value),
        grads=jax.tree.map(or_before, found.grads, grads),
    )


class _Carry(NamedTuple):
    """What the loop carries: the next step to try, and the latest trial.

    Attributes:
        t: the next step to try.
        bracket: where an acceptable step lies.
        found: the latest trial.
        is_last: whether the next trial is the last.
        is_done: whether there is none.
    """

    t: Any
    bracket: Bracket
    found: Found
    is_last: Any
    is_done: Any


def _slope(gs: list[Array], ds: list[Array], length: Array) -> Array:
    """The slope along a direction, in units of a length, so that no product leaves the range."""
    return inner_product([over(g, length) for g in gs], ds)
