"""What transforms say of their input and output, and what follows for those that are made of them.

Signs are counted by their extent: whether none, some or all of the arrays, at none, some or all of the steps, come out
with the minus of a step of descent. Unknown signs (a user's function, a mask that is a function) are never refused.
"""

import itertools
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, listing
from gradtx._base.numerics import is_inexact
from gradtx._base.typing import Params
from gradtx._values.registry import Role

if TYPE_CHECKING:
    from gradtx._core.context import Built


class Extent(IntEnum):
    """Of how many arrays, at how many steps, something is true."""

    NONE = 0
    SOME = 1
    ALL = 2


def _must_meet(one: Extent, other: Extent) -> bool:
    """Whether there surely is an array of both: some and some may be others, all and some are not."""
    return min(one, other) > Extent.NONE and max(one, other) is Extent.ALL


class Facts(NamedTuple):
    """What a transform says of its input and output. By default nothing is known.

    Attributes:
        takes_gradient: whether its input has to be the gradient at the parameters, and nothing made of it.
        takes_examples: whether its input has an axis of examples in front, which nothing before it may mix.
        descends: how much of its output has the minus of a step of descent.
        takes_ascent: how much of its input must not have it yet.
        keeps_sign: whether its output surely has the sign of its input; None where nobody says so.
        ema_decay: the decay of the average that is its output, if that is one and biased.
        corrected_decay: the decay of the average whose bias it corrects.
        is_projection: how much of its output is the step itself, which nothing may turn or lengthen.
        is_zero: how much of its output is zero.
        ascending: `parameters -> paths` of those that get their gradients as they are, while others descend.
        keeps_params: whether its state stores the parameters after its own update, so that no later part may change
            that update.
        is_identity: whether its output is its input.
        pauses: whether it puts out zeros at steps that do not count for what is in it.
        rotates_names: whether it rotates what `let` has named. The rounding error of one coordinate would then be
            divided by the root of another's second moment, which may be far smaller.
    """

    takes_gradient: bool = False
    takes_examples: bool = False
    descends: Extent = Extent.NONE
    takes_ascent: Extent = Extent.NONE
    keeps_sign: bool | None = None
    ema_decay: Any = None
    corrected_decay: Any = None
    is_projection: Extent = Extent.NONE
    is_zero: Extent = Extent.NONE
    ascending: Callable[[Params], list[str]] | None = None
    keeps_params: bool = False
    is_identity: bool = False
    pauses: bool = False
    rotates_names: bool = False


def of_series(built: "Sequence[Built]") -> Facts:
    """The facts of transforms in series; raises if they do not fit."""
    _check_inputs(built)
    _check_signs(built)
    parts = [part.work.facts for part in built] or [Facts(is_identity=True)]
    is_covered = any(part.is_zero or part.descends for part in parts[:-1])  # others may have the rest
    return Facts(
        takes_examples=parts[0].takes_examples,
        is_zero=parts[-1].is_zero,
        ascending=None if is_covered else parts[-1].ascending,
        is_identity=all(part.is_identity for part in parts),
        **{name: max(getattr(part, name) for part in parts) for name in _OF_ANY},
    )


_OF_ANY = ("takes_gradient", "descends", "takes_ascent", "is_projection", "keeps_params", "pauses")
"""A series has most of what any of its parts has."""


def _check_inputs(built: "Sequence[Built]") -> None:
    keeper = None
    for before, part in itertools.pairwise(built):
        first, then = before.work.facts, part.work.facts
        if then.takes_gradient and not first.is_identity:
            raise GradtxValueError(
                f"{_name(part)} needs the gradient itself, and here it gets the output of {_name(before)}; put it "
                f"first, and the other parts behind it, or into the direction of a line_search"
            )
        if then.takes_examples and before.stages and before.work.leaf is None and not first.is_identity:
            raise GradtxValueError(
                f"{_name(part)} needs the gradients of single examples, and {_name(before)} mixes them; put it first"
            )
        decays = first.ema_decay, then.corrected_decay
        if all(isinstance(decay, float) for decay in decays) and decays[0] != decays[1]:
            raise GradtxValueError(
                f"{_name(before)} averages with the decay {decays[0]}, and {_name(part)} corrects one of {decays[1]}: "
                f"the first steps would be far too large or too small; give both the same"
            )
        is_memory = part.work.leaf is not None and part.work.leaf.has_slots and not then.keeps_params
        if first.pauses and is_memory:
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(before)}, and would take the zeros of the steps in between for "
                f"gradients; put it inside: {_name(before)}(chain(...), ...)"
            )
        keeper = before if first.keeps_params else keeper
        if keeper is not None and not then.is_identity:
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(keeper)}, which keeps parameters as they are after its own output, "
                f"and would not see the change; put it inside: {_name(keeper)}(chain(...))"
            )


