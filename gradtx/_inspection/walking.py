"""From a transform to the transforms that it stands for, and their states."""

from typing import Any

from gradtx._base.errors import GradtxValueError, listing, wrong_state
from gradtx._base.typing import State
from gradtx._core.parts import Part, parts, share
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


def shares(tx: GradientTransformation, state: State) -> list[tuple[GradientTransformation, Part, State]]:
    """The transforms in `tx`, each as the part that it is and with its share of the state.

    Raises:
        GradtxValueError: the state of a part is not where the role of the factory has it.
    """
    found = []
    for index, part in enumerate(parts(tx)):
        inner = as_transformation(part.transform)
        try:
            found.append((inner, part, share(part, index, state)))
            if not tx._spec.is_ours:  # in a state that is elsewhere there may be something by chance
                _walk(*found[-1])
        except (KeyError, IndexError, TypeError, GradtxValueError):
            if tx._spec.is_ours:
                raise wrong_state(f"one with the part {part.label}", state) from None
            raise misplaced(tx, part, state) from None
    return found


def _walk(tx: GradientTransformation, part: Part, state: State) -> None:
    own = unscheduled(state)
    whole = None if parts(tx) else unfolded(tx)
    for inside in shares(tx, own) if whole is None else [(whole, part, own)]:
        _walk(*inside)


def misplaced(tx: GradientTransformation, part: Part, state: State) -> GradtxValueError:
    """The error for a state of a part that is not where the role of the factory has it."""
    name, role = part.argument if part.key is None else part.key, tx._spec.role
    assert role is not None
    return GradtxValueError(
        f"{tx.factory_name}: the role {role.value!r} keeps the state of `{name}` under a field or key called "
        f"{name!r}, or in a tuple in the order of the transforms; got {_in_words(state)}; return it so "
        f"from `init` and `update`, unless this is the state of another transform"
    )


def _in_words(state: Any) -> str:
    if isinstance(state, dict):
        return f"a dict with {listing(map(repr, state))}"
    if fields := getattr(state, "_fields", None):
        return f"a `{type(state).__name__}` with {listing(fields)}"
    return f"a {type(state).__name__} of {len(state)}" if isinstance(state, (tuple, list)) else "one array"
