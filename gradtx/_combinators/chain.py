"""Series composition."""

import itertools
from dataclasses import replace

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Transform
from gradtx._core.compose import compose
from gradtx._core.context import Built
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="series")
def chain(*parts: Transform | tuple[str, Transform]):
    r"""Chain: applies transforms in series; the output of each part is the input of the next.

    .. math:: u = part_n(\dots part_2(part_1(g)))

    Associative, with `identity()` as its unit.

    Args:
        *parts: transforms, or `(name, transform)` pairs for all of them; Optax transforms are accepted.

    State: a tuple with the state of each part, or a dict by name. Nothing of its own.

    Raises:
        GradtxTypeError: only some parts are named, or a part is not a transform.
        GradtxValueError: two parts have the same name; a line search is not the first part; there are two learning
            rates, or a weight decay after one; or something follows what keeps parameters, as `average_params` does.
    """
    names, transforms = _named(parts)
    built = [tx._built() for tx in transforms]
    facts = _facts(built)
    work = compose(built, in_series=True, keys=names)
    return GradientTransformation._of(replace(work, **facts) if any(facts.values()) else work)


def _facts(built: list[Built]) -> dict[str, bool]:
    """What `Work` says of a chain; raises if its parts do not fit."""
    for before, part in itertools.pairwise(built):
        if part.work.takes_gradient:
            raise GradtxValueError(
                f"{part.stages[0]} needs the gradient itself, and here it gets the output of {before.stages[0]}; put "
                f"it first, and the other parts behind it, or into the direction of a line_search"
            )
    descends = keeper = None
    for part in built:
        if keeper is not None and not part.work.passes:
            raise GradtxValueError(
                f"{part.stages[0]} comes after {keeper.stages[0]}, which keeps parameters as they are after its own "
                f"output, and would not see the change; put it inside: {keeper.stages[0]}(chain(...))"
            )
        keeper = part if part.work.keeps_params else keeper
        if descends is not None and part.work.descends:
            raise GradtxValueError(
                f"{part.stages[0]} comes after {descends.stages[0]}, and each has a learning rate with the minus of a "
                f"descent step: together they ascend; give one of them the schedule, or use scale(...) for a factor"
            )
        if descends is not None and part.work.takes_ascent:
            raise GradtxValueError(
                f"{part.stages[0]} comes after {descends.stages[0]}, whose output has the minus of a descent step "
                f"already: together they ascend; put it before the learning rate"
            )
        descends = part if descends is None and part.work.descends else descends
    facts = {name: any(getattr(part.work, name) for part in built) for name in ("takes_gradient", "keeps_params")}
    facts |= {"descends": descends is not None, "passes": all(part.work.passes for part in built)}
    return facts


def _named(parts: tuple) -> tuple[list[str] | None, list[GradientTransformation]]:
    named = [isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) for part in parts]
    if not parts or not any(named):
        return None, [as_transformation(part) for part in parts]
    if not all(named):
        raise GradtxTypeError("expected (name, transform) pairs for all parts or for none")
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise GradtxValueError(f"expected different names, got {', '.join(names)}")
    return names, [as_transformation(part) for _, part in parts]
