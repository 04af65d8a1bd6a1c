"""Bucketing: small arrays stacked and updated together."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base import trees
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, wrong_state
from gradtx._base.numerics import is_spread, is_traced, widen, widened
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.context import Context, Work
from gradtx._core.leafwise import SLOT, LeafTransform, Slots, leafwise, restricted
from gradtx._core.parts import told_apart
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@state_class
class Buckets(NamedTuple):
    """One array per parameter; those of small parameters are stacked.

    Attributes:
        stacks: the arrays of all small parameters of one shape, in the order of the leaves, by shape and precision:
            `{"float32[256]": an array of shape (500, 256)}`.
        others: the arrays of the other parameters, by path. Stacked parameters have no entry here: passing thousands of
            entries without an array to a program would take as long as passing the arrays.
    """

    stacks: dict[str, Any]
    others: dict[str, Any]


@transformation(role="wrapper")
def bucketed(inner: Transform, max_size: int = 4096, min_count: int = 64):
    """Bucketing: stacks the state of small parameters, and updates each stack at once; for trees of many small leaves.

    The results are those of `inner`, bitwise except where the compiler contracts a multiplication and an addition in
    only one of the two. Bucketing saves the overhead of passing arrays to a program and back, some microseconds each,
    and of compiling for each array. Parameters and updates keep their structure; only the state is stacked.

    Args:
        inner: a transform that works on each array independently: one made of such primitives, in chains and in
            parallel. Transforms that need the whole tree go outside:
            `chain(clip_by_global_norm(1.0), bucketed(adamw(1e-3)))`.
        max_size: the largest size of an array in a stack. Larger arrays are not stacked, and at `init` neither are
            those sharded over several devices.
        min_count: the smallest number of arrays of one shape and precision that form a stack. A stack takes about a
            tenth of a second to compile, and saves a few microseconds per step and array.

    State: a tuple of length 1 with the state of `inner`, with `Buckets` for each params-shaped tree.

    Raises:
        GradtxTypeError: `inner` needs the whole tree at once.
        GradtxValueError: `max_size` or `min_count` is not a positive whole number.
    """
    inner = as_transformation(inner)
    max_size, min_count = whole_number("max_size", max_size), whole_number("min_count", min_count)
    leaf = inner._built().work.leaf
    if leaf is None:
        raise GradtxTypeError(
            f"expected a transform that works on each array independently, got {inner.factory_name}; put transforms "
            f"that need the whole tree, or whole rows, outside: chain(clip_by_global_norm(1.0), bucketed(adamw(1e-3))) "
            f"or store(bucketed(adamw(1e-3)), codecs.float8)"
        )
    each, stacked = leafwise(leaf), leafwise(_over_first_axis(leaf))

    def joined(stacks: State, others: State) -> State:
        rows = zip(leaf.places, leaf.structure.flatten_up_to(stacks), leaf.structure.flatten_up_to(others), strict=True)
        return (leaf.structure.unflatten([Buckets(x, y) if place is SLOT else y for place, x, y in rows]),)

    def parted(state: State) -> tuple[State, State, Buckets | None]:
        """The states of stacks and others, and the first `Buckets`, which gives the places."""
        try:
            (inside,) = state
            contents = leaf.structure.flatten_up_to(inside)
        except (ValueError, TypeError, KeyError):
            expected = str(leaf.structure).removeprefix("PyTreeDef")
            raise wrong_state(f"a tuple of length 1, with {expected}", state) from None
        pairs = list(zip(leaf.places, contents, strict=True))
        buckets = [x for place, x in pairs if place is SLOT]
        if not all(isinstance(x, Buckets) for x in buckets):
            raise wrong_state("one with `Buckets` for each params-shaped tree", state)
        stacks, others = (
            leaf.structure.unflatten([x[which] if place is SLOT else x for place, x in pairs]) for which in (0, 1)
        )
        return stacks, others, next(iter(buckets), None)

    def init(step: Context, params: Params) -> State:
        buckets = _gathered(params, _first_places(params, max_size, min_count))
        return joined(stacked.init(step, buckets.stacks), each.init(step, buckets.others))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        stacks, others, buckets = parted(state)
        places = _places(updates, buckets)
        gs = _gathered(updates, places)
        ps: tuple = (None, None)
        if leaf.needs_params and params is not None:
            trees.leaves_like(updates, params, "updates", "parameters")
            ps = _gathered(restricted(updates, params), places)
        names = {name: _gathered(restricted(updates, x), places) for name, x in step.names.items()}
        within = [step._replace(names={name: x[which] for name, x in names.items()}) for which in (0, 1)]
        in_stacks, stacks = stacked.update(within[0], gs.stacks, stacks, ps[0])
        alone, others = each.update(within[1], gs.others, others, ps[1])
        return _scattered(updates, places, Buckets(in_stacks, alone)), joined(stacks, others)

    return GradientTransformation._of(Work(init, update, is_cheap=True, takes_factor=True), inner._built().stages)


def _over_first_axis(leaf: LeafTransform) -> LeafTransform:
    """`leaf` mapped over the first axis of stacks."""

    def init_slots(step: Context, p: Array) -> Slots:
        return jax.vmap(lambda p: leaf.init_slots(step, p))(p)

    def update_leaf(reading: Any, step: Context, g: Array, slots: Slots, p: Array | None) -> tuple[Array, Slots]:
        def one(g: Array, names: Any, slots: Slots, p: Array | None) -> tuple[Array, Slots]:
            return leaf.update_leaf(reading, step._replace(names=names), g, slots, p)

        return jax.vmap(one)(g, step.names, slots, p)

    return replace(leaf, init_slots=init_slots, update_leaf=update_leaf)


class Location(NamedTuple):
    """Where an array is stored: in the stack of a name, or alone under its path."""

    stack: str | None
    path: str


def _first_places(params: Params, max_size: int, min_count: int) -> list[Location]:
    names = [
        _name(p) if 0 < p.size <= max_size and not is_spread(p) else None
        for p in trees.floating_leaves(params, "parameters")
    ]
    frequent = {name for name, count in Counter(names).items() if count >= min_count}
    paths = told_apart(trees.paths(params))
    return [Location(name if name in frequent else None, path) for name, path in zip(names, paths, strict=True)]


def _places(updates: Updates, buckets: Buckets | None) -> list[Location]:
    """The place of each array of the updates in a state."""
    leaves, paths = trees.floating_leaves(updates), told_apart(trees.paths(updates))
    if buckets is None:
        return [Location(None, path) for path in paths]
    shapes = Counter(stack.shape[1:] for stack in buckets.stacks.values())
    of_shape = {stack.shape[1:]: name for name, stack in buckets.stacks.items()}
    places = []
    for x, path in zip(leaves, paths, strict=True):
        # By shape alone where it is unique, because gradients may have another precision.
        name = of_shape.get(x.shape) if shapes[x.shape] < 2 else _name(x)
        places.append(Location(None if path in buckets.others else name, path))
    _check_places(places, leaves, buckets)
    return places


def _check_places(places: list[Location], leaves: list[Array], buckets: Buckets) -> None:
    lost = [
        f"{place.path} {x.shape}"
        for place, x in zip(places, leaves, strict=True)
        if place.stack is None and place.path not in buckets.others
    ]
    if lost:
        raise GradtxValueError(f"the updates and the state differ: the state has no slot for {listing(lost)}")
    counts = Counter(place.stack for place in places)
    for name, stack in buckets.stacks.items():
        if counts[name] != stack.shape[0]:
            raise GradtxValueError(
                f"the updates and the state differ: expected {stack.shape[0]} small arrays {name}, got {counts[name]}"
            )


def _name(x: Array) -> str:
    return f"{widen(x.dtype)}[{','.join(map(str, x.shape))}]"


def _gathered(values: Any, places: list[Location]) -> Buckets:
    groups: dict[str, list[Array]] = {name: [] for name in sorted({place.stack for place in places if place.stack})}
    others = {}
    for place, x in zip(places, trees.floating_leaves(values), strict=True):
        if place.stack is None:
            others[place.path] = x
        else:
            groups[place.stack].append(widened(x))
    return Buckets({name: jnp.stack(group) for name, group in groups.items()}, others)


def _scattered(like: Any, places: list[Location], buckets: Buckets) -> Any:
    rows = {name: iter(_rows(stack)) for name, stack in buckets.stacks.items()}
    return jax.tree.structure(like).unflatten(
        [buckets.others[path] if name is None else next(rows[name]) for name, path in places]
    )


def _rows(stack: Array) -> list[Array]:
    """The arrays in a stack.

    XLA compiles one loop per slice offset, and so one per row: 2,000 rows take 20 seconds. Slicing in two levels gives
    the same number of rows, but only twice its square root of offsets, because loops over the same offset in different
    blocks are shared. XLA would merge the two levels; a division between them prevents that, because XLA does not
    duplicate divisions. The divisor is 1, but not known at compile time.
    """
    length = math.isqrt(len(stack) - 1) + 1
    if not is_traced(stack) or length < 3 or jnp.iscomplexobj(stack):  # complex division by 1 is not exact
        return [stack[i] for i in range(len(stack))]
    bits = lax.bitcast_convert_type(stack.ravel()[0], jnp.int32 if stack.dtype.itemsize == 4 else jnp.int64)
    one = jnp.where(lax.population_count(bits) <= 64, 1.0, 2.0).astype(stack.dtype)
    blocks = [stack[i : i + length] / one for i in range(0, len(stack), length)]
    return [block[i] for block in blocks for i in range(len(block))]
