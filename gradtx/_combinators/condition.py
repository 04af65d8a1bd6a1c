"""Transforms that count only at some steps; at the others their state stays as it is.

Which steps may depend on their number or on what the caller says, an extra (`conditional`, `switch`): then what does
not run is not computed, by `lax.switch`; under `vmap` that becomes a selection, so each member has its own answer. Or
they depend on the numbers themselves (`skip_nonfinite`), which are known only once they are computed.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxTypeError, GradtxValueError, wrong_state
from gradtx._base.numerics import increment, is_float0, strong
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.branch import branch, like, settled
from gradtx._core.constructors import combinator
from gradtx._core.context import Context, kept, zeroed
from gradtx._core.identity import identity
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._cpu import isolated
from gradtx._values.value import nameable

_IDENTITY = identity()


class Conditional(NamedTuple):
    """The state of `conditional`.

    Attributes:
        count: int32, the number of updates so far.
        inner: the state of the transform.
        otherwise: the state of the other one.
    """

    count: Any
    inner: Any
    otherwise: Any


@transformation(role="wrapper")
def conditional(inner: Any, predicate: Callable[..., Any] | str, otherwise: Any = _IDENTITY):
    r"""A transform for the steps at which a condition holds, and another for the rest.

    .. math:: u = inner(g) \text{ if } predicate(t), \text{ else } otherwise(g)

    Only one of them is computed, and only the state of that one moves: a schedule inside counts its own updates.

    Args:
        inner: the transform where the condition holds.
        predicate: a function of the step count, 0 at the first update, that may ask for extras by naming them as
            keyword-only arguments: `lambda count, *, value: value < 10`. Or a schedule that is 0 where the condition
            does not hold, or the name of an extra that says it.
        otherwise: the transform of the other steps. By default updates go through as they are; `set_to_zero()` makes
            none.

    State: `Conditional(count, inner, otherwise)`: one int32 beside the states of the two.

    Raises:
        GradtxTypeError: an extra that the predicate names is missing.
        GradtxValueError: the predicate gives more than one truth.
    """
    transforms = as_transformation(otherwise), as_transformation(inner)

    def init(step: Context, params: Params) -> Conditional:
        idle, busy = (step.init(tx, params) for tx in transforms)
        return Conditional(_no_steps(), busy, idle)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, Conditional):
            raise wrong_state("a `Conditional`", state)
        holds = jnp.asarray(_answer("predicate", predicate, state.count, step.extra)).astype(bool)
        states = (state.otherwise, state.inner)
        updates, (idle, busy) = _one_of(step, holds, transforms, updates, states, params)
        return updates, Conditional(increment(state.count), busy, idle)

    return combinator(init, update)


@transformation(role="wrapper")
def switch(index: Callable[..., Any] | str, *inners: Any):
    r"""One of several transforms at each step.

    .. math:: u = inner_{i}(g), \quad i = \lfloor index(t) \rfloor

    Only that one is computed, and only its state moves. An index below 0 means the first transform, one beyond the last
    means the last.

    Args:
        index: a function of the step count, 0 at the first update, that may ask for extras by naming them as
            keyword-only arguments; or a schedule; or the name of an extra that says it. 0 is the first transform.
        *inners: transforms, at least one.

    State: a tuple with the state of each transform, and the number of updates so far (int32) last.

    Raises:
        GradtxTypeError: an extra that the index names is missing.
        GradtxValueError: the index is more than one number.
    """
    if not inners:
        raise GradtxTypeError("at least one transform is needed: switch(index, *inners)")
    transforms = tuple(map(as_transformation, inners))

    def init(step: Context, params: Params) -> State:
        return (*(step.init(tx, params) for tx in transforms), _no_steps())

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != len(transforms) + 1:
            raise wrong_state(f"one of {len(transforms)} transforms and a count", state)
        *states, count = state
        chosen = jnp.floor(jnp.asarray(_answer("index", index, count, step.extra), float))
        updates, new = _one_of(step, chosen, transforms, updates, tuple(states), params)
        return updates, (*new, increment(count))

    return combinator(init, update)


class Guarded(NamedTuple):
    """The state of `skip_nonfinite`.

    Attributes:
        total: int32, how many steps were skipped.
        consecutive: int32, how many steps in a row, up to the last one, met a number that is not finite.
        skipped: whether the last step was skipped.
        inner: the state of the transform.
    """

    total: Any
    consecutive: Any
    skipped: Any
    inner: Any


@transformation(role="wrapper")
def skip_nonfinite(inner: Any, max_consecutive: int | None = None):
    r"""Skips a step where NaN or infinity comes in, or comes out of the transform: zero updates, and the state stays.

    .. math:: u = inner(g) \text{ if } g \text{ and } inner(g) \text{ are finite, else } 0

    After a skipped step the inner state is to the last bit what it was before. It goes around all of the optimizer,
    clipping included. What works on each array by itself, behind a norm or not, is computed twice, to look at what
    comes out and to keep it: that takes less time than keeping the old arrays beside the new ones.

    Args:
        inner: the transform.
        max_consecutive: how many steps in a row are skipped at most. If the next one is not finite either, it goes
            through, and so do those after it, until a finite one comes: what is broken should be seen. None, the
            default, lets nothing through, ever.

    State: `Guarded(total, consecutive, skipped, inner)`: two int32 and a boolean beside the inner state.

    Raises:
        GradtxValueError: `max_consecutive` is not a positive whole number.

    Derivatives are 0 through a step skipped for what came in. Leaves of integers are not asked, and given to `inner`.
    """
    inner = as_transformation(inner)
    if max_consecutive is not None:
        whole_number("max_consecutive", max_consecutive)

    def init(step: Context, params: Params) -> Guarded:
        return Guarded(_no_steps(), _no_steps(), jnp.zeros((), bool), step.init(inner, params))

    def update(step: Context, updates: Updates, state: Guarded, params: Params) -> tuple[Updates, Guarded]:
        if not isinstance(state, Guarded):
            raise wrong_state("a `Guarded`", state)
        enough = jnp.zeros((), bool) if max_consecutive is None else state.consecutive >= max_consecutive
        finite, out, new = _where_finite(step, inner, enough, updates, state.inner, params)
        skipped = ~(finite | enough)
        return out, Guarded(
            jnp.where(skipped, increment(state.total), state.total),
            jnp.where(finite, 0, increment(state.consecutive)),
            skipped,
            new,
        )

    return combinator(init, update)


def _where_finite(
    step: Context, inner: GradientTransformation, enough: Array, updates: Updates, state: State, params: Params
) -> tuple[Array, Updates, State]:
    """Whether all is finite, and the updates and the state where it is, or where it is enough."""
    leaves = jax.tree.leaves(updates)
    if all(map(_is_float, leaves)) and inner._built().work.is_cheap:
        # Computed once to look at the output, and again to keep it: to keep what was looked at would take an array for
        # each update and each slot until it is known whether it stays.
        out, _ = step.update(inner, updates, *isolated((state, params)))
        pairs = zip(leaves, jax.tree.leaves(out), strict=True)
        finite = _none([~jnp.all(jnp.isfinite(g) & jnp.isfinite(u)) for g, u in pairs])
        return finite, *step.update_where(finite | enough, inner, updates, state, params)
    came_in = ~has_nonfinite(updates)
    # Zeros in place of what is skipped, so that no NaN enters the derivatives.
    safe = jax.tree.map(lambda g: zeroed(came_in | enough, g) if _is_float(g) else g, updates)
    out, new = step.update(inner, safe, state, params)
    finite = came_in & ~has_nonfinite(out)
    active = finite | enough
    return finite, zeroed(active, out), kept(active, jax.tree.map(like, new, state), state)


@nameable("has_nonfinite")
def has_nonfinite(updates: Updates) -> Array:
    """Whether there is a NaN or an infinity in any leaf: a 0-d boolean array, False for an empty tree.

    Leaves of integers have none. It is the `skip` of `accumulate_gradients` for training in half precision.

    Args:
        updates: a pytree of arrays.
    """
    # x - x is 0, or NaN where x is not finite. On a CPU XLA sums numbers in one pass, and writes truths down for more.
    leaves = [(jnp.asarray(leaf),) for leaf in jax.tree.leaves(updates) if _is_float(leaf)]
    return ~_none([total != 0 for total in for_each(lambda g: jnp.sum(g - g), leaves)])


def _none(truths: list[Array]) -> Array:
    """Whether none of them is true, as a sum of numbers: of truths XLA would put the whole chain into every loop."""
    numbers = [strong(truth, jnp.float32) for truth in truths]
    return jnp.abs(jnp.stack(numbers)).sum() == 0 if numbers else jnp.ones((), bool)


def single(name: str, answer: Any) -> Any:
    """`answer`, if it has no axes."""
    if np.shape(answer) != ():
        raise GradtxValueError(f"{name} must give one number or truth, got the shape {np.shape(answer)}")
    return answer


def _answer(name: str, question: Callable[..., Any] | str, count: Array, extra: Mapping[str, Any]) -> Any:
    """The extra of that name, or what the function says of the count and the extras that it names."""
    if isinstance(question, str):
        wanted, needed = [question], [question]
    elif callable(question):
        named = [p for p in inspect.signature(question).parameters.values() if p.kind is p.KEYWORD_ONLY]
        wanted, needed = [p.name for p in named], [p.name for p in named if p.default is p.empty]
    else:
        raise GradtxTypeError(f"{name} must be a function of the step count or the name of an extra, got {question!r}")
    missing = [key for key in needed if key not in extra]
    if missing:
        raise GradtxTypeError(
            f"the extra argument {missing[0]!r} is missing; call tx.update(updates, state, params, {missing[0]}=...)"
        )
    given = {key: extra[key] for key in wanted if key in extra}
    return single(name, given[question] if isinstance(question, str) else question(count, **given))


def _one_of(
    step: Context,
    index: Array,
    transforms: Sequence[GradientTransformation],
    updates: Updates,
    states: tuple[State, ...],
    params: Params,
) -> tuple[Updates, tuple[State, ...]]:
    """The updates of `transforms[index]` in the widest of all their dtypes, and the states, of which its own is new."""

    def only(i: int, states: tuple[State, ...]) -> tuple[Updates, tuple[State, ...]]:
        out, new = step.update(transforms[i], updates, states[i], params)
        return out, (*states[:i], new, *states[i + 1 :])

    works = [partial(only, i) for i in range(len(transforms))]
    form = jax.tree.map(_widest, *(jax.eval_shape(work, states)[0] for work in works))
    return branch(index, [settled(work, form) for work in works], states)


def _no_steps() -> Array:
    return jnp.zeros((), jnp.int32)


def _widest(*arrays: Any) -> Any:
    if is_float0(arrays[0]):
        return arrays[0]
    with jax.numpy_dtype_promotion("standard"):
        return jax.ShapeDtypeStruct(arrays[0].shape, jnp.result_type(*arrays))


def _is_float(x: Any) -> bool:
    return not is_float0(x) and jnp.issubdtype(jnp.result_type(x), jnp.inexact)
