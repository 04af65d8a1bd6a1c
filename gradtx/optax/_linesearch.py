"""Line searches as the last link of a chain; `gradtx.line_search` and `backtracking` stand around a direction."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees as wide
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing
from gradtx._base.numerics import safe_divide, weak
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._linesearch import wolfe
from gradtx._linesearch.along import Found, Line, Rules, line_along, searched
from gradtx.optax import _state_trees as fields
from gradtx.optax import _tree_math as trees
from gradtx.optax._engine import taken
from gradtx.optax._installed import as_in_optax
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


class BacktrackingLinesearchInfo(NamedTuple):
    """How the last search went.

    Attributes:
        num_linesearch_steps: the number of evaluations.
        decrease_error: by how much the loss is higher than it should be.
    """

    num_linesearch_steps: Any
    decrease_error: Any


@as_in_optax
class ScaleByBacktrackingLinesearchState(NamedTuple):
    learning_rate: Any
    value: Any
    grad: Any
    info: Any


@as_in_optax
class ZoomLinesearchInfo(NamedTuple):
    num_linesearch_steps: Any
    decrease_error: Any
    curvature_error: Any


@as_in_optax
class ScaleByZoomLinesearchState(NamedTuple):
    learning_rate: Any
    value: Any
    grad: Any
    info: Any


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Any = 1e-4,
    decrease_factor: Any = 0.8,
    increase_factor: Any = 1.5,
    max_learning_rate: Any = 1.0,
    atol: Any = 0.0,
    rtol: Any = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> Pair:
    """Shortens the step until the loss has decreased by enough; where it never does, the step is 0.

    Args:
        max_backtracking_steps: how often the step is shortened at most.
        slope_rtol: how much of the decrease that the slope promises is enough.
        decrease_factor: by how much each trial is shorter than the one before.
        increase_factor: by how much the first trial is longer than the last step.
        max_learning_rate: the longest step.
        atol: how much higher the loss may be.
        rtol: the same, relative to the loss.
        store_grad: whether the state holds the gradient at the new parameters, for `value_and_grad_from_state`.
        verbose: whether a search without success is printed.
    """

    def init(params: Params) -> State:
        number = _number(params)
        info = BacktrackingLinesearchInfo(jnp.zeros((), int), number(jnp.inf))
        grad = trees.zeros_like(params) if store_grad else None
        return ScaleByBacktrackingLinesearchState(number(1.0), number(jnp.inf), grad, info)

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        value, grad, value_fn = taken(extra, "value", "grad", "value_fn")
        fn = _of_params("scale_by_backtracking_linesearch", value_fn, extra)
        first = jnp.minimum(increase_factor * state.learning_rate, max_learning_rate)
        search = _Search(updates, params, value, grad, first)
        allowed = search.in_units(rtol * jnp.abs(search.line.value) + atol)
        is_low = lambda trial, noise: trial.rise <= allowed - slope_rtol * trial.t
        shorter = lambda bracket, trial, noise: (bracket, trial.t * decrease_factor)
        evaluate = jax.value_and_grad(fn) if store_grad else lambda params: (fn(params), None)
        found = search.run(evaluate, max_backtracking_steps + 1, Rules(is_low, is_low, shorter))
        bound = (1 + rtol) * search.line.value + slope_rtol * found.step * search.slope
        info = BacktrackingLinesearchInfo(found.evaluations, jnp.maximum(found.value - bound, 0.0))
        _report(verbose, "scale_by_backtracking_linesearch", found)
        return search.result(ScaleByBacktrackingLinesearchState, state, found, info)

    return Pair(init, update)


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Any = None,
    tol: Any = 0.0,
    increase_factor: Any = 2.0,
    slope_rtol: Any = 1e-4,
    curv_rtol: Any = 0.9,
    approx_dec_rtol: Any = 1e-6,
    stepsize_precision: Any = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
) -> Pair:
    """Steps until the strong Wolfe conditions hold, by the search of `gradtx.line_search`.

    That search has its own rules for larger steps and for where rounding ends it: `tol`, `increase_factor`,
    `approx_dec_rtol` and `stepsize_precision` change nothing. Along a direction that does not descend the step is 0.

    Args:
        max_linesearch_steps: the largest number of trials.
        max_learning_rate: the longest step; None for any.
        tol: not used.
        increase_factor: not used.
        slope_rtol: how much of the decrease that the slope promises is enough.
        curv_rtol: how much of the slope may remain.
        approx_dec_rtol: not used.
        stepsize_precision: not used.
        initial_guess_strategy: where the search starts: "keep" for the last step, "one" for 1.
        verbose: whether a search without success is printed.
    """
    if initial_guess_strategy not in ("keep", "one"):
        raise GradtxValueError(f"initial_guess_strategy: expected 'keep' or 'one', got {initial_guess_strategy!r}")

    def init(params: Params) -> State:
        number = _number(params)
        infinite = jnp.asarray(jnp.inf, float)
        info = ZoomLinesearchInfo(jnp.zeros((), int), infinite, infinite)
        return ScaleByZoomLinesearchState(number(1.0), number(jnp.inf), trees.zeros_like(params), info)

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        value, grad, value_fn = taken(extra, "value", "grad", "value_fn")
        fn = _of_params("scale_by_zoom_linesearch", value_fn, extra)
        last = jnp.where(state.learning_rate > 0, state.learning_rate, jnp.ones_like(state.learning_rate))
        first = last if initial_guess_strategy == "keep" else jnp.ones_like(last)
        first = first if max_learning_rate is None else jnp.minimum(first, max_learning_rate)
        search = _Search(updates, params, value, grad, first)
        rules = Rules(
            lambda trial, noise: wolfe.is_low_enough(trial, slope_rtol, noise) & (jnp.abs(trial.slope) <= curv_rtol),
            lambda trial, noise: wolfe.is_low_enough(trial, slope_rtol, noise),
            lambda bracket, trial, noise: wolfe.narrowed(bracket, trial, slope_rtol, noise),
        )
        if max_learning_rate is not None:
            rules = _up_to(safe_divide(jnp.asarray(max_learning_rate, float), search.first), rules)
        found = search.run(jax.value_and_grad(fn), max_linesearch_steps, rules)
        slope = jnp.real(trees.vdot(found.grads, updates))
        rise = found.value - search.line.value - slope_rtol * found.step * search.slope
        approximate = jnp.maximum(slope - (2 * slope_rtol - 1) * search.slope, found.value - search.line.value)
        info = ZoomLinesearchInfo(
            found.evaluations,
            jnp.maximum(jnp.minimum(rise, approximate), 0.0),
            jnp.maximum(jnp.abs(slope) - curv_rtol * jnp.abs(search.slope), 0.0),
        )
        _report(verbose, "scale_by_zoom_linesearch", found)
        return search.result(ScaleByZoomLinesearchState, state, found, info)

    return Pair(init, update)


class _Search:
    """A search along the updates of a chain, from a first trial on; steps of the search are multiples of it."""

    def __init__(self, updates: Updates, params: Params, value: Any, grad: Updates, first: Any):
        self.updates, self.first, self.grad = updates, jnp.asarray(first, float), wide.widened(grad)
        direction = trees.scale(weak(self.first), wide.widened(updates))
        line, is_ascent = line_along(self.grad, direction, params, jnp.asarray(value, float), jnp.zeros((), bool))
        self.line: Line = line._replace(direction=direction, is_finite=line.is_finite & ~is_ascent)
        self.slope = jnp.real(trees.vdot(self.grad, updates))

    def in_units(self, change: Array) -> Array:
        """A change of the loss in the units of the search."""
        return safe_divide(safe_divide(jnp.asarray(change, float), self.line.length), self.line.slope)

    def run(self, evaluate: Callable[[Params], Any], most: int, rules: Rules) -> Found:
        has_grads = jax.eval_shape(evaluate, self.line.params)[1] is not None
        found = searched(self.line, evaluate, self.grad if has_grads else None, most, rules)
        return found._replace(step=found.step * self.first)

    def result(self, kind: Any, state: Any, found: Found, info: Any) -> tuple[Updates, State]:
        new = kind(found.step, found.value, found.grads, info)
        out = jax.tree.map(lambda u: jnp.where(found.is_taken, found.step.astype(u.dtype) * u, 0.0), self.updates)
        return out, trees.cast_like(new, state)


def _up_to(most: Array, rules: Rules) -> Rules:
    """The rules with a longest step, which is accepted where the loss is low enough there."""

    def is_accepted(trial: wolfe.Trial, noise: Array) -> Array:
        return rules.is_accepted(trial, noise) | (trial.t >= most) & rules.is_low_enough(trial, noise)

    def narrowed(bracket: wolfe.Bracket, trial: wolfe.Trial, noise: Array) -> Any:
        bracket, t = rules.narrowed(bracket, trial, noise)
        return bracket, jnp.minimum(t, most)

    return Rules(is_accepted, rules.is_low_enough, narrowed)


def _report(verbose: bool, who: str, found: Found) -> None:
    if verbose:
        text = who + ": no step that was accepted after {n} evaluations; step {step}"
        show = functools.partial(jax.debug.print, text, n=found.evaluations, step=found.step)
        jax.lax.cond(found.is_accepted, lambda: None, lambda: show())


def _number(params: Params) -> Callable[[Any], Array]:
    """Makes numbers of the real dtype of the first parameter."""
    dtype = jnp.asarray(jax.tree.leaves(params)[0]).real.dtype
    return lambda x: jnp.asarray(x, dtype)


def _of_params(who: str, value_fn: Callable[..., Any], extra: dict[str, Any]) -> Callable[[Params], Any]:
    """The loss as a function of the parameters alone; the extra arguments are its own."""
    known = inspect.signature(value_fn).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in known.values())
    if unknown := [name for name in extra if name not in known and not takes_all]:
        raise GradtxTypeError(
            f"Unexpected keyword arguments: {who} passes on what value_fn takes, and it does not take "
            f"{listing(sorted(unknown))}"
        )
    return functools.partial(value_fn, **extra)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Array, Updates]]:
    """`jax.value_and_grad` of a loss, which takes both from the state of a line search where it holds them.

    It is called as `value_and_grad(params, *args, state=state, **kwargs)`.
    """

    def value_and_grad(params: Params, *args: Any, state: State, **kwargs: Any) -> tuple[Array, Updates]:
        value, grad = fields.get(state, "value"), fields.get(state, "grad")
        if value is None or grad is None:
            raise GradtxValueError(
                "expected a state that holds the loss and its gradient, got one without; scale_by_zoom_linesearch "
                "stores them, and scale_by_backtracking_linesearch does with store_grad=True"
            )
        fresh = functools.partial(jax.value_and_grad(value_fn), params, *args, **kwargs)
        return jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), lambda: fresh())

    return value_and_grad
