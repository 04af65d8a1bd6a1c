"""Composition: several transforms as one, by how the updates flow between them.

A flow is written once, and serves for one array and for whole trees. It is a function

    flow(calls, step, x, state, params, layout) -> (x, state)

where each call is `(step, x, state, params) -> (x, state)`: the update of a transform, or, where all of them work on
each array by itself, their arithmetic for one array.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax

from gradtx import _cpu
from gradtx._base.errors import add_stages, listing, wrong_state
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.context import Built, Context, Work
from gradtx._core.leafwise import SCALARS, LeafTransform, Leafwise, Scalars, Slots

Flow: TypeAlias = Callable[..., tuple[Any, Any]]


class Layout(NamedTuple):
    """How the states of several transforms make one: by default a tuple.

    Attributes:
        pack: a list of states to the state.
        unpack: the reverse.
        keys: the keys of the state, if it is a dict.
    """

    pack: Callable[[Sequence[Any]], Any] = tuple
    unpack: Callable[[Any], Sequence[Any]] = tuple
    keys: Sequence[str] | None = None


TUPLE = Layout()


def _under(keys: Sequence[str]) -> Layout:
    """A dict by the keys."""
    return Layout(lambda states: dict(zip(keys, states, strict=True)), lambda state: [state[key] for key in keys], keys)


def compose(
    parts: Sequence[Built],
    flow: Flow,
    over_trees: Flow | None = None,
    keys: Sequence[str] | None = None,
    in_series: bool = False,
) -> Work:
    """The work of several transforms as one.

    Args:
        parts: the transforms.
        flow: how the updates of one array flow.
        over_trees: how those of a tree flow; None if that is the same.
        keys: the names of the parts in the state, a dict; None for a tuple.
        in_series: whether the output of one is the input of the next.
    """
    layout = TUPLE if keys is None else _under(keys)
    flow, over_trees = (partial(one, layout=layout) for one in (flow, over_trees or flow))
    leaves = [part.work.leaf for part in parts]
    if None in leaves:
        return Composite(parts, over_trees, layout, in_series)

    def init_slots(step: Context, p: Array) -> Slots:
        slots = []
        for leaf in leaves:
            slots.append(leaf.init_slots(step, p))
            p = leaf.output_like(p) if in_series else p
        return layout.pack(slots)

    def init_scalars() -> Scalars:
        return layout.pack([leaf.init_scalars() for leaf in leaves])

    def advance(scalars: Scalars) -> tuple[Any, Scalars]:
        calls, new = [], []
        for leaf, own in zip(leaves, layout.unpack(scalars), strict=True):
            reading, own = (None, own) if leaf.advance is None else leaf.advance(own)
            calls.append(partial(leaf.update_leaf, reading))
            new.append(own)
        return calls, layout.pack(new)

    places = layout.pack([leaf.layout for leaf in leaves])
    needs = [(*p.stages, *p.work.leaf.needs_params) for p in parts if p.work.leaf.needs_params is not None]
    return Leafwise(LeafTransform(places, init_slots, flow, init_scalars, advance, needs[0] if needs else None))


class Composite(Work):
    """Several transforms as one, of which some need the whole tree. It stores nothing of its own."""

    def __init__(self, parts: Sequence[Built], flow: Flow, layout: Layout, in_series: bool):
        self.parts, self.layout, self.in_series = parts, layout, in_series
        works = [part.work for part in parts]
        self.flow = partial(flow, _cpu.factors_deferred(works) if in_series else [work.update for work in works])
        self.is_cheap = all(work.is_cheap for work in works)

    def init(self, step: Context, params: Params) -> State:
        states = []
        for part in self.parts:
            states.append(part.init(step, params))
            if self.in_series and part.work.leaf is not None:
                params = jax.tree.map(part.work.leaf.output_like, params)
        return self.layout.pack(states)

    def update(self, step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        keys = range(len(self.parts)) if self.layout.keys is None else self.layout.keys
        found = state if isinstance(state, dict) else range(len(state)) if isinstance(state, (tuple, list)) else ()
        if set(found) != set(keys):
            raise wrong_state(f"one with the parts {listing(keys)}", state)
        return self.flow(step, updates, state, params)


def series(stages: Sequence[tuple[str, ...]]) -> Flow:
    """The output of each transform is the input of the next."""
    names = list(map("/".join, stages))

    def flow(calls: Sequence[Callable], step: Context, x: Any, state: Any, params: Any, layout: Layout) -> tuple:
        new = []
        try:
            for call, name, own in zip(calls, names, layout.unpack(state), strict=True):
                with step.scope(name):
                    x, own = call(step, x, own, params)
                new.append(own)
        except Exception as error:
            add_stages(error, stages[len(new)])
            raise
        return x, layout.pack(new)

    return flow


def side_by_side(stages: Sequence[tuple[str, ...]], join: Callable[..., Any]) -> Flow:
    """All transforms have the same input, and `join` makes one output of theirs."""
    names = list(map("/".join, stages))

    def flow(calls: Sequence[Callable], step: Context, x: Any, state: Any, params: Any, layout: Layout) -> tuple:
        outputs, new = [], []
        try:
            for call, name, own in zip(calls, names, layout.unpack(state), strict=True):
                with step.scope(name):
                    output, own = call(step, x, own, params)
                outputs.append(output)
                new.append(own)
        except Exception as error:
            add_stages(error, stages[len(new)])
            raise
        return join(*outputs), layout.pack(new)

    return flow


def naming(stages: Sequence[tuple[str, ...]], name: str) -> Flow:
    """The output of the first transform has a name in the second, which has the same input."""
    names = list(map("/".join, stages))

    def flow(calls: Sequence[Callable], step: Context, x: Any, state: Any, params: Any, layout: Layout) -> tuple:
        new = []
        try:
            with step.scope(names[0]):
                named, own = calls[0](step, x, state[0], params)
            new.append(own)
            with step.scope(names[1]):
                out, own = calls[1](step.with_name(name, named), x, state[1], params)
        except Exception as error:
            add_stages(error, stages[len(new)])
            raise
        return out, layout.pack([*new, own])

    return flow


def around(
    kind: type,
    inner: Built,
    start: Callable[[], tuple],
    advance: Callable[[tuple], tuple[tuple, tuple]],
    inner_at: Callable[[tuple], Built] | None = None,
    within: Callable[[Context, tuple], Context] | None = None,
) -> Work:
    """The work of one transform whose state also holds scalars that advance once per step.

    Args:
        kind: the class of the state, a named tuple: the scalars, and last the state of the transform.
        inner: the transform before the first step.
        start: the scalars before the first step.
        advance: the scalars to those that this step uses, and to the new ones.
        inner_at: the scalars of this step to the transform in it; None if it stays the same.
        within: the context and the scalars of this step to the context of the transform.
    """
    leaf = inner.work.leaf
    inside = within or (lambda step, own: step)
    at = inner_at or (lambda own: inner)
    if leaf is None:
        return Around(kind, inner, start, advance, at, inside)
    nothing = [None] * (len(kind._fields) - 1)

    def init_slots(step: Context, p: Array) -> Slots:
        return kind(*nothing, leaf.init_slots(step if within is None else within(step, start()), p))

    def init_scalars() -> Scalars:
        own = start()
        return kind(*own, at(own).work.leaf.init_scalars())

    def advance_both(scalars: Scalars) -> tuple[Any, Scalars]:
        now, new = advance(tuple(scalars[:-1]))
        inner_now, own = at(now).work.leaf, scalars[-1]
        reading, own = (None, own) if inner_now.advance is None else inner_now.advance(own)
        return (partial(inner_now.update_leaf, reading), now), kind(*new, own)

    def update_leaf(reading: Any, step: Context, g: Array, slots: Slots, p: Array | None) -> tuple[Array, Slots]:
        call, now = reading
        u, own = call(inside(step, now), g, slots[-1], p)
        return u, kind(*nothing, own)

    layout = kind(*(SCALARS for _ in nothing), leaf.layout)
    return Leafwise(LeafTransform(layout, init_slots, update_leaf, init_scalars, advance_both, leaf.needs_params))


class Around(Work):
    """`around`, for a transform that needs the whole tree."""

    def __init__(self, kind: type, inner: Built, start: Any, advance: Any, inner_at: Any, within: Any):
        self.kind, self.start, self.advance, self.inner_at, self.within = kind, start, advance, inner_at, within
        self.is_cheap = inner.work.is_cheap

    def init(self, step: Context, params: Params) -> State:
        own = self.start()
        return self.kind(*own, self.inner_at(own).work.init(self.within(step, own), params))

    def update(self, step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, self.kind):
            raise wrong_state(f"a `{self.kind.__name__}`", state)
        *old, inner = state
        now, new = self.advance(tuple(old))
        out, inner = self.inner_at(now).work.update(self.within(step, now), updates, inner, params)
        return out, self.kind(*step.keep(new, tuple(old)), inner)
