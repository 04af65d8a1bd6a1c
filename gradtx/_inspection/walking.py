"""From a transform to the transforms that it stands for, and their states."""

from gradtx._base.typing import State
from gradtx._core.parts import parts
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._core.scheduled import Scheduled, read_schedules
from gradtx._values.schedule import prepared, scheduled_names


def unfolded(tx: GradientTransformation) -> GradientTransformation | None:
    """The transform that the factory of `tx` returned, with its schedules read at 0; None for a primitive.

    Its state is the state of `tx` itself, without the step count of its schedules.
    """
    if tx._is_bare:
        return None
    if scheduled_names(tx):
        tx = GradientTransformation._make(tx._spec, tx._arguments | read_schedules(tx, 0))
    whole = as_transformation(tx._spec.call(tx._spec.body, prepared(tx)))
    return None if whole._is_bare else whole


def written_out(tx: GradientTransformation) -> GradientTransformation | None:
    """The expression of `tx`, unless its parts show as much; None for a primitive."""
    return None if parts(tx) else tx.expression


def unscheduled(state: State) -> State:
    """The state of the transform itself, without the step count of its schedules."""
    return state.inner if isinstance(state, Scheduled) else state
