"""What transforms say of their input and output, and what follows for those that are made of them.

Signs are counted in shares: whether none, some or all of the arrays, at none, some or all of the steps, come out with
the minus of a step of descent. What nobody knows is not refused: a function of the user's, a mask by a function.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, listing
from gradtx._base.numerics import is_inexact
from gradtx._base.typing import Params
from gradtx._core.context import Built, Share, Work

FACTS = (
    "takes_gradient",
    "takes_examples",
    "descends",
    "takes_ascent",
    "keeps_sign",
    "is_step",
    "is_zero",
    "raw",
    "keeps_params",
    "passes",
)
"""The fields of `Work` that say something of input and output: who hands on both as they are hands on all of these."""


def of_series(built: Sequence[Built]) -> dict[str, Any]:
    """The facts of transforms in series; raises if they do not fit."""
    _check_inputs(built)
    _check_signs(built)
    works = [part.work for part in built]
    is_covered = any(work.is_zero or work.descends for work in works[:-1])  # others may have the rest
    return {
        "takes_gradient": any(work.takes_gradient for work in works),
        "takes_examples": bool(works) and works[0].takes_examples,
        "descends": max((work.descends for work in works), default=Share.NONE),
        "takes_ascent": max((work.takes_ascent for work in works), default=Share.NONE),
        "is_step": max((work.is_step for work in works), default=Share.NONE),
        "is_zero": works[-1].is_zero if works else Share.NONE,
        "raw": None if is_covered or not works else works[-1].raw,
        "keeps_params": any(work.keeps_params for work in works),
        "passes": all(work.passes for work in works),
    }


def _check_inputs(built: Sequence[Built]) -> None:
    keeper = None
    for before, part in itertools.pairwise(built):
        work = part.work
        if work.takes_gradient and not before.work.passes:
            raise GradtxValueError(
                f"{_name(part)} needs the gradient itself, and here it gets the output of {_name(before)}; put it "
                f"first, and the other parts behind it, or into the direction of a line_search"
            )
        if work.takes_examples and before.stages and before.work.leaf is None and not before.work.passes:
            raise GradtxValueError(
                f"{_name(part)} needs the gradients of single examples, and {_name(before)} mixes them; put it first"
            )
        decays = before.work.averaged, work.corrects
        if all(isinstance(decay, float) for decay in decays) and decays[0] != decays[1]:
            raise GradtxValueError(
                f"{_name(before)} averages with the decay {decays[0]}, and {_name(part)} corrects one of {decays[1]}: "
                f"the first steps would be far too large or too small; give both the same"
            )
        keeper = before if before.work.keeps_params else keeper
        if keeper is not None and not work.passes:
            raise GradtxValueError(
                f"{_name(part)} comes after {_name(keeper)}, which keeps parameters as they are after its own output, "
                f"and would not see the change; put it inside: {_name(keeper)}(chain(...))"
            )


def _check_signs(built: Sequence[Built]) -> None:
    """Raises if a step is turned again, or that of a projection is changed: of all arrays by one of the two parts."""
    for index, first in enumerate(built):
        for then in built[index + 1 :]:
            turns = max(then.work.descends, then.work.takes_ascent)
            who = f"{_name(then)} comes after {_name(first)}"
            if first.work.is_step and turns and first.work.is_step + turns > Share.ALL:
                raise GradtxValueError(
                    f"{who}, whose output is the step to where the parameters have to be, and would change it; put it "
                    f"before"
                )
            if not (first.work.descends and turns and first.work.descends + turns > Share.ALL):
                continue
            if then.work.descends:
                raise GradtxValueError(
                    f"{who}, and each has a learning rate with the minus of a descent step: together they ascend; give "
                    f"one of them the schedule, or use scale(...) for a factor"
                )
            raise GradtxValueError(
                f"{who}, whose output has the minus of a descent step already: together they ascend; put it before the "
                f"learning rate"
            )


def _name(part: Built) -> str:
    return part.stages[0] if part.stages else "a bare pair"


def of_alternatives(own: Work, inners: Sequence[Work]) -> dict[str, Any]:
    """The facts of a transform that hands its input to one of the others, and hands on what that puts out."""
    live = [work for work in inners if work.is_zero is not Share.ALL]
    return {
        "descends": max(own.descends, _share([work.descends for work in live])),
        "takes_ascent": max(own.takes_ascent, _share([work.takes_ascent for work in live])),
        "is_step": max(own.is_step, _share([work.is_step for work in live])),
        "is_zero": max(own.is_zero, _share([work.is_zero for work in inners])),
        "raw": own.raw or (inners[0].raw if len(inners) == 1 else None),
        "keeps_params": own.keeps_params or (bool(live) and all(work.keeps_params for work in live)),
    }


def of_branches(own: Work, branches: Sequence[Work]) -> dict[str, Any]:
    """The facts of a sum or a mean: all of it descends where all of its terms do."""
    is_known = own.keeps_sign is not False and branches and all(work.descends is Share.ALL for work in branches)
    return {"descends": max(own.descends, Share.ALL if is_known else Share.NONE)}


def _share(shares: list[Share]) -> Share:
    if not any(shares):
        return Share.NONE
    return Share.ALL if all(share is Share.ALL for share in shares) else Share.SOME


def ascends(work: Work) -> bool:
    """Whether it is known that all parameters would go uphill."""
    return bool(work.keeps_sign) and not work.descends


def raw_among(
    works: Sequence[Work], chosen: Callable[[Params], list[int]] | None = None
) -> Callable[[Params], list[str]] | None:
    """The function `raw` of a transform that hands each leaf to one of the works; None if no gradient is left raw.

    Args:
        works: the works.
        chosen: the parameters to the index of the work for each leaf; None where each is used for all leaves, in turn.
    """
    if not (any(work.descends for work in works) and any(map(ascends, works))):
        return None

    def raw(params: Params) -> list[str]:
        rows = zip(trees.paths(params), jax.tree.leaves(params), strict=True)
        indices = None if chosen is None else chosen(params)
        is_raw = lambda index: indices is None or ascends(works[indices[index]])
        return [path for index, (path, p) in enumerate(rows) if is_inexact(p) and is_raw(index)]

    return raw


def check_whole(name: str, work: Work) -> None:
    """Raises if it is known that all parameters would go uphill."""
    if ascends(work):
        raise GradtxValueError(
            f"{name} keeps the sign of the gradients: to add what it puts out to the parameters ascends; put "
            f"scale_by_learning_rate(...) last in a chain, or take an optimizer that has it, as adam(...); for the way "
            f"uphill put scale(-1.0) first"
        )


def check_each(name: str, work: Work, params: Params) -> None:
    """Raises if it is known that some parameters would go uphill, while others descend."""
    if work.raw is not None and (paths := work.raw(params)):
        raise GradtxValueError(
            f"{name} makes no steps of descent for {listing(paths)}, or not at each step: their gradients come out "
            f"with their own sign, and to add them to the parameters ascends; give set_to_zero() there, which keeps "
            f"the parameters, or another optimizer"
        )
