"""Kernels: what a transform does to one array, apart from how it is run over many.

A transform has a kernel when what it does to one array depends on that array, its memory, its parameter, and numbers
that are the same for all arrays and advance once per step, on a *clock*. Kernels compose: series, and side by side.
The default execution maps a kernel over the leaves of a tree; others may run the same kernel on other arrays (small
leaves in flat buckets, encoded memory, one shard of each leaf) and give the same numbers.

For `scale_by_adam` the memory of one array is `((m, None), (None, v, None, None))`-like, and the clock has the two bias
corrections in the places that are `None` there: both have the shape of the transform's state.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx._base.numerics import align
from gradtx._base.typing import Array


class Slot(Enum):
    """What stands at a place of a transform's state."""

    MEMORY = "one array per parameter"
    CLOCK = "numbers that advance once per step"


Memory: TypeAlias = Any
"""One array's memory in the layout of the state, with None at the clocks."""

Clock: TypeAlias = Any
"""The clocks in the layout of the state, with None at the memories."""

Begin: TypeAlias = Callable[[Array], Memory]
"""Parameter to initial memory, for one array."""


class Storage(NamedTuple):
    """How memories are kept.

    Attributes:
        encode: a memory as it is computed to as it is kept.
        decode: the reverse.
        replace: what is kept of a new memory and the old one, both as they are kept.
    """

    encode: Callable[[Array], Array] = lambda x: x
    decode: Callable[[Array], Array] = lambda x: x
    replace: Callable[[Array, Array], Array] = lambda new, old: new


class Flow(NamedTuple):
    """One array on its way through a kernel.

    XLA does not compute a division or a root twice for two consumers: it writes the array to memory. Where that would
    happen, the second consumer reads `again()` instead, the same number reckoned from what was stored.

    Attributes:
        value: the array.
        again: computes it once more, from the incoming array and the new memory, in a way that the compiler does not
            recognize as the same.
        bound: what `let` has given names on the way here.
        storage: how the memories on the way are kept; see `store`.
    """

    value: Array
    again: Callable[[], Array]
    bound: Mapping[str, "Flow"] = MappingProxyType({})
    storage: Storage = Storage()

    def to(self, value: Array, again: Callable[[], Array]) -> "Flow":
        """The flow of another array, further down the same way."""
        return Flow(value, again, self.bound, self.storage)

    def map(self, function: Callable[[Array], Array]) -> "Flow":
        """The flow of `function` of the array."""
        return self.to(function(self.value), lambda: function(self.again()))


Step: TypeAlias = Callable[[Flow, Memory, Array | None], tuple[Flow, Memory]]
"""Update, memory and parameter to the new update and memory, for one array. Arrays have at least 32 bits."""


def flow(g: Array, bound: Mapping[str, Array] = MappingProxyType({})) -> Flow:
    """The beginning of a flow, with the arrays that have names."""
    return Flow(g, lambda: unrecognizable(g), {name: flow(x) for name, x in bound.items()})


