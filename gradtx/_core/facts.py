"""What transforms say of their input and output, and what follows for those that are made of them.

Signs are counted in shares: whether none, some or all of the arrays, at none, some or all of the steps, come out with
the minus of a step of descent.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from gradtx._base.errors import GradtxValueError
from gradtx._core.context import Built, Share, Work

FACTS = ("takes_gradient", "descends", "takes_ascent", "keeps_sign", "is_step", "is_zero", "leaves_raw", "keeps_params")
FACTS += ("passes",)
"""The fields of `Work` that say something of input and output: who hands on both as they are hands on all of these."""


def of_series(built: Sequence[Built]) -> dict[str, Any]:
    """The facts of transforms in series; raises if they do not fit."""
    for before, part in itertools.pairwise(built):
        if part.work.takes_gradient:
            raise GradtxValueError(
                f"{part.stages[0]} needs the gradient itself, and here it gets the output of {before.stages[0]}; put "
                f"it first, and the other parts behind it, or into the direction of a line_search"
            )
    for before, part in itertools.pairwise(built):
        decays = before.work.averaged, part.work.corrects
        if all(isinstance(decay, float) for decay in decays) and decays[0] != decays[1]:
            raise GradtxValueError(
                f"{before.stages[0]} averages with the decay {decays[0]}, and {part.stages[0]} corrects one of "
                f"{decays[1]}: the first steps would be far too large or too small; give both the same"
            )
    share, descending, keeper = Share.NONE, None, None
    for part in built:
        work = part.work
        if keeper is not None and not work.passes:
            raise GradtxValueError(
                f"{part.stages[0]} comes after {keeper.stages[0]}, which keeps parameters as they are after its own "
                f"output, and would not see the change; put it inside: {keeper.stages[0]}(chain(...))"
            )
        keeper = part if work.keeps_params else keeper
        if descending is not None and share + max(work.descends, work.takes_ascent) > Share.ALL:
            raise _they_ascend(descending, part)
        if work.descends or work.is_step:
            descending = descending or part
            share = Share.ALL if work.is_step else min(Share.ALL, share + work.descends)
    return {
        "takes_gradient": any(part.work.takes_gradient for part in built),
        "descends": Share(share),
        "takes_ascent": max((part.work.takes_ascent for part in built), default=Share.NONE),
        "is_step": any(part.work.is_step for part in built),
        "is_zero": bool(built) and built[-1].work.is_zero,
        "leaves_raw": "" if share is Share.ALL or not built else built[-1].work.leaves_raw,
        "keeps_params": keeper is not None,
        "passes": all(part.work.passes for part in built),
    }


def _they_ascend(first: Built, then: Built) -> GradtxValueError:
    who = f"{then.stages[0]} comes after {first.stages[0]}"
    if first.work.is_step:
        return GradtxValueError(
            f"{who}, whose output is the step to where the parameters have to be, and would change it; put it before"
        )
    if then.work.descends:
        return GradtxValueError(
            f"{who}, and each has a learning rate with the minus of a descent step: together they ascend; give one of "
            f"them the schedule, or use scale(...) for a factor"
        )
    return GradtxValueError(
        f"{who}, whose output has the minus of a descent step already: together they ascend; put it before the "
        f"learning rate"
    )


def of_wrapper(name: str, own: Work, inners: Sequence[Work]) -> dict[str, Any]:
    """The facts of a transform that hands its input to one of the others, and hands on what that puts out."""
    live = [work for work in inners if not work.is_zero]
    descends = max(own.descends, _share([work.descends for work in live]))
    raw = next((work.leaves_raw for work in live if work.leaves_raw), "")
    return {
        "takes_gradient": own.takes_gradient or any(work.takes_gradient for work in inners),
        "descends": descends,
        "takes_ascent": max(own.takes_ascent, _share([work.takes_ascent for work in live])),
        "is_step": own.is_step or any(work.is_step for work in inners),
        "is_zero": own.is_zero or (bool(inners) and not live),
        "leaves_raw": raw or (name if descends is Share.SOME and any(work.passes for work in live) else ""),
        "keeps_params": own.keeps_params or (bool(live) and all(work.keeps_params for work in live)),
    }


def _share(shares: list[Share]) -> Share:
    if not any(shares):
        return Share.NONE
    return Share.ALL if all(share is Share.ALL for share in shares) else Share.SOME


def check_whole(name: str, work: Work) -> None:
    """Raises if it is known that parameters would go uphill, with all steps or with some."""
    if work.leaves_raw:
        raise GradtxValueError(
            f"{work.leaves_raw} makes steps of descent for some parameters, or at some steps, and leaves the other "
            f"gradients as they are: to add those to the parameters ascends; give it set_to_zero() for the rest, which "
            f"keeps the parameters, or another optimizer"
        )
    if work.keeps_sign and not (work.descends or work.is_step or work.is_zero):
        raise GradtxValueError(
            f"{name} keeps the sign of the gradients: to add what it puts out to the parameters ascends; put "
            f"scale_by_learning_rate(...) last in a chain, or take an optimizer that has it, as adam(...); for the way "
            f"uphill put scale(-1.0) first"
        )
