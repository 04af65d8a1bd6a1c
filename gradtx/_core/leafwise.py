"""Work on one array: what most transforms are, and how it is run over the leaves of a tree.

A `LeafTransform` has four roles:

    slots         the arrays that a transform keeps for one parameter
    scalars       what it keeps once for all of them, and advances once per step
    update_leaf   the arithmetic for one array: update, slots and parameter to update and slots
    layout        where slots and scalars stand in the state

For `scale_by_adam`, a ratio of two chains, the state of a tree of parameters {w, b} is

    (                                          layout, a tuple for each combinator:
      ({w: m_w, b: m_b}, (s, r)),              (SLOT, SCALARS)              scale_by_ema, bias_correction
      ((), {w: v_w, b: v_b}, (s, r), ()),      ((), SLOT, SCALARS, ())      square, scale_by_ema, bias_correction, sqrt
    )

and what `update_leaf` gets for w are `slots`, the same with `m_w` and `v_w` at SLOT and None at SCALARS.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial
from operator import itemgetter
from typing import Any, TypeAlias

import jax

from gradtx import _cpu
from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, wrong_state
from gradtx._base.numerics import widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.context import Context, Work


class Place(Enum):
    """What stands at a place of the state."""

    SLOT = "one array per parameter"
    SCALARS = "scalars that advance once per step"


SLOT, SCALARS = Place.SLOT, Place.SCALARS

Slots: TypeAlias = Any
"""The arrays for one parameter in the layout of the state, with None at the scalars."""

Scalars: TypeAlias = Any
"""The scalars in the layout of the state, with None at the slots."""


@dataclass(frozen=True, eq=False)
class LeafTransform:
    """A transform of one array; see the module.

    Attributes:
        layout: the structure of the state, with a `Place` for each slot and each group of scalars.
        init_slots: `(step, p) -> slots`.
        update_leaf: `(reading, step, g, slots, p) -> (u, slots)`. Arrays have at least 32 bits.
        init_scalars: the scalars before the first step.
        advance: `scalars -> (reading, scalars)`: what `update_leaf` reads of them, and the new ones.
        needs_params: whether it reads the parameter; else it gets None.
        any_dtype: whether it takes integers, and half precision as it is.
    """

    layout: Any
    init_slots: Callable[[Context, Array], Slots]
    update_leaf: Callable[..., tuple[Array, Slots]]
    init_scalars: Callable[[], Scalars] = lambda: None
    advance: Callable[[Scalars], tuple[Any, Scalars]] = lambda scalars: (None, scalars)
    needs_params: bool = False
    any_dtype: bool = False

    @cached_property
    def places(self) -> list[Place]:
        return jax.tree.leaves(self.layout)

    @property
    def has_slots(self) -> bool:
        """Whether it keeps arrays of a parameter."""
        return SLOT in self.places

    @cached_property
    def structure(self) -> Any:
        return jax.tree.structure(self.layout)

    def output_like(self, p: Array) -> Array:
        """`p`, or its real part where a complex update leaves this transform real, as squared magnitudes are."""

        def output(p: Array) -> Array:
            step = Context(names=defaultdict(lambda: p))  # every name stands for the same array
            reading, _ = self.advance(self.init_scalars())
            return self.update_leaf(reading, step, p, self.init_slots(step, p), p)[0]

        is_real = not jax.numpy.iscomplexobj(p) or not jax.numpy.iscomplexobj(jax.eval_shape(output, p))
        return p.real if is_real else p


def leafwise(leaf: LeafTransform) -> Work:
    """The default execution: the same work on each leaf, traced once for all of one shape, and left to XLA to fuse."""
    return Work(partial(_init, leaf), partial(_update, leaf), leaf, is_cheap=True, takes_factor=not leaf.any_dtype)


def _init(leaf: LeafTransform, step: Context, params: Params) -> State:
    leaves, treedef = _leaves(leaf, params, "parameters"), jax.tree.structure(params)
    return _state(leaf, treedef, [leaf.init_slots(step, p) for p in leaves], leaf.init_scalars())


def _update(
    leaf: LeafTransform, step: Context, updates: Updates, state: State, params: Params
) -> tuple[Updates, State]:
    leaves, treedef = _leaves(leaf, updates, "updates"), jax.tree.structure(updates)
    scalars, slots = _contents(leaf, updates, state, len(leaves), is_encoded=step.encoding is not None)
    ps = _params(updates, params) if leaf.needs_params and params is not None else [None] * len(leaves)
    names = _by_leaf(step.names, updates) if step.names else [{}] * len(leaves)

    reading, new_scalars = leaf.advance(scalars)
    if step.active is not None:
        new_scalars = step.keep(new_scalars, scalars)
    work = partial(leaf.update_leaf, reading)
    if step.factor is not None:
        work = partial(_rescaled, work, step.factor)
    if step.active is not None:
        work = partial(_safely, work)
    if step.is_traced:
        work = _cpu.by_output(work, leaf.places.count(SLOT))

    def one(g: Array, named: Any, p: Array | None, slots: Slots) -> tuple[Array, Slots]:
        g = g if leaf.any_dtype else widened(g)
        u, new = work(step._replace(names=named), g, slots, p)
        if u.shape != g.shape:
            raise GradtxValueError(
                f"a function of one array, as in elementwise or memory, must keep its shape {g.shape}, as g / norm(g) "
                f"does, and gave {u.shape}; for a function of the whole tree: treewise"
            )
        return u, new

    pairs = for_each(one, list(zip(leaves, names, ps, slots, strict=True)))
    outputs, new_slots = zip(*pairs, strict=True) if pairs else ((), ())
    return treedef.unflatten(outputs), _state(leaf, treedef, new_slots, new_scalars)


def _leaves(leaf: LeafTransform, tree: Any, what: str) -> list[Array]:
    return jax.tree.leaves(tree) if leaf.any_dtype else trees.floating_leaves(tree, what)


def _contents(
    leaf: LeafTransform, updates: Updates, state: State, count: int, is_encoded: bool
) -> tuple[Scalars, list[Slots]]:
    """The scalars of the state, and the slots of each leaf."""
    try:
        contents = leaf.structure.flatten_up_to(state)
    except (ValueError, TypeError, KeyError):
        raise wrong_state(str(leaf.structure).removeprefix("PyTreeDef"), state) from None
    columns: list[Any] = [[None] * count] * len(contents)
    for index, place in enumerate(leaf.places):
        if place is SLOT:
            like = trees.subtrees_like if is_encoded else trees.leaves_like  # a codec may store any subtree
            columns[index] = like(updates, contents[index], "updates", "state")
            contents[index] = None
    rows = zip(*columns, strict=True) if columns else [()] * count
    return leaf.structure.unflatten(contents), list(map(leaf.structure.unflatten, rows))


def _state(leaf: LeafTransform, treedef: Any, slots: Sequence[Slots], scalars: Scalars) -> State:
    """The state with these slots and scalars: the inverse of `_contents`."""
    rows, contents = list(map(leaf.structure.flatten_up_to, slots)), leaf.structure.flatten_up_to(scalars)
    for index, place in enumerate(leaf.places):
        if place is SLOT:
            contents[index] = treedef.unflatten(map(itemgetter(index), rows))
    return leaf.structure.unflatten(contents)


def _params(updates: Updates, params: Params) -> list[Array]:
    parts = trees.leaves_like(updates, params, "updates", "parameters")
    return trees.floating_leaves(jax.tree.structure(updates).unflatten(parts), "parameters")


def _rescaled(work: Callable[..., Any], by: Array, step: Context, g: Array, slots: Slots, p: Array | None) -> Any:
    return work(step, by * g, slots, p)


def _safely(work: Callable[..., Any], step: Context, g: Array, slots: Slots, p: Array | None) -> Any:
    """Inside the work on one array, so that each output of a single pass makes its own zeros; see `_cpu.outputs`."""
    return work(step._replace(names=step.safe(step.names)), step.safe(g), slots, p)


def missing_params() -> GradtxValueError:
    return GradtxValueError("expected the parameters, got None; call tx.update(updates, state, params)")


def _by_leaf(names: Any, updates: Updates) -> list[dict[str, Array]]:
    """What has a name, leaf by leaf."""
    columns = [jax.tree.leaves(restricted(updates, value)) for value in names.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def restricted(updates: Updates, other: Updates) -> Updates:
    """`other` restricted to the leaves of `updates`, which may be a group of a partition, in the compute dtype."""
    return jax.tree.map(lambda g, x: None if g is None else widened(x), updates, other, is_leaf=lambda x: x is None)
