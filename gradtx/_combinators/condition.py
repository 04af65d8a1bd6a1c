"""Transforms that are active only at some steps; at inactive steps their state is unchanged.

The condition may depend on the step count or an extra argument (`conditional`, `switch`). Then `lax.switch` computes
only the selected transform; under `vmap` it becomes a select, so that each batch element has its own condition. Or it
depends on the values (`skip_nonfinite`), which are known only after they are computed.

Unlike those of `combinator`, their updates are not widened: in front of a branch that would be a temporary buffer.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.branch import branch, cast_like, settled
from gradtx._base.calls import explains_calls
from gradtx._base.checks import function_of, whole_number
from gradtx._base.errors import GradtxTypeError, GradtxValueError, check_state, short, wrong_state
from gradtx._base.numerics import increment, is_float0, is_traced, strong
from gradtx._base.sharing import for_each
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.context import Context, Work, kept, zeroed
from gradtx._core.facts import Facts, ascending_among
from gradtx._core.identity import identity
from gradtx._core.pairs import missing_extra
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._cpu import isolated
from gradtx._values.registry import nameable

_IDENTITY = identity()


@state_class
class Conditional(NamedTuple):
    """The state of `conditional`.

    Attributes:
        count: int32, the number of updates so far.
        inner: the state of the transform.
        otherwise: the state of the other transform.
    """

    count: Any
    inner: Any
    otherwise: Any


@transformation(role="wrapper")
def conditional(inner: Transform, predicate: Callable[..., Any] | str, otherwise: Transform = _IDENTITY):
    r"""Conditional: applies one transform at the steps where a condition holds, and another at the other steps.

    .. math:: u = inner(g) \text{ if } predicate(t), \text{ else } otherwise(g)

    Only the selected transform is computed, and only its state advances: a schedule inside it counts its own updates.

    Args:
        inner: the transform for the steps where the condition holds.
        predicate: a function of the step count, 0 at the first update, which may request extra arguments as
            keyword-only arguments: `lambda count, *, value: value < 10`. Or a schedule that is 0 where the condition
            does not hold, or the name of an extra argument.
        otherwise: the transform for the other steps. By default updates pass unchanged; `set_to_zero()` makes them
            zero.

    State: `Conditional(count, inner, otherwise)`: one int32 besides the states of the two transforms.

    Raises:
        GradtxTypeError: an extra argument that the predicate requests is missing.
        GradtxValueError: the predicate does not return a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = conditional(scale(0.1), lambda count: count < 2)
        >>> state = tx.init(jnp.zeros(()))
        >>> for _ in range(3):
        ...     update, state = tx.update(jnp.ones(()), state)
        ...     print(update)
        0.1
        0.1
        1.0
    """
    transforms = as_transformation(otherwise), as_transformation(inner)
    _check_question("predicate", predicate)

    def init(step: Context, params: Params) -> Conditional:
        idle, busy = (step.init(tx, params) for tx in transforms)
        return Conditional(_no_steps(), busy, idle)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        check_state(Conditional, state)
        holds = jnp.asarray(_answer("predicate", predicate, state.count, step.extra)).astype(bool)
        states = (state.otherwise, state.inner)
        updates, (idle, busy) = _one_of(step, holds, transforms, updates, states, params)
        return updates, Conditional(increment(state.count), busy, idle)

    ascending = ascending_among([tx._built().work.facts for tx in transforms])
    return GradientTransformation._of(Work(init, update, facts=Facts(ascending=ascending)))


@transformation(role="wrapper")
def switch(index: Callable[..., Any] | str, *inners: Transform):
    r"""Switch: applies one of several transforms at each step.

    .. math:: u = inner_{i}(g), \quad i = \lfloor index(t) \rfloor

    Only the selected transform is computed, and only its state advances. An index below 0 selects the first transform,
    and one beyond the last selects the last.

    Args:
        index: a function of the step count, 0 at the first update, which may request extra arguments as keyword-only
            arguments; or a schedule; or the name of an extra argument. 0 is the first transform.
        *inners: transforms, at least one.

    State: a tuple with the state of each transform, and the number of updates so far (int32) last.

    Raises:
        GradtxTypeError: an extra argument that the index requests is missing.
        GradtxValueError: the index is not a scalar.
    """
    if not inners:
        raise GradtxTypeError("expected at least one transform: switch(index, *inners)")
    transforms = tuple(map(as_transformation, inners))
    _check_question("index", index)

    def init(step: Context, params: Params) -> State:
        return (*(step.init(tx, params) for tx in transforms), _no_steps())

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != len(transforms) + 1:
            raise wrong_state(f"one of {len(transforms)} transforms and a count", state)
        *states, count = state
        chosen = jnp.floor(jnp.asarray(_answer("index", index, count, step.extra), float))
        updates, new = _one_of(step, chosen, transforms, updates, tuple(states), params)
        return updates, (*new, increment(count))

    ascending = ascending_among([tx._built().work.facts for tx in transforms])
    return GradientTransformation._of(Work(init, update, facts=Facts(ascending=ascending)))


@state_class
class Guarded(NamedTuple):
    """The state of `skip_nonfinite`.

    Attributes:
        total: int32, the number of skipped steps.
        consecutive: int32, the number of consecutive non-finite steps up to the last one.
        skipped: whether the last step was skipped.
        inner: the state of the transform.
    """

    total: Any
    consecutive: Any
    skipped: Any
    inner: Any


@transformation(role="wrapper")
def skip_nonfinite(inner: Transform, max_consecutive: int | None = None, check_output: bool = True):
    r"""Non-finite guard: skips steps with NaN or infinity in the input or output: zero updates, unchanged state.

    .. math:: u = inner(g) \text{ if } g \text{ and } inner(g) \text{ are finite, else } 0

    After a skipped step the inner state is bitwise the same as before. Wrap the whole optimizer, clipping included. A
    transform that works on each array independently, after a norm or not, is computed twice, once to check the output
    and once to store it: this takes less time than materializing the new arrays beside the old ones.

    Args:
        inner: the transform.
        max_consecutive: the largest number of consecutive skipped steps. Further non-finite steps pass through until a
            finite one, so that the failure is visible. None, the default, never passes them.
        check_output: whether the output is checked too. Without it, only the input is read before the step, 4 bytes per
            float32 parameter, and nothing is computed twice; a transform that makes infinities of finite gradients is
            not noticed.

    State: `Guarded(total, consecutive, skipped, inner)`: two int32 and a boolean besides the inner state.

    Raises:
        GradtxValueError: `max_consecutive` is not a positive whole number.

    Derivatives through a step skipped for its input are 0. Integer leaves are not checked, and are passed to `inner`.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = skip_nonfinite(sgd(0.1), max_consecutive=5)
        >>> updates, state = tx.update(jnp.asarray([1.0, jnp.nan]), tx.init(jnp.zeros(2)))
        >>> print(updates, state.total)
        [0. 0.] 1
    """
    inner = as_transformation(inner)
    if max_consecutive is not None:
        whole_number("max_consecutive", max_consecutive)

    def init(step: Context, params: Params) -> Guarded:
        return Guarded(_no_steps(), _no_steps(), jnp.zeros((), bool), step.init(inner, params))

    def update(step: Context, updates: Updates, state: Guarded, params: Params) -> tuple[Updates, Guarded]:
        check_state(Guarded, state)
        enough = jnp.zeros((), bool) if max_consecutive is None else state.consecutive >= max_consecutive
        finite, out, new = _where_finite(step, inner, enough, check_output, updates, state.inner, params)
        skipped = ~(finite | enough)
        return out, Guarded(
            jnp.where(skipped, increment(state.total), state.total),
            jnp.where(finite, 0, increment(state.consecutive)),
            skipped,
            new,
        )

    return GradientTransformation._of(Work(init, update))


def _where_finite(
    step: Context,
    inner: GradientTransformation,
    enough: Array,
    check_output: bool,
    updates: Updates,
    state: State,
    params: Params,
) -> tuple[Array, Updates, State]:
    """Whether all is finite, and the updates and the state, which are active where it is, or where `enough` is true."""
    if not check_output:
        finite = ~has_nonfinite(updates)
        return finite, *step.update_where(finite | enough, inner, updates, state, params)
    leaves = jax.tree.leaves(updates)
    if all(map(_is_float, leaves)) and inner._built().work.is_cheap:
        # Computed once to check the output, and recomputed to store it: storing the checked arrays would take a
        # temporary buffer for each update and each slot until the check is complete.
        out, _ = step.update(inner, updates, *isolated((state, params)))
        pairs = zip(leaves, jax.tree.leaves(out), strict=True)
        finite = _none([~jnp.all(jnp.isfinite(g) & jnp.isfinite(u)) for g, u in pairs])
        return finite, *step.update_where(finite | enough, inner, updates, state, params)
    came_in = ~has_nonfinite(updates)
    # Zeros in place of skipped inputs, so that no NaN enters the derivatives.
    safe = jax.tree.map(lambda g: zeroed(came_in | enough, g) if _is_float(g) else g, updates)
    out, new = step.update(inner, safe, state, params)
    finite = came_in & ~has_nonfinite(out)
    active = finite | enough
    return finite, zeroed(active, out), kept(active, jax.tree.map(cast_like, new, state), state)


@nameable("has_nonfinite")
@explains_calls("has_nonfinite")
def has_nonfinite(updates: Updates) -> Array:
    """Non-finite check: whether any leaf has a NaN or an infinity, as a 0-d boolean array; False for an empty tree.

    Integer leaves are always finite. It is the `skip` of `accumulate_gradients` for half-precision training.

    Args:
        updates: a pytree of arrays.
    """
    # x - x is 0, or NaN where x is not finite. On a CPU XLA fuses this into one loop, but materializes booleans.
    leaves = [(jnp.asarray(leaf),) for leaf in jax.tree.leaves(updates) if _is_float(leaf)]
    return ~_none([total != 0 for total in for_each(lambda g: jnp.sum(g - g), leaves)])


def _none(flags: list[Array]) -> Array:
    """Whether all are false, as a sum of floats: XLA would fuse the whole chain of booleans into every loop."""
    floats = [strong(flag, jnp.float32) for flag in flags]
    return jnp.abs(jnp.stack(floats)).sum() == 0 if floats else jnp.ones((), bool)


def single(name: str, answer: Any) -> Any:
    """`answer`, if it is a scalar."""
    if np.shape(answer) != ():
        raise GradtxValueError(f"expected a scalar from {name}, got the shape {np.shape(answer)}")
    return answer


_BY_NAME = "extra arguments that it names after a star are passed to it: lambda count, *, value: ..."


def _check_question(name: str, question: Any) -> None:
    if not (isinstance(question, str) or callable(question)):
        raise GradtxTypeError(
            f"{name}: expected a function of the step count, or the name of an extra argument, got {short(question)}"
        )
    if callable(question) and not _requested(question):
        try:
            function_of(name, question, "count")
        except GradtxTypeError as error:
            raise GradtxTypeError(f"{error}; {_BY_NAME}") from None
    first = next(iter(inspect.signature(question).parameters), "") if callable(question) else ""
    if first in ("g", "grad", "grads", "gradients", "updates", "params", "value", "loss"):
        raise GradtxTypeError(f"{name}: the function gets the step count first, not {first}; {_BY_NAME}")


def _requested(question: Callable[..., Any]) -> list[inspect.Parameter]:
    """The extra arguments that a function asks for."""
    return [p for p in inspect.signature(question).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _answer(name: str, question: Callable[..., Any] | str, count: Array, extra: Mapping[str, Any]) -> Any:
    """The extra argument of that name, or the function's value for the count and the extra arguments it requests."""
    if isinstance(question, str):
        requested, required = [question], [question]
    else:
        named = _requested(question)
        requested, required = [p.name for p in named], [p.name for p in named if p.default is p.empty]
    missing = [key for key in required if key not in extra]
    if missing:
        raise missing_extra(missing[0])
    given = {key: extra[key] for key in requested if key in extra}
    return single(name, given[question] if isinstance(question, str) else question(count, **given))


def _one_of(
    step: Context,
    index: Array,
    transforms: Sequence[GradientTransformation],
    updates: Updates,
    states: tuple[State, ...],
    params: Params,
) -> tuple[Updates, tuple[State, ...]]:
    """The updates of `transforms[index]`, in the widest dtype of all, and the states, of which only its own is new."""

    def only(i: int, states: tuple[State, ...]) -> tuple[Updates, tuple[State, ...]]:
        out, new = step.update(transforms[i], updates, states[i], params)
        return out, (*states[:i], new, *states[i + 1 :])

    works = [partial(only, i) for i in range(len(transforms))]
    if not is_traced(index):
        out, new = branch(index, works, states)  # op by op the others need not have the same form
        return out, jax.tree.map(cast_like, new, states)
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
