"""Composition: several transforms as one, by how the updates flow between them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax

from gradtx import _cpu
from gradtx._base.errors import add_stages, check_state, listing, wrong_state
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.context import Built, Context, Work
from gradtx._core.leafwise import SCALARS, LeafTransform, Scalars, Slots, leafwise


def _last(*outputs: Any) -> Any:
    return outputs[-1]


def compose(
    parts: Sequence[Built],
    in_series: bool = False,
    name: str | None = None,
    join: Callable[..., Any] = _last,
    join_trees: Callable[..., Any] | None = None,
    keys: Sequence[str] | None = None,
) -> Work:
    """The work of several transforms as one: on each array by itself if all of them work so, else on whole trees.

    Args:
        parts: the transforms.
        in_series: whether the output of each is the input of the next; else all have the same input.
        name: what the output of each is called in those after it.
        join: combines their outputs, for one array; the last by default.
        join_trees: the same for trees; None if `join` does for them too.
        keys: the names of the parts in the state, a dict; None for a tuple.
    """

    def flow(join: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
        scopes = ["/".join(part.stages) for part in parts]

        def run(calls: Sequence[Callable], step: Context, x: Any, state: Any, params: Any) -> tuple[Any, Any]:
            """One step for one array or a tree; each call is `(step, x, state, params) -> (x, state)`."""
            outputs, new = [], []
            try:
                for call, scope, own in zip(calls, scopes, unpack(state), strict=True):
                    with step.scope(scope):
                        output, own = call(step, x, own, params)
                    if in_series:
                        x = output
                    if name is not None:
                        step = step.with_name(name, output)
                    outputs.append(output)
                    new.append(own)
            except Exception as error:
                add_stages(error, parts[len(new)].stages)
                raise
            return x if in_series else join(*outputs), pack(new)

        return run

    pack: Callable[..., Any]
    if keys is None:
        pack, unpack = tuple, iter
    else:
        pack = lambda states: dict(zip(keys, states, strict=True))
        unpack = lambda state: [state[key] for key in keys]
    leaves = [part.work.leaf for part in parts]
    if None in leaves:
        return _over_trees(parts, flow(join_trees or join), pack, keys, in_series)

    def init_slots(step: Context, p: Array) -> Slots:
        slots = []
        for leaf in leaves:
            slots.append(leaf.init_slots(step, p))
            p = leaf.output_like(p) if in_series else p
        return pack(slots)

    def init_scalars() -> Scalars:
        return pack([leaf.init_scalars() for leaf in leaves])

    def advance(scalars: Scalars) -> tuple[Any, Scalars]:
        calls, new = [], []
        for leaf, own in zip(leaves, unpack(scalars), strict=True):
            reading, own = leaf.advance(own)
            calls.append(partial(leaf.update_leaf, reading))
            new.append(own)
        return calls, pack(new)

    needs_params = any(leaf.needs_params for leaf in leaves)
    layout = pack([leaf.layout for leaf in leaves])
    return leafwise(
        LeafTransform(
            layout, init_slots, flow(join), init_scalars, advance, needs_params, all(x.any_dtype for x in leaves)
        )
    )


def _over_trees(
    parts: Sequence[Built], flow: Callable[..., Any], pack: Any, keys: Sequence[str] | None, in_series: bool
) -> Work:
    """Several transforms as one, of which some need the whole tree. It stores nothing of its own."""
    works = [part.work for part in parts]
    calls = _cpu.factors_deferred(works) if in_series else [work.update for work in works]
    known = list(range(len(parts)) if keys is None else keys)

    def init(step: Context, params: Params) -> State:
        states = []
        for part in parts:
            states.append(part.init(step, params))
            if in_series and part.work.leaf is not None:
                params = jax.tree.map(part.work.leaf.output_like, params)
        return pack(states)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        found = state if isinstance(state, dict) else range(len(state)) if isinstance(state, (tuple, list)) else ()
        if set(found) != set(known):
            raise wrong_state(f"one with the parts {listing(known)}", state)
        return flow(calls, step, updates, state, params)

    return Work(init, update, is_cheap=all(work.is_cheap for work in works))


def with_scalars(
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
        advance: `scalars -> (scalars of this step, new scalars)`.
        inner_at: `scalars of this step -> transform`; None if it stays the same.
        within: `(context, scalars of this step) -> context of the transform`.
    """
    leaf, at = inner.work.leaf, inner_at or (lambda own: inner)
    inside = within or (lambda step, own: step)
    nothing = [None] * (len(kind._fields) - 1)

    if leaf is None:

        def init(step: Context, params: Params) -> State:
            own = start()
            return kind(*own, at(own).work.init(inside(step, own), params))

        def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
            check_state(kind, state)
            *old, own = state
            now, new = advance(tuple(old))
            out, own = at(now).work.update(inside(step, now), updates, own, params)
            return out, kind(*step.keep(new, tuple(old)), own)

        return Work(init, update, is_cheap=inner.work.is_cheap, facts=inner.work.facts)

    def init_slots(step: Context, p: Array) -> Slots:
        return kind(*nothing, leaf.init_slots(step if within is None else within(step, start()), p))

    def init_scalars() -> Scalars:
        own = start()
        return kind(*own, at(own).work.leaf.init_scalars())

    def advance_both(scalars: Scalars) -> tuple[Any, Scalars]:
        now, new = advance(tuple(scalars[:-1]))
        inner_now = at(now).work.leaf
        reading, own = inner_now.advance(scalars[-1])
        return (partial(inner_now.update_leaf, reading), now), kind(*new, own)

    def update_leaf(reading: Any, step: Context, g: Array, slots: Slots, p: Array | None) -> tuple[Array, Slots]:
        call, now = reading
        u, own = call(inside(step, now), g, slots[-1], p)
        return u, kind(*nothing, own)

    layout = kind(*(SCALARS for _ in nothing), leaf.layout)
    work = leafwise(
        LeafTransform(layout, init_slots, update_leaf, init_scalars, advance_both, leaf.needs_params, leaf.any_dtype)
    )
    return replace(work, facts=inner.work.facts)
