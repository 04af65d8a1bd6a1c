"""Line searches: how far to go along the direction of another transform."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base import trees
from gradtx._base.checks import one_number, whole_number
from gradtx._base.errors import GradtxTypeError, check_state, short
from gradtx._base.numerics import weak
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, Transform, Updates
from gradtx._core.constructors import combinator, required_params, with_facts
from gradtx._core.context import Context
from gradtx._core.facts import Extent, check_direction
from gradtx._core.norms import where
from gradtx._core.pairs import missing_extra
from gradtx._core.protocol import as_transformation, transformation
from gradtx._linesearch import wolfe
from gradtx._linesearch.along import Rules, line_along, searched
from gradtx._values.schedule import UnitInterval


class SearchStatus(IntEnum):
    """How the last search of a `line_search` or `backtracking` ended."""

    NOT_STARTED = 0
    ACCEPTED = 1  # the step satisfies the conditions
    STATIONARY = 2  # the gradient is 0, and so is the step
    MAX_EVALUATIONS = 3  # the best step found, which decreases the loss but does not satisfy the conditions
    NO_DECREASE = 4  # no step that was tried decreases the loss, and the step is 0
    NOT_FINITE = 5  # the loss, the gradient or the direction is not finite, and the step is 0


@state_class
class LineSearch(NamedTuple):
    """The state of `line_search` and `backtracking`.

    Attributes:
        direction: the state of `direction`.
        value: the loss at the new parameters.
        grads: the gradient there; of `backtracking` None.
        step: the last step, in units of the direction.
        evaluations: the number of evaluations of the loss, in all searches.
        status: how the last search ended, a `SearchStatus`.
        fallbacks: how often the negative gradient, divided by its norm, took the place of the direction: it was not
            one of descent, or no step along the one before decreased the loss.
    """

    direction: Any
    value: Any
    grads: Any
    step: Any
    evaluations: Any
    status: Any
    fallbacks: Any


@transformation(role="wrapper")
def line_search(
    direction: Transform,
    c1: UnitInterval = 1e-4,
    c2: UnitInterval = 0.9,
    max_evaluations: int = 25,
):
    r"""Line search: steps along a direction until the Wolfe conditions hold, strong or approximate.

    .. math:: u = t d, \quad f(p + t d) \le f(p) + c_1 t \, g^T d, \quad |f'(t)| \le c_2 |g^T d|
        \quad \text{or} \quad (2 c_1 - 1) \, g^T d \ge f'(t) \ge c_2 \, g^T d, \quad f(p + t d) \le f(p) + 10 \epsilon
        |f(p)|

    where f'(t) is the slope :math:`\nabla f(p + t d)^T d` and :math:`\epsilon` the rounding of the loss. The first
    trial is t = 1; each trial evaluates loss and gradient once.

    The updates that come in must be the gradient at the parameters, so nothing may stand before it. A direction that is
    not one of descent (is `scale(-1.0)` missing in it?) is replaced by the negative gradient, divided by its norm, and
    so is one that follows a search without success; `fallbacks` counts them. If no step is accepted, the update is the
    best one found, or 0, and `status` says why.
    Derivatives of the updates take the step as a constant.

    `update` needs one of two extra arguments, both functions of the parameters: `value_and_grad_fn`, or `value_fn`,
    which is differentiated; `value`, the loss at the parameters, saves one evaluation. `make_train_step` and `minimize`
    give all of them.

    Args:
        direction: the transform of the gradient to the direction, which descends: `scale(-1.0)` last, usually.
        c1: how much of the decrease that the slope promises is enough, in [0, 1], less than `c2`.
        c2: how much of the slope may remain, in [0, 1].
        max_evaluations: the largest number of trials of one search.

    State: `LineSearch`: the state of `direction`, one array per parameter, and five numbers. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing, `max_evaluations` is not a positive whole number, or the direction
            is known to ascend.
        GradtxTypeError: neither of the two functions is given.

    Reference: Hager and Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line search",
    2005, for the conditions; Moré and Thuente, "Line search algorithms with guaranteed sufficient decrease", 1994, for
    the interpolation by cubics, with one rule for a larger step in place of two.

    Example:
        >>> import jax.numpy as jnp
        >>> loss = lambda p: jnp.sum(jnp.asarray([1.0, 10.0]) * (p - 3) ** 2)
        >>> found = minimize(loss, line_search(scale(-1.0)), jnp.zeros(2))
        >>> print(found.params, StopReason(int(found.reason)).name)
        [3. 3.] GRADIENT
    """
    rules = Rules(
        lambda trial, noise: wolfe.is_accepted(trial, c1, c2, noise),
        lambda trial, noise: wolfe.is_low_enough(trial, c1, noise),
        lambda bracket, trial, noise: wolfe.narrowed(bracket, trial, c1, noise),
    )
    return _search(direction, max_evaluations, _value_and_grad, rules)


@transformation(role="wrapper")
def backtracking(
    direction: Transform, slope: UnitInterval = 1e-4, decrease: UnitInterval = 0.5, max_evaluations: int = 25
):
    r"""Backtracking line search: shortens the step along a direction until the loss has decreased by enough (Armijo).

    .. math:: u = t d, \quad t = decrease^k \text{ for the first } k = 0, 1, \dots \text{ with }
        f(p + t d) \le f(p) + slope \cdot t \, g^T d

    For the rest, see `line_search`; here the loss is evaluated without its gradient.

    Args:
        direction: the transform of the gradient to the direction, which descends: `scale(-1.0)` last, usually.
        slope: how much of the decrease that the slope promises is enough, in [0, 1].
        decrease: by how much each trial is shorter than the one before, in [0, 1].
        max_evaluations: the largest number of trials of one search.

    State: `LineSearch`: the state of `direction`, and five numbers. Needs the parameters, and the extra argument
    `value_fn` or `value_and_grad_fn`.

    Raises:
        GradtxValueError: as of `line_search`.
        GradtxTypeError: as of `line_search`.

    Reference: Armijo, "Minimization of functions having Lipschitz continuous first partial derivatives", 1966.
    """
    is_low_enough = lambda trial, noise: wolfe.is_low_enough(trial, slope, noise)
    shorter = lambda bracket, trial, noise: (bracket, trial.t * lax.stop_gradient(decrease))
    rules = Rules(is_low_enough, is_low_enough, shorter)
    return _search(direction, max_evaluations, _value_only, rules)


def _search(direction: Transform, max_evaluations: int, evaluator: Any, rules: Rules) -> Any:
    """The combinator of one kind of search; `evaluator` makes a function of the parameters from the extras."""
    inner, most = as_transformation(direction), whole_number("max_evaluations", max_evaluations)
    check_direction(inner.factory_name, inner._built().work.facts)
    keeps_grads = evaluator is _value_and_grad

    def init(step: Context, params: Params) -> LineSearch:
        zero, none = jnp.zeros((), float), jnp.zeros((), jnp.int32)
        grads = jax.tree.map(jnp.zeros_like, trees.widened(params, "parameters")) if keeps_grads else None
        return LineSearch(step.init(inner, params), zero, grads, zero, none, none, none)

    def update(step: Context, updates: Updates, state: LineSearch, params: Params) -> tuple[Updates, LineSearch]:
        check_state(LineSearch, state)
        required_params(params, updates)
        evaluate, is_given = evaluator(step), "value" in step.extra
        value = one_number("value", step.extra["value"] if is_given else evaluate(params)[0])
        out, own = step.update(inner, updates, state.direction, params)
        grads = trees.widened(updates)
        has_failed = state.status == SearchStatus.NO_DECREASE
        line, is_fallback = line_along(grads, trees.widened(out), params, value, has_failed)
        found = searched(line, evaluate, grads if keeps_grads else None, most, rules)
        status = jnp.where(found.is_accepted, SearchStatus.ACCEPTED, SearchStatus.MAX_EVALUATIONS)
        status = jnp.where(found.is_taken, status, SearchStatus.NO_DECREASE)
        status = jnp.where(line.is_finite, status, SearchStatus.NOT_FINITE)
        status = jnp.where(line.length == 0, SearchStatus.STATIONARY, status)
        new = LineSearch(
            direction=own,
            value=found.value,
            grads=found.grads,
            step=found.step,
            evaluations=state.evaluations + found.evaluations + (0 if is_given else 1),
            status=status.astype(jnp.int32),
            fallbacks=state.fallbacks + is_fallback.astype(jnp.int32),
        )
        # Where no step is taken, the direction need not be finite.
        return jax.tree.map(lambda d: where(found.is_taken, weak(found.step) * d), line.direction), new

    return with_facts(combinator(init, update, takes_gradient=True), descends=Extent.ALL)


def _value_and_grad(step: Context) -> Callable[[Params], tuple[Array, Updates]]:
    """The loss and the gradient as a function of the parameters."""
    both, value_fn = step.extra.get("value_and_grad_fn"), step.extra.get("value_fn")
    if both is None and value_fn is None:
        raise missing_extra("value_and_grad_fn")

    def evaluate(params: Params) -> tuple[Array, Updates]:
        if both is None:
            value, grads = jax.value_and_grad(value_fn)(params)  # pyright: ignore[reportArgumentType]
            return value, trees.widened(jax.tree.map(jnp.conj, grads))
        answer = both(params)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            got = "one array" if hasattr(answer, "dtype") else short(answer)
            raise GradtxTypeError(
                f"value_and_grad_fn: expected (value, gradients), got {got}; give jax.value_and_grad(loss), or "
                f"value_fn=loss"
            )
        trees.leaves_like(params, answer[1], "parameters", "gradients of value_and_grad_fn")
        return answer[0], trees.widened(answer[1])

    return evaluate


def _value_only(step: Context) -> Callable[[Params], tuple[Array, None]]:
    """The loss as a function of the parameters, and no gradient."""
    both, value_fn = step.extra.get("value_and_grad_fn"), step.extra.get("value_fn")
    if value_fn is not None:
        return lambda params: (value_fn(params), None)
    if both is None:
        raise missing_extra("value_fn")
    return lambda params: (both(params)[0], None)
