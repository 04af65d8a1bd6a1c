"""Named values that several branches share."""

from dataclasses import replace
from typing import Any

from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.compose import compose
from gradtx._core.context import Built, Context
from gradtx._core.leafwise import LeafTransform, leafwise
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="naming")
def let(name: str, value: Transform, body: Transform):
    r"""Let: names the output of one transform, for another transform that reads it with `use(name)`.

    .. math:: u = body(g) \text{ with } name = value(g)

    A moment that occurs twice in an expression is then computed and stored once.

    Args:
        name: the name; an inner `let` may shadow it.
        value: the transform whose output is named.
        body: a transform that contains `use(name)`, any number of times.

    State: a tuple with the states of `value` and `body`. Nothing of its own.

    Example: the gradient's deviation from its mean, divided by the mean.
        >>> tx = let("m", scale_by_ema(0.9), ratio(difference(identity(), use("m")), use("m")))
    """
    named, reader = as_transformation(value)._built(), as_transformation(body)._built()
    if reader.work.facts.rotates_names:
        named = _not_encoded(named)
    return GradientTransformation._of(compose([named, reader], name=name))


def _not_encoded(built: Built) -> Built:
    """The same transform, whose state `store` keeps as it is."""
    work = built.work

    def init(step: Context, params: Params) -> State:
        return work.init(step._replace(encoding=None), params)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        return work.update(step._replace(encoding=None), updates, state, params)

    return built._replace(work=replace(work, init=init, update=update, leaf=None))


@transformation(role="reading")
def use(name: str):
    """Use: replaces the updates by the value that `let` has named.

    .. math:: u = name

    Args:
        name: the name in the enclosing `let`.

    State: none.

    Raises:
        GradtxValueError: no enclosing `let` has this name.
    """

    def update_leaf(reading: Any, step: Context, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        try:
            return step.names[name], slots
        except KeyError:
            raise GradtxValueError(
                f"use({name!r}) is outside let({name!r}, value, body); known names: {', '.join(step.names) or 'none'}"
            ) from None

    return GradientTransformation._of(leafwise(LeafTransform((), lambda step, p: (), update_leaf, lambda: ())))
