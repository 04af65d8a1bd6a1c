"""The constructors: authors write for one array (or one tree); these lift it to trees and own the dtype rules.

    elementwise(fn)                    u = fn(g)                           no memory
    memory(init, step, emit)           m' = step(g, m, p), u = emit(g, m', p)   one array per parameter
    clocked(start, advance, emit)      r, c' = advance(c), u = emit(g, r)  a few numbers per step
    treewise(update, init)             everything at once                  norms, counts, randomness

The first three have a kernel. All arrays that a function sees have at least 32 bits and one precision, and numbers
are Python floats or weakly typed, so `decay * m + (1 - decay) * g` is right in every precision.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, at_stage, wrong_state
from gradtx._base.numerics import align, strong, weak, widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.gate import chosen, derived_where
from gradtx._core.kernel import (
    Begin,
    Clock,
    Flow,
    Kernel,
    Memory,
    Slot,
    Step,
    apart,
    flow,
    gated,
    multiplied,
    unrecognizable,
)
from gradtx._core.protocol import GradientTransformation
from gradtx._cpu import single_pass


def elementwise(fn: Callable[..., Array], needs_params: bool = False) -> GradientTransformation:
    """A transform without memory: `u = fn(g)`, or `u = fn(g, p)` with `needs_params`, for one array."""

    def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
        return g.map(fn if p is None or not needs_params else lambda g: fn(*align(g, p))), memory

    return lift(Kernel((), lambda: (lambda p: (), ()), lambda clock: (step, clock), "" if needs_params else None))


def memory(
    init: Callable[[Array], Array],
    step: Callable[[Array, Array, Any], Array],
    emit: Callable[[Array, Array, Any], Array],
    needs_params: bool = False,
    emit_before: bool = False,
    emit_reads_update: bool = False,
) -> GradientTransformation:
    r"""A transform with one array of memory per parameter, a Mealy machine.

    .. math:: m_t = step(g_t, m_{t-1}, p), \quad u_t = emit(g_t, m_t, p)

    Args:
        init: parameter to memory before the first update. It gets the parameter in the dtype of the memory, the
            parameter's own or float32 if that is wider; usually `jnp.zeros_like`.
        step: update, memory and parameter to the new memory.
        emit: update, new memory and parameter to what goes out. The memory it reads is what was stored.
        needs_params: whether `step` or `emit` read the parameter; without it they get None.
        emit_before: `emit` reads the memory as it was before this step instead.
        emit_reads_update: say so where `emit` makes use of the update. It changes no result, only how it is computed:
            where the update is a quotient or a root, it is reckoned again instead of being kept in a temporary array.

    State: one array per parameter, in its shape.
    """

    def begin(p: Array) -> Array:
        wide = widened(p)
        m = init(wide)
        _same_shape("memory: init", m, p)
        return jnp.copy(m) if m is p else strong(m)  # never the parameter's own buffer, which may be donated

    def together(function: Callable[..., Array], g: Array, m: Array, p: Array | None) -> Array:
        return function(*align(g, m), None) if p is None or not needs_params else function(*align(g, m, p))

    def one(g: Flow, stored: Array, p: Array | None) -> tuple[Flow, Array]:
        old = g.storage.decode(stored)
        computed = strong(together(step, g.value, old, p), old.dtype)
        _same_shape("memory: step", computed, stored)
        new = g.storage.replace(g.storage.encode(computed), stored)
        read = old if emit_before else g.storage.decode(new)

        def out(g: Array, m: Array) -> Array:
            return together(emit, g, m, p)

        if emit_reads_update:
            return g.to(out(g.again(), read), lambda: out(g.again(), unrecognizable(read))), new
        return g.to(out(g.value, read), lambda: out(g.value, unrecognizable(read))), new

    return lift(Kernel(Slot.MEMORY, lambda: (begin, None), lambda clock: (one, None), "" if needs_params else None))


def clocked(
    start: Callable[[], Any], advance: Callable[[Any], tuple[Any, Any]], emit: Callable[[Array, Any], Array]
) -> GradientTransformation:
    r"""A transform with a few numbers that advance once per step, the same for all arrays.

    .. math:: (r_t, c_t) = advance(c_{t-1}), \quad u_t = emit(g_t, r_t)

    Args:
        start: the numbers before the first step, a pytree of 0-d arrays.
        advance: the numbers to this step's reading (a pytree of 0-d arrays) and the new numbers.
        emit: update and reading to what goes out, for one array. The reading is weakly typed.

    State: the numbers.
    """

    def tick(clock: Clock) -> tuple[Step, Clock]:
        reading, new = advance(clock)
        reading = jax.tree.map(weak, reading)
        return lambda g, memory, p: (g.map(lambda g: emit(g, reading)), memory), new

    return lift(Kernel(Slot.CLOCK, lambda: (lambda p: None, start()), tick))


class Clocked(NamedTuple):
    """The state of what `clocked_memory` makes.

    Attributes:
        memory: one array per parameter.
        clock: the numbers that it is kept by.
    """

    memory: Any
    clock: Any


def clocked_memory(
    init: Callable[[Array], Array],
    start: Callable[[], Any],
    advance: Callable[[Any], tuple[Any, Any]],
    step: Callable[[Array, Array, Any, Any], Array],
    emit: Callable[[Array, Array, Any, Any], Array],
    state: Callable[[Any, Any], Any] = Clocked,
    **how: bool,
) -> GradientTransformation:
    r"""`memory` and `clocked` in one: one array per parameter, and a few numbers that it is kept by.

    .. math:: (r_t, c_t) = advance(c_{t-1}), \quad m_t = step(g_t, m_{t-1}, p, r_t), \quad
        u_t = emit(g_t, m_t, p, r_t)

    Args:
        init: as in `memory`.
        start: as in `clocked`.
        advance: as in `clocked`.
        step: update, memory, parameter and reading to the new memory.
        emit: update, new memory, parameter and reading to what goes out.
        state: memory and numbers to the state, a tuple of two; a class of named tuples, for instance.
        **how: as in `memory`.

    State: what `state` makes of memory and numbers.
    """

    def machine(reading: Any) -> Kernel:
        one = memory(init, lambda g, m, p: step(g, m, p, reading), lambda g, m, p: emit(g, m, p, reading), **how)
        assert one.kernel is not None
        return one.kernel

    def begin() -> tuple[Begin, Clock]:
        first, _ = machine(None).start()
        return lambda p: state(first(p), None), state(None, start())

    def tick(clock: Clock) -> tuple[Step, Clock]:
        reading, new = advance(clock[1])
        one, _ = machine(jax.tree.map(weak, reading)).tick(None)

        def work(g: Flow, stored: Memory, p: Array | None) -> tuple[Flow, Memory]:
            u, m = one(g, stored[0], p)
            return u, state(m, None)

        return work, state(None, new)

    return lift(Kernel(state(Slot.MEMORY, Slot.CLOCK), begin, tick, machine(None).needs_params))


def treewise(
    update: Callable[..., tuple[Updates, State]],
    init: Callable[[Params], State] = lambda params: (),
    needs_params: bool = False,
    light: bool = False,
) -> GradientTransformation:
    """A transform that needs the whole tree at once.

    Args:
        update: `(updates, state, params, **extra) -> (updates, state)`. Leaves of the updates, and of the parameters
            with `needs_params`, have at least 32 bits; extras are keyword-only arguments.
        init: parameters to state; none by default.
        needs_params: whether `update` reads the parameters; without it they may be absent.
        light: whether it takes no more than a look at each array, and no sums over them. Then `accumulate_gradients`
            computes it at every step, which is less than a branch around it.
    """
    inner = GradientTransformation(init, update)

    def checked_init(params: Params) -> State:
        trees.floating_leaves(params, "parameters")
        return inner.init(params)

    def checked_update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        updates = trees.widened(updates)
        if needs_params:
            trees.leaves_like(updates, required(params), "updates", "parameters")
            params = trees.widened(params)
        new, state = inner.update(updates, state, params, **extra)
        trees.leaves_like(updates, new, "updates that came in", "updates that go out")
        return new, state

    def behind(opened: Array, often: bool) -> Callable[..., tuple[Updates, State]] | None:
        def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
            new, new_state = checked.update(chosen(opened, updates), state, params, **extra)
            return chosen(opened, new), chosen(opened, new_state, state)

        return update if often or light else None  # norms in vain take longer than a branch does

    checked = GradientTransformation(checked_init, checked_update)
    return GradientTransformation(checked_init, checked_update, gated=behind)


def rescaling(
    factor: Callable[..., tuple[Array, State]], init: Callable[[Params], State] = lambda params: ()
) -> GradientTransformation:
    """A transform that multiplies the whole tree by one number.

    Args:
        factor: `(updates, state, params) -> (factor, state)`; the factor is weakly typed. It sees floating-point arrays
            as they come, in half precision too: wider ones would be written to memory for a norm.
        init: parameters to state; none by default.
    """

    def update(updates: Updates, state: State, params: Params = None) -> tuple[Updates, State]:
        by, new = checked_factor(updates, state, params)
        return jax.tree.map(lambda g: by * g, trees.widened(updates)), new

    def checked_factor(
        updates: Updates, state: State, params: Params = None, opened: Array | None = None
    ) -> tuple[Array, State]:
        leaves, treedef = trees.floating_leaves(updates), jax.tree.structure(updates)
        if opened is None:
            return factor(treedef.unflatten(leaves), state, params)
        by, new = derived_where(opened, lambda leaves: factor(treedef.unflatten(leaves), state, params), leaves)
        return weak(chosen(opened, by)), new

    def behind(opened: Array, often: bool) -> Callable[..., tuple[Updates, State]]:
        def update(updates: Updates, state: State, params: Params = None) -> tuple[Updates, State]:
            by, new = checked_factor(updates, state, params, opened)
            return jax.tree.map(lambda g: by * g, trees.widened(chosen(opened, updates))), chosen(opened, new, state)

        return update

    return GradientTransformation(treewise(update, init).init, update, factor=checked_factor, gated=behind)


def rescaling_each(
    factors: Callable[[list[Array], list[Array]], list[Array]], needs_params: bool = False
) -> GradientTransformation:
    """A transform that multiplies each array by a number of its own.

    Args:
        factors: arrays of the updates, and of the parameters with `needs_params`, to a number for each.
        needs_params: whether it reads the parameters; without it there are none in the list.
    """

    def update(updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        leaves, treedef = jax.tree.flatten(updates)
        ps = trees.leaves_like(updates, params, "updates", "parameters") if needs_params else []
        numbers = factors(leaves, ps)
        return treedef.unflatten(for_each(lambda by, g: weak(by) * g, list(zip(numbers, leaves, strict=True)))), state

    return treewise(update, needs_params=needs_params)


def lift(kernel: Kernel) -> GradientTransformation:
    """The default execution of a kernel: the same work on each leaf, left to XLA to fuse."""
    slots, layout = jax.tree.flatten(kernel.layout)

    def only_clocks(contents: list[Any]) -> Clock:
        return layout.unflatten([x if slot is Slot.CLOCK else None for slot, x in zip(slots, contents, strict=True)])

    def assemble(treedef: Any, memories: list[Memory], clock: Clock) -> State:
        rows, clocks = list(map(layout.flatten_up_to, memories)), layout.flatten_up_to(clock)
        columns = [treedef.unflatten([row[i] for row in rows]) for i in range(len(slots))]
        return layout.unflatten([m if s is Slot.MEMORY else c for s, m, c in zip(slots, columns, clocks, strict=True)])

    def init(params: Params) -> State:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        begin, clock = kernel.start()
        return assemble(treedef, list(map(begin, leaves)), clock)

    def update(
        updates: Updates,
        state: State,
        params: Params = None,
        *,
        bound: Mapping[str, Updates] = MappingProxyType({}),
        pending: Array | None = None,
    ) -> tuple[Updates, State]:
        leaves, treedef = trees.floating_leaves(updates), jax.tree.structure(updates)
        names = [{}] * len(leaves) if not bound else _by_leaf(updates, bound)
        absent = [None] * len(leaves)
        contents = _contents(state, kernel.layout)
        columns = [
            trees.leaves_like(updates, x, "updates", "state") if slot is Slot.MEMORY else absent
            for slot, x in zip(slots, contents, strict=True)
        ]
        ps = absent
        if kernel.needs_params is not None:
            ps = trees.leaves_like(updates, required(params, kernel.needs_params), "updates", "parameters")
            ps = trees.floating_leaves(ps, "parameters")

        step, clock = kernel.tick(only_clocks(contents))
        if pending is not None:
            step = multiplied(step, pending)
        if single_pass.is_on():
            step = apart(step, kernel.layout)

        def work(g: Array, named: Mapping[str, Array], p: Array | None, *memory: Array) -> tuple[Array, Memory]:
            u, new = step(flow(widened(g), named), layout.unflatten(memory), p)
            _same_shape("what makes an update of an array", u.value, g)
            return u.value, new

        pairs = for_each(work, list(zip(leaves, names, ps, *columns, strict=True)))
        return treedef.unflatten([u for u, _ in pairs]), assemble(treedef, [new for _, new in pairs], clock)

    return GradientTransformation(init, update, kernel)


def gated_update(tx: GradientTransformation, opened: Array, often: bool) -> Callable[..., tuple[Updates, State]] | None:
    """`tx.update` where it is opened, else zero updates and the state as it was, chosen in the loops over the arrays.

    A branch instead keeps arrays in between, and copies the state. None where one is better or the only way: it
    depends on whether it is opened at most steps, `often`, or work would mostly be in vain.
    """
    if tx.kernel is not None:
        return lift(gated(tx.kernel, opened)).update
    update = None if tx.gated is None else tx.gated(opened, often)
    if update is None:
        return None
    own = GradientTransformation(tx.init, update)

    def staged(*args: Any, **extra: Any) -> tuple[Updates, State]:
        with at_stage(tx.name):
            return own.update(*args, **extra)

    return staged


def _by_leaf(updates: Updates, bound: Mapping[str, Updates]) -> list[dict[str, Array]]:
    """What has a name, leaf by leaf."""
    named = {name: jax.tree.leaves(matching(updates, value)) for name, value in bound.items()}
    return [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]


def matching(updates: Updates, other: Updates) -> Updates:
    """The leaves of `other` where `updates` has leaves: it may be a group of a partition."""
    return jax.tree.map(lambda g, x: None if g is None else widened(x), updates, other, is_leaf=lambda x: x is None)


def _same_shape(who: str, got: Any, wanted: Array) -> None:
    if jnp.shape(got) != wanted.shape:
        raise GradtxValueError(f"{who} must keep the shape {wanted.shape}, got {jnp.shape(got)}")


def _contents(state: State, layout: Any) -> list[Any]:
    """What stands in the slots of the layout."""
    treedef = jax.tree.structure(layout)
    try:
        return treedef.flatten_up_to(state)
    except (ValueError, TypeError, KeyError):
        raise wrong_state(str(treedef).removeprefix("PyTreeDef"), state) from None


def required(params: Params, who: str = "") -> Params:
    if params is None:
        raise GradtxValueError(
            f"{who or 'this transform'} needs the parameters; call tx.update(updates, state, params)"
        )
    return params
