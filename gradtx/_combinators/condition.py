"""Transforms that run only at some steps. What does not run is not computed, and its state stays as it is.

Whether it runs may depend on the step (`conditional`, `switch`), on what the caller says (an extra), or on the numbers
themselves (`skip_nonfinite`). Two helpers do the work: `gate` runs one transform or emits zeros, `_one_of` runs one of
several. Both are `lax.switch`; under `vmap` that becomes a selection, so each member has its own answer.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._checks import whole_number
from gradtx._core import GradientTransformation, as_transformation, transformation
from gradtx._errors import GradtxTypeError, GradtxValueError, wrong_state
from gradtx._identity import identity
from gradtx._numerics import increment, is_float0, is_traced, strong
from gradtx._typing import Array, Params, State, Updates
from gradtx._value import nameable

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


@transformation
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

    def init(params: Params) -> Conditional:
        idle, active = (tx.init(params) for tx in transforms)
        return Conditional(_no_steps(), active, idle)

    def update(updates: Updates, state: Conditional, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if not isinstance(state, Conditional):
            raise wrong_state("a `Conditional`", state)
        holds = jnp.asarray(_answer("predicate", predicate, state.count, extra)).astype(bool)
        states = (state.otherwise, state.inner)
        updates, (idle, active) = _one_of(holds, transforms, updates, states, params, extra)
        return updates, Conditional(increment(state.count), active, idle)

    return GradientTransformation(init, update)


@transformation
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

    def init(params: Params) -> State:
        return (*(tx.init(params) for tx in transforms), _no_steps())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != len(transforms) + 1:
            raise wrong_state(f"one of {len(transforms)} transforms and a count", state)
        *states, count = state
        chosen = jnp.floor(jnp.asarray(_answer("index", index, count, extra), float))
        updates, new = _one_of(chosen, transforms, updates, tuple(states), params, extra)
        return updates, (*new, increment(count))

    return GradientTransformation(init, update)


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


@transformation
def skip_nonfinite(inner: Any, max_consecutive: int | None = None):
    r"""Skips a step where NaN or infinity comes in, or comes out of the transform: zero updates, and the state stays.

    .. math:: u = inner(g) \text{ if } g \text{ and } inner(g) \text{ are finite, else } 0

    After a skipped step the inner state is to the last bit what it was before.

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

    def init(params: Params) -> Guarded:
        return Guarded(_no_steps(), _no_steps(), jnp.zeros((), bool), inner.init(params))

    def update(updates: Updates, state: Guarded, params: Params = None, **extra: Any) -> tuple[Updates, Guarded]:
        if not isinstance(state, Guarded):
            raise wrong_state("a `Guarded`", state)
        enough = False if max_consecutive is None else state.consecutive >= max_consecutive
        came_in = ~has_nonfinite(updates)
        admitted = came_in | enough
        # Under vmap this is computed for skipped members too: with zeros, so that no NaN enters the derivatives.
        safe = jax.tree.map(lambda g: jnp.where(admitted, g, jnp.zeros_like(g)) if _is_float(g) else g, updates)

        def attempt(state: tuple[State, Array]) -> tuple[Updates, tuple[State, Array]]:
            out, new = inner.update(safe, state[0], params, **extra)
            finite = came_in & ~has_nonfinite(out)
            choose = partial(_select, finite | enough)
            return jax.tree.map(choose, out, _zeros_like(out)), (jax.tree.map(choose, new, state[0]), finite)

        out, (new, finite) = gate(admitted, (state.inner, jnp.zeros((), bool)), attempt)
        skipped = ~(finite | enough)
        return out, Guarded(
            jnp.where(skipped, increment(state.total), state.total),
            jnp.where(finite, 0, increment(state.consecutive)),
            skipped,
            new,
        )

    return GradientTransformation(init, update)


@nameable("has_nonfinite")
def has_nonfinite(updates: Updates) -> Array:
    """Whether there is a NaN or an infinity in any leaf: a 0-d boolean array, False for an empty tree.

    Leaves of integers have none. It is the `skip` of `accumulate_gradients` for training in half precision.

    Args:
        updates: a pytree of arrays.
    """
    leaves = [leaf for leaf in jax.tree.leaves(updates) if _is_float(leaf)]
    return ~jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]).all() if leaves else jnp.zeros((), bool)


def gate(opened: Array, state: State, work: Callable[[State], tuple[Updates, State]]) -> tuple[Updates, State]:
    """Updates and state from `work(state)` where it is opened; else zero updates of the same form, and `state`."""
    form, _ = jax.eval_shape(work, state)

    def nothing(state: State) -> tuple[Updates, State]:
        return _zeros_like(form), state

    return _branch(opened, [nothing, _settled(work, form)], state)


def single(name: str, answer: Any) -> Any:
    """`answer`, if it has no axes."""
    if np.shape(answer) != ():
        raise GradtxValueError(f"{name} must give one number or truth, got the shape {np.shape(answer)}")
    return answer


def _answer(name: str, question: Callable[..., Any] | str, count: Array, extra: dict[str, Any]) -> Any:
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
    index: Array,
    transforms: Sequence[GradientTransformation],
    updates: Updates,
    states: tuple[State, ...],
    params: Params,
    extra: dict[str, Any],
) -> tuple[Updates, tuple[State, ...]]:
    """The updates of `transforms[index]` in the widest of all their dtypes, and the states, of which its own is new."""

    def only(i: int, states: tuple[State, ...]) -> tuple[Updates, tuple[State, ...]]:
        out, new = transforms[i].update(updates, states[i], params, **extra)
        return out, (*states[:i], new, *states[i + 1 :])

    works = [partial(only, i) for i in range(len(transforms))]
    form = jax.tree.map(_widest, *(jax.eval_shape(work, states)[0] for work in works))
    return _branch(index, [_settled(work, form) for work in works], states)


def _branch(index: Array, works: Sequence[Callable[[State], Any]], state: State) -> Any:
    """`works[index](state)`, the first or last for an index outside; only that one is computed."""
    if is_traced(index):
        return lax.switch(index.astype(jnp.int32), works, state)
    # Op by op the answer is known already: nothing has to be compiled for the choice.
    return works[min(max(int(index), 0), len(works) - 1)](state)


def _settled(work: Callable[[State], Any], form: Updates) -> Callable[[State], Any]:
    """`work` with its updates in the dtypes of `form`, and its state in the dtypes that it had."""

    def settled(state: State) -> tuple[Updates, State]:
        out, new = work(state)
        return jax.tree.map(_like, out, form), jax.tree.map(_like, new, state)

    return settled


def _no_steps() -> Array:
    return jnp.zeros((), jnp.int32)


def _like(x: Any, other: Any) -> Any:
    return x if is_float0(x) or jnp.result_type(x) == other.dtype else strong(x, other.dtype)


def _widest(*arrays: Any) -> Any:
    if is_float0(arrays[0]):
        return arrays[0]
    with jax.numpy_dtype_promotion("standard"):
        return jax.ShapeDtypeStruct(arrays[0].shape, jnp.result_type(*arrays))


def _zeros_like(updates: Updates) -> Updates:
    return jax.tree.map(lambda u: np.zeros(u.shape, u.dtype) if is_float0(u) else jnp.zeros(u.shape, u.dtype), updates)


def _is_float(x: Any) -> bool:
    return not is_float0(x) and jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _select(condition: Array, x: Any, y: Any) -> Any:
    return x if is_float0(x) else jnp.where(condition, x, _like(y, x))
