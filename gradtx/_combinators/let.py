"""Names for what several branches read."""

from typing import Any

from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Array
from gradtx._core.compose import compose, naming
from gradtx._core.context import Context
from gradtx._core.leafwise import LeafTransform, Leafwise
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="naming")
def let(name: str, value: Any, body: Any):
    r"""Gives a name to what one transform makes of the updates, for another that reads it with `use(name)`.

    .. math:: u = body(g) \text{ with } name = value(g)

    So that a moment which occurs twice in an expression is stored, and computed, once.

    Args:
        name: the name; an inner `let` may give it again.
        value: a transform.
        body: a transform, with `use(name)` in it as often as needed.

    State: a tuple with the states of `value` and `body`. Nothing of its own.

    Example: the gradient's distance from its mean, over the mean itself.
        >>> tx = let("m", scale_by_ema(0.9), ratio(difference(identity(), use("m")), use("m")))
    """
    built = [as_transformation(value)._built(), as_transformation(body)._built()]
    return GradientTransformation._of(compose(built, naming([part.stages for part in built], name)))


@transformation(role="reading")
def use(name: str):
    """What `let` gave this name, in place of the updates.

    .. math:: u = name

    Args:
        name: the name in the `let` around it.

    State: none.

    Raises:
        GradtxValueError: no `let` around it gives this name.
    """

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        try:
            return step.names[name], slots
        except KeyError:
            raise GradtxValueError(
                f"use({name!r}) stands outside let({name!r}, value, body); known are: {', '.join(step.names) or 'none'}"
            ) from None

    return GradientTransformation._of(Leafwise(LeafTransform((), lambda step, p: (), update_leaf, lambda: ())))