def _check_signs(built: "Sequence[Built]") -> None:
    """Raises if a step is turned again, or that of a projection is changed: of all arrays by one of the two parts."""
    for before, part in itertools.combinations(built, 2):
        first, then = before.work.facts, part.work.facts
        turns = max(then.descends, then.takes_ascent)
        if _must_meet(first.is_projection, turns):
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(before)}, whose output is the step to where the parameters have to "
                f"be, and would change it; put it before"
            )
        if _must_meet(first.descends, turns) and then.descends:
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(before)}, and each has a learning rate with the minus of a descent "
                f"step: together they ascend; give one of them the schedule, or use scale(...) for a factor"
            )
        if _must_meet(first.descends, turns):
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(before)}, whose output has the minus of a descent step already: "
                f"together they ascend; put it before the learning rate, or leave out the minus of a factor"
            )


def _name(part: "Built") -> str:
    return part.stages[0] if part.stages else "a bare pair"


def of_role(role: Role | None, own: Facts, inside: Sequence[Facts]) -> Facts:
    """The facts of what has this role for the transforms inside it."""
    own = own._replace(rotates_names=own.rotates_names or any(facts.rotates_names for facts in inside))
    if inside and role is Role.WRAPPER:
        own = of_alternatives(own, inside)
    elif role is Role.NAMING:  # the output is that of the last
        own = of_alternatives(own, inside[-1:])
    elif role is Role.SIDE_BY_SIDE:
        own = of_branches(own, inside)
    if own.keeps_sign is not None:
        return own
    is_turned = own.descends or own.is_projection or own.is_zero
    return own._replace(keeps_sign=not is_turned and all(facts.keeps_sign for facts in inside))


def of_alternatives(own: Facts, inners: Sequence[Facts]) -> Facts:
    """The facts of a transform that hands its input to one of the others, and hands on what that puts out."""
    live = [facts for facts in inners if facts.is_zero is not Extent.ALL]
    return own._replace(
        descends=max(own.descends, _extent_of([facts.descends for facts in live])),
        takes_ascent=max(own.takes_ascent, _extent_of([facts.takes_ascent for facts in live])),
        is_projection=max(own.is_projection, _extent_of([facts.is_projection for facts in live])),
        is_zero=max(own.is_zero, _extent_of([facts.is_zero for facts in inners])),
        ascending=own.ascending or (inners[0].ascending if len(inners) == 1 else None),
        keeps_params=own.keeps_params or (bool(live) and all(facts.keeps_params for facts in live)),
        pauses=own.pauses or any(facts.pauses for facts in inners),
    )


def of_branches(own: Facts, branches: Sequence[Facts]) -> Facts:
    """The facts of a sum or a mean: all of it descends where all of its terms do."""
    is_known = own.keeps_sign is not False and branches and all(facts.descends is Extent.ALL for facts in branches)
    return own._replace(descends=max(own.descends, Extent.ALL if is_known else Extent.NONE))


def _extent_of(extents: list[Extent]) -> Extent:
    if not any(extents):
        return Extent.NONE
    return Extent.ALL if all(extent is Extent.ALL for extent in extents) else Extent.SOME


def ascends(facts: Facts) -> bool:
    """Whether it is known that all parameters would go uphill."""
    return bool(facts.keeps_sign) and not facts.descends


def ascending_among(
    inners: Sequence[Facts], chosen: Callable[[Params], list[int]] | None = None
) -> Callable[[Params], list[str]] | None:
    """The function `ascending` of a transform that hands each leaf to one of the others; None if none ascends.

    Args:
        inners: the facts of the others.
        chosen: the parameters to the index of the one for each leaf; None where each is used for all leaves, in turn.
    """
    if not (any(facts.descends for facts in inners) and any(map(ascends, inners))):
        return None

    def ascending(params: Params) -> list[str]:
        rows = zip(trees.paths(params), jax.tree.leaves(params), strict=True)
        indices = None if chosen is None else chosen(params)
        goes_up = lambda index: indices is None or ascends(inners[indices[index]])
        return [path for index, (path, p) in enumerate(rows) if is_inexact(p) and goes_up(index)]

    return ascending


def check_direction(name: str, facts: Facts) -> None:
    """Raises if it is known that a direction of a line search goes uphill."""
    if ascends(facts):
        raise GradtxValueError(
            f"the direction {name} keeps the sign of the gradients, and ascends; put scale(-1.0) last in it: "
            f"chain({name}(...), scale(-1.0))"
        )


def check_descends(name: str, facts: Facts) -> None:
    """Raises if it is known that all parameters would go uphill."""
    if ascends(facts):
        raise GradtxValueError(
            f"{name} keeps the sign of the gradients, so adding its updates to the parameters ascends; put "
            f"scale_by_learning_rate(...) last in a chain, or take an optimizer that has it, as adam(...); for the way "
            f"uphill put scale(-1.0) first"
        )


def check_no_leaf_ascends(name: str, facts: Facts, params: Params) -> None:
    """Raises if it is known that some parameters would go uphill, while others descend."""
    if facts.ascending is not None and (paths := facts.ascending(params)):
        raise GradtxValueError(
            f"{name} makes no steps of descent for {listing(paths)}, or not at each step: their gradients come out "
            f"with their own sign, and to add them to the parameters ascends; give set_to_zero() there, which keeps "
            f"the parameters, or another optimizer"
        )
