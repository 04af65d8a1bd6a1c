"""The constructors: authors write for one array (or one tree); these lift it to trees and own the dtype rules.

    elementwise(fn)                    u = fn(g)                                no state
    memory(init, step, emit)           m' = step(g, m, p), u = emit(g, m', p)   one array per parameter
    clocked(start, advance, emit)      r, c' = advance(c), u = emit(g, r)       scalars that advance once per step
    clocked_memory(...)                both
    treewise(update, init)             everything at once                       norms, counts, randomness
    combinator(init, update)           transforms around other transforms

The first four make a `LeafTransform`. All arrays that a function gets have at least 32 bits and one precision, and
hyperparameters are Python floats or weakly typed, so `decay * m + (1 - decay) * g` is right in every precision.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.checks import arguments_needed, function_of
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import align, weak
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.context import Context, Work
from gradtx._core.facts import Facts
from gradtx._core.leafwise import SCALARS, SLOT, LeafTransform, leafwise, missing_params
from gradtx._core.pairs import accepted, missing_extra
from gradtx._core.protocol import GradientTransformation
from gradtx._core.slots import given, init_of_slot, no_array, update_of_slot


@explains_calls("elementwise")
def elementwise(fn: Callable[..., Array], needs_params: bool = False) -> GradientTransformation:
    """A transform without state: `u = fn(g)`, or `u = fn(g, p)` with `needs_params`, for one array.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(elementwise(jnp.sign), scale_by_learning_rate(0.1))
        >>> print(tx.update(jnp.asarray([-3.0, 0.5]), tx.init(jnp.zeros(2)))[0])
        [ 0.1 -0.1]
    """
    try:
        function_of("fn", fn, *(("update", "parameter") if needs_params else ("update",)))
    except GradtxTypeError:
        if needs_params or not callable(fn) or arguments_needed(fn) != 2:
            raise
        raise GradtxTypeError(
            "the function takes update and parameter; say elementwise(fn, needs_params=True)"
        ) from None

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        u = fn(*align(g, given(p))) if needs_params else fn(g)
        if not hasattr(u, "shape"):
            raise no_array("fn", u)
        return u, slots

    return _leafwise((), lambda step, p: (), update_leaf, lambda: (), needs_params=needs_params)


@explains_calls("memory")
def memory(
    init: Callable[[Array], Array],
    step: Callable[[Array, Array, Any], Array],
    emit: Callable[[Array, Array, Any], Array] | None = None,
    needs_params: bool = False,
    emit_before: bool = False,
    encoded: bool = True,
) -> GradientTransformation:
    r"""A transform with one array of state per parameter.

    .. math:: m_t = step(g_t, m_{t-1}, p), \quad u_t = emit(g_t, m_t, p)

    Args:
        init: parameter to state before the first update. It gets the parameter in the dtype of the state, the
            parameter's own or float32 if that is wider; usually `jnp.zeros_like`.
        step: update, state and parameter to the new state.
        emit: update, new state and parameter to the output; by default the new state. The state that it gets is read
            back from what was stored.
        needs_params: whether `step` or `emit` read the parameter; without it they get None.
        emit_before: whether `emit` gets the state as it was before this step instead.
        encoded: whether `store` around it encodes the array. Pass False for positions, such as copies of parameters:
            rounding could move them by as much as a step.

    State: one array per parameter, in its shape.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = memory(jnp.zeros_like, lambda g, m, p: 0.9 * m + 0.1 * g)  # an exponential moving average
        >>> u, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        >>> print(u, tx.update(jnp.ones(2), state)[0])
        [0.1 0.1] [0.19 0.19]
    """
    function_of("init", init, "parameter")
    function_of("step", step, "update", "state", "parameter")
    if emit is not None:
        function_of("emit", emit, "update", "state", "parameter")
    advance = lambda g, m, p, reading: step(g, m, p)
    output = None if emit is None else lambda g, m, p, reading: emit(g, m, p)
    update_leaf = update_of_slot(advance, output, needs_params, emit_before, encoded)
    return _leafwise(SLOT, init_of_slot(init, encoded), update_leaf, needs_params=needs_params)


@explains_calls("clocked")
def clocked(
    start: Callable[[], Any], advance: Callable[[Any], tuple[Any, Any]], emit: Callable[[Array, Any], Array]
) -> GradientTransformation:
    r"""A transform with scalars that advance once per step, the same for all arrays.

    .. math:: (r_t, c_t) = advance(c_{t-1}), \quad u_t = emit(g_t, r_t)

    Args:
        start: the scalars before the first step, a pytree of 0-d arrays.
        advance: the scalars to this step's reading (a pytree of 0-d arrays) and the new scalars.
        emit: update and reading to the output, for one array. The reading is weakly typed.

    State: the scalars.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = clocked(lambda: jnp.int32(1), lambda count: (1 / count, count + 1), lambda g, reading: reading * g)
        >>> u, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        >>> print(u, tx.update(jnp.ones(2), state)[0])
        [1. 1.] [0.5 0.5]
    """
    function_of("start", start)
    function_of("advance", advance, "scalars")
    function_of("emit", emit, "update", "reading")

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        return emit(g, reading), slots

    return _leafwise(SCALARS, lambda step, p: None, update_leaf, start, _weakly(advance))


@state_class
class Clocked(NamedTuple):
    """The state of what `clocked_memory` makes.

    Attributes:
        memory: one array per parameter.
        clock: the scalars that advance once per step.
    """

    memory: Any
    clock: Any


@explains_calls("clocked_memory")
def clocked_memory(
    init: Callable[[Array], Array],
    start: Callable[[], Any],
    advance: Callable[[Any], tuple[Any, Any]],
    step: Callable[[Array, Array, Any, Any], Array],
    emit: Callable[[Array, Array, Any, Any], Array] | None = None,
    state: Callable[[Any, Any], Any] = Clocked,
    needs_params: bool = False,
    emit_before: bool = False,
    encoded: bool = True,
) -> GradientTransformation:
    r"""`memory` and `clocked` in one: one array per parameter, and scalars that advance once per step.

    .. math:: (r_t, c_t) = advance(c_{t-1}), \quad m_t = step(g_t, m_{t-1}, p, r_t), \quad
        u_t = emit(g_t, m_t, p, r_t)

    Args:
        init: as in `memory`.
        start: as in `clocked`.
        advance: as in `clocked`.
        step: update, state, parameter and reading to the new state.
        emit: update, new state, parameter and reading to the output; by default the new state.
        state: array and scalars to the state, a tuple of two; a named tuple, for instance.
        needs_params: as in `memory`.
        emit_before: as in `memory`.
        encoded: as in `memory`.

    State: the output of `state`.
    """
    function_of("init", init, "parameter")
    function_of("start", start)
    function_of("advance", advance, "scalars")
    function_of("step", step, "update", "state", "parameter", "reading")
    if emit is not None:
        function_of("emit", emit, "update", "state", "parameter", "reading")
    init_slot = init_of_slot(init, encoded)
    update = update_of_slot(step, emit, needs_params, emit_before, encoded)
    advance = _weakly(advance)

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        u, new = update(reading, step, g, slots[0], p)
        return u, state(new, None)

    def advance_both(scalars: Any) -> tuple[Any, Any]:
        reading, new = advance(scalars[1])
        return reading, state(None, new)

    return _leafwise(
        state(SLOT, SCALARS),
        lambda step, p: state(init_slot(step, p), None),
        update_leaf,
        lambda: state(None, start()),
        advance_both,
        needs_params,
    )


def _leafwise(*roles: Any, **more: Any) -> GradientTransformation:
    """The transform that does what a `LeafTransform` of these roles says."""
    return GradientTransformation._of(leafwise(LeafTransform(*roles, **more)))


def _weakly(advance: Callable[[Any], tuple[Any, Any]]) -> Callable[[Any], tuple[Any, Any]]:
    """`advance`, with a weakly typed reading: it takes the precision of the arrays that it meets."""

    def advanced(clock: Any) -> tuple[Any, Any]:
        answer = advance(clock)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise GradtxTypeError(
                f"advance has to return the reading and the new scalars, as in lambda c: (c, c + 1); it returned "
                f"{short(answer)}"
            )
        reading, new = answer
        if jax.tree.structure(new) != jax.tree.structure(clock):
            raise GradtxTypeError(
                f"advance: expected new scalars in the structure of those before, {jax.tree.structure(clock)}, got "
                f"{jax.tree.structure(new)}"
            )
        return jax.tree.map(weak, reading), new

    return advanced


@explains_calls("treewise")
def treewise(
    update: Callable[..., tuple[Updates, State]],
    init: Callable[[Params], State] = lambda params: (),
    needs_params: bool = False,
) -> GradientTransformation:
    """A transform that needs the whole tree at once.

    Args:
        update: `(updates, state, params, **extra) -> (updates, state)`. Leaves of the updates, and of the parameters
            with `needs_params`, have at least 32 bits; extras are keyword-only arguments.
        init: parameters to state; none by default. Leaves of the parameters have at least 32 bits here too, so that
            `zeros_like` has the dtype of the updates.
        needs_params: whether `update` reads the parameters; without it they may be absent.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def update(updates, state, params):
        ...     return jax.tree.map(lambda g: g / tree.norm(updates), updates), state
        >>> g = {"a": jnp.asarray(3.0), "b": jnp.asarray(4.0)}
        >>> print(tree.norm(treewise(update).update(g, ())[0]))
        1.0
    """

    def init_tree(step: Context, params: Params) -> State:
        return init(trees.widened(params, "parameters"))

    def update_tree(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        updates, extra = step.safe(trees.widened(updates)), accepted(update, step.extra)
        if needs_params:
            trees.leaves_like(updates, required_params(params, updates), "updates", "parameters")
            params = trees.widened(params, "parameters")
        result = update(updates, state, params, **extra)
        if not (isinstance(result, tuple) and len(result) == 2):
            hint = ", the state unchanged if there is none" if state == () else ""
            raise GradtxTypeError(
                f"treewise: its function `update` has to return (updates, state){hint}; it returned {short(result)}"
            )
        out, new = result
        if jax.tree.structure(new) != jax.tree.structure(state):
            raise GradtxValueError(
                f"update: the state must keep its structure: {trees.difference(new, state, 'new state', 'old state')}"
            )
        trees.leaves_like(updates, out, "updates that came in", "updates that go out")
        return out, new

    return GradientTransformation._of(Work(init_tree, update_tree))


@explains_calls("combinator")
def combinator(
    init: Callable[[Context, Params], State],
    update: Callable[[Context, Updates, State, Params], tuple[Updates, State]],
    takes_gradient: bool = False,
) -> GradientTransformation:
    """A transform around other transforms, which it calls through the context that it gets.

    Args:
        init: `(step, params) -> state`, where `step.init(tx, params)` is the state of an inner transform.
        update: `(step, updates, state, params) -> (updates, state)`, where `step.update(tx, updates, state, params)` is
            the update of an inner transform. Floating-point leaves of the updates have at least 32 bits, as those of
            the output of an inner transform do; others, and None, come as they are. The user's extra arguments are in
            `step.extra`.
        takes_gradient: whether the updates have to be the gradient at the parameters; `chain` then accepts it only as
            the first part.

    In both the parameters have their own dtypes, which inner transforms need to know: functions of the loss are called
    with them, and averages are of the parameters as they are rounded. `gradtx.tree.widened(params)` has at least 32
    bits, and is what arrays of the state are made like.

    Return it from a factory that says its role, `@transformation(role="wrapper")`, and store the state of each inner
    transform where that role expects it: in a field or under a key with the name of the argument, or in the order of
    the arguments in a tuple.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> @transformation(role="wrapper")
        ... def negated(inner: Transform):
        ...     def update(step, updates, state, params):
        ...         out, new = step.update(inner, updates, state["inner"], params)
        ...         return jax.tree.map(jnp.negative, out), {"inner": new}
        ...     return combinator(lambda step, params: {"inner": step.init(inner, params)}, update)
        >>> print(negated(sgd(0.1)).update(jnp.ones(2), negated(sgd(0.1)).init(jnp.ones(2)))[0])
        [0.1 0.1]
    """
    inside = "; an inner transform is called as step.{}"
    function_of("init", init, "step", "params", hint=inside.format("init(inner, params)"))
    by_step = inside.format("update(inner, updates, state, params)")
    function_of("update", update, "step", "updates", "state", "params", hint=by_step)

    def update_wide(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        return update(step, trees.floats_widened(updates), state, params)

    return GradientTransformation._of(Work(init, update_wide, facts=Facts(takes_gradient=takes_gradient)))


def with_facts(tx: GradientTransformation, **facts: Any) -> GradientTransformation:
    """The transform, with facts about its work that `Work` lists."""
    work = tx._built().work
    return GradientTransformation._of(replace(work, facts=work.facts._replace(**facts)))


def with_work(tx: GradientTransformation, **changes: Any) -> GradientTransformation:
    """The transform, with other fields of its work."""
    return GradientTransformation._of(replace(tx._built().work, **changes))


def required_params(params: Params, updates: Updates) -> Params:
    """The parameters; raises if there are none, and there is something to update."""
    if params is None and jax.tree.leaves(updates):
        raise missing_params()
    return params


def required_extra(step: Context, name: str) -> Any:
    """The extra argument of this name, which must be there."""
    if name not in step.extra:
        raise missing_extra(name)
    return step.extra[name]
