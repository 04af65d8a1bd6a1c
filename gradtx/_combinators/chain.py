"""Series composition."""

from typing import Any

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._core.compose import compose, series
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="series")
def chain(*parts: Any):
    r"""Series: the updates of each part are the input of the next.

    .. math:: u = part_n(\dots part_2(part_1(g)))

    Associative, with `identity()` as its unit.

    Args:
        *parts: transforms, or all of them `(name, transform)` pairs; Optax transforms are welcome.

    State: a tuple with the state of each part, or a dict by name. Nothing of its own.

    Raises:
        GradtxTypeError: some parts are named and some not, or one is no transform.
        GradtxValueError: two parts have the same name.
    """
    names, transforms = _named(parts)
    built = [tx._built() for tx in transforms]
    flow = series([part.stages for part in built])
    return GradientTransformation._of(compose(built, flow, keys=names, in_series=True))


def _named(parts: tuple) -> tuple[list[str] | None, list[GradientTransformation]]:
    named = [isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) for part in parts]
    if not parts or not any(named):
        return None, [as_transformation(part) for part in parts]
    if not all(named):
        raise GradtxTypeError("either every part is a (name, transform) pair, or none is")
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise GradtxValueError(f"names must differ, got {', '.join(names)}")
    return names, [as_transformation(part) for _, part in parts]
