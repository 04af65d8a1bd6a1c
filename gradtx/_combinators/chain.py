"""Series composition."""

import itertools
from dataclasses import replace

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Transform
from gradtx._core.compose import compose
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
        GradtxValueError: two parts have the same name; a line search is not the first part; or there are two learning
            rates, or a weight decay after one.
    """
    names, transforms = _named(parts)
    built = [tx._built() for tx in transforms]
    for before, part in itertools.pairwise(built):
        if part.work.takes_gradient:
            raise GradtxValueError(
                f"{part.stages[0]} needs the gradient itself, and here it gets the output of {before.stages[0]}; put "
                f"it first, and the other parts into its direction or behind it"
            )
    descends = None
    for part in built:
        if descends is not None and part.work.takes_ascent:
            raise GradtxValueError(
                f"{part.stages[0]} comes after {descends.stages[0]}, whose output has the minus of a descent step "
                f"already: together they ascend; put it before the learning rate, or use scale(...) for a factor"
            )
        descends = part if descends is None and part.work.descends else descends
    work = compose(built, in_series=True, keys=names)
    facts = {"takes_gradient": any(part.work.takes_gradient for part in built), "descends": descends is not None}
    return GradientTransformation._of(replace(work, **facts) if any(facts.values()) else work)


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