def unrecognizable(x: Array) -> Array:
    """`x`, such that the compiler does not merge what is computed from it with what is computed from `x`."""
    return x if _IS_APART.get() else jax.lax.optimization_barrier(x)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A transform's work on one array.

    Attributes:
        layout: the state's structure, with a `Slot` for each tree of memories and each clock.
        start: returns how one array's memory begins, and the initial clock.
        tick: advances the clock; returns this step's work on one array, and the new clock.
        needs_params: the stages that read the parameter, or None.
    """

    layout: Any
    start: Callable[[], tuple[Begin, Clock]]
    tick: Callable[[Clock], tuple[Step, Clock]]
    needs_params: str | None = None

    def like_output(self, p: Array) -> Array:
        """`p`, or its real part where a complex stream leaves this kernel real (as squared magnitudes are)."""
        if not jnp.iscomplexobj(p):
            return p

        def output(p):
            (begin, clock) = self.start()
            like_p = Flow(p, lambda: p, defaultdict(lambda: flow(p)))  # whatever names there may be
            return self.tick(clock)[0](like_p, begin(p), p)[0].value

        return p if jnp.issubdtype(jax.eval_shape(output, p).dtype, jnp.complexfloating) else p.real


def in_series(kernels: Sequence[Kernel], names: Sequence[str] | None = None) -> Kernel:
    """Each kernel's output is the next one's input. States are a tuple, or a dict by `names`."""
    pack, unpack = _packing(names)

    def start() -> tuple[Begin, Clock]:
        begins, clocks = zip(*(k.start() for k in kernels), strict=True) if kernels else ((), ())

        def begin(p: Array) -> Memory:
            memories = []
            for kernel, one in zip(kernels, begins, strict=True):
                memories.append(one(p))
                p = kernel.like_output(p)
            return pack(memories)

        return begin, pack(clocks)

    def tick(clock: Clock) -> tuple[Step, Clock]:
        pairs = [k.tick(c) for k, c in zip(kernels, unpack(clock), strict=True)]

        def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            memories = []
            for (one, _), m in zip(pairs, unpack(memory), strict=True):
                g, m = one(g, m, p)
                memories.append(m)
            return g, pack(memories)

        return step, pack([c for _, c in pairs])

    return Kernel(pack([k.layout for k in kernels]), start, tick, _who_needs_params(kernels))


def side_by_side(combine: Callable[..., Array], kernels: Sequence[Kernel]) -> Kernel:
    """Every kernel has the same input; `combine` joins their outputs. States are a tuple."""

    def start() -> tuple[Begin, Clock]:
        begins, clocks = zip(*(k.start() for k in kernels), strict=True)
        return lambda p: tuple(begin(p) for begin in begins), clocks

    def tick(clock: Clock) -> tuple[Step, Clock]:
        steps, clocks = zip(*(k.tick(c) for k, c in zip(kernels, clock, strict=True)), strict=True)

        def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            outputs, memories = zip(*(one(g, m, p) for one, m in zip(steps, memory, strict=True)), strict=True)
            joined = g.to(
                combine(*align(*(output.value for output in outputs))),
                lambda: combine(*align(*(output.again() for output in outputs))),
            )
            return joined, memories

        return step, clocks

    return Kernel(tuple(k.layout for k in kernels), start, tick, _who_needs_params(kernels))


def naming(name: str, value: Kernel, body: Kernel) -> Kernel:
    """`body`, in which what `value` makes of the same input has a name. States are a tuple of two."""

    def start() -> tuple[Begin, Clock]:
        (begin_value, value_clock), (begin_body, body_clock) = value.start(), body.start()
        return lambda p: (begin_value(p), begin_body(p)), (value_clock, body_clock)

    def tick(clock: Clock) -> tuple[Step, Clock]:
        (make, value_clock), (work, body_clock) = value.tick(clock[0]), body.tick(clock[1])

        def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            named, value_memory = make(g, memory[0], p)
            u, body_memory = work(g._replace(bound={**g.bound, name: named}), memory[1], p)
            return g.to(u.value, u.again), (value_memory, body_memory)

        return step, (value_clock, body_clock)

    return Kernel((value.layout, body.layout), start, tick, _who_needs_params([value, body]))


def multiplied(step: Step, factor: Array) -> Step:
    """`step` of the update times a number."""
    return lambda g, memory, p: step(g.map(lambda x: factor * x), memory, p)


def gated(kernel: Kernel, opened: Array) -> Kernel:
    """`kernel` where it is opened, else updates of 0 and the memory as it was.

    The choice is made within the work on each array, and what follows a memory reads what was chosen. A choice
    afterwards would need both, the old memory and the new one, and one of them in an array of its own.
    """

    def tick(clock: Clock) -> tuple[Step, Clock]:
        step, new = kernel.tick(clock)

        def replace(new: Array, old: Array) -> Array:
            return jax.lax.select(opened, new, old)

        def zero_unless(u: Array) -> Array:
            return jax.lax.select(opened, u, jnp.zeros_like(u))

        def work(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            # Zeros in place of what does not count: it may be NaN, which would enter the derivatives.
            safe = g.map(zero_unless)._replace(storage=g.storage._replace(replace=replace))
            u, kept = step(safe, memory, p)
            return u.map(zero_unless), kept

        return work, jax.tree.map(replace, new, clock)

    return Kernel(kernel.layout, kernel.start, tick, kernel.needs_params)


def over_first_axis(kernel: Kernel) -> Kernel:
    """`kernel` on stacks of arrays, each by itself."""

    def start() -> tuple[Begin, Clock]:
        begin, clock = kernel.start()
        return jax.vmap(begin), clock

    def tick(clock: Clock) -> tuple[Step, Clock]:
        step, new = kernel.tick(clock)

        def one(g: Array, bound: dict[str, Array], memory: Memory, p: Array | None) -> tuple[Array, Memory]:
            u, memory = step(flow(g, bound), memory, p)
            return u.value, memory

        def work(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            bound = {name: named.value for name, named in g.bound.items()}
            u, memory = jax.vmap(one)(g.value, bound, memory, p)
            return g.to(u, lambda: u), memory

        return work, new

    return Kernel(kernel.layout, start, tick, kernel.needs_params)


_IS_APART: ContextVar[bool] = ContextVar("whether what comes out has copies of its own of what comes in", default=False)


def apart(step: Step, layout: Any) -> Step:
    """`step`, in which each memory and the update are reckoned from copies of the input that are their own.

    For `single_pass_cpu`. XLA joins no loops over arrays of different precisions, so where a memory is not as wide as
    the update it is left as it is.
    """
    slots, treedef = jax.tree.flatten(layout)

    def work(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
        if any(m.dtype.itemsize != g.value.dtype.itemsize for m in jax.tree.leaves(memory)):
            return step(g, memory, p)
        inputs: Any = (g.value, {name: named.value for name, named in g.bound.items()}, memory, p)
        memories = []
        for index, slot in enumerate(slots):
            if slot is Slot.MEMORY:
                new = treedef.flatten_up_to(run(*inputs)[1])[index]
                # What is passed on as it is would be copied in a pass of its own.
                passed_on = any(new is x for x in jax.tree.leaves(inputs))
                memories.append(new * jax.lax.optimization_barrier(jnp.ones((), new.dtype)) if passed_on else new)
                inputs = jax.lax.optimization_barrier(inputs)
            else:
                memories.append(None)
        return run(*inputs)[0], treedef.unflatten(memories)

    def run(g: Array, bound: dict[str, Array], memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
        token = _IS_APART.set(True)
        try:
            u, new = step(flow(g, bound), memory, p)
        finally:
            _IS_APART.reset(token)
        return u, new

    return work


def _packing(names: Sequence[str] | None) -> tuple[Callable[[Sequence], Any], Callable[[Any], Sequence]]:
    """How the parts' states become one state, and back."""
    if names is None:
        return tuple, tuple

    def unpack(state: Mapping[str, Any]) -> list:
        return [state[name] for name in names]

    return lambda states: dict(zip(names, states, strict=True)), unpack


def _who_needs_params(kernels: Sequence[Kernel]) -> str | None:
    return next((k.needs_params for k in kernels if k.needs_params), None)
