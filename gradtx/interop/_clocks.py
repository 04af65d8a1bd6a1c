"""Step counts, and the states that gradtx keeps instead of a step count: sums of logarithms of the decays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import log_of_decay
from gradtx._base.typing import Array, State
from gradtx._core.constructors import Clocked
from gradtx._core.protocol import GradientTransformation
from gradtx._inspection.walking import shares, unfolded, unscheduled
from gradtx._primitives.accumulate import DecaySum, bias_correction, bias_correction_ahead
from gradtx._primitives.lag import gradient_difference, scale_by_previous_ema
from gradtx._primitives.rectify import DecayCount, radam_denominator
from gradtx._values.schedule import scheduled_names
from gradtx.interop._specs import spec_of


class Clock(NamedTuple):
    """A part whose state is a function of the step count.

    Attributes:
        from_count: converts the step count to the state of the part.
        to_count: converts the state of the part to the step count, int32; None where it does not say as much.
    """

    from_count: Callable[[Array], State]
    to_count: Callable[[State], Array] | None

    def recipes(self, own: State) -> list[tuple[int, Callable[[Array], Array]]]:
        """For each leaf of the state its index, which `own` has in its place, and the leaf for a step count."""
        return [
            (index, lambda count, position=position: jax.tree.leaves(self.from_count(count))[position])
            for position, index in enumerate(jax.tree.leaves(own))
        ]


def clocks(tx: GradientTransformation, state: State) -> list[tuple[Clock, State]]:
    """The clocks of `tx` and of its parts, each with its share of the state.

    Raises:
        GradtxValueError: a clock depends on a decay that follows a schedule.
    """
    own = unscheduled(state)
    if tx._spec in _STATES:
        found = [(_clock(tx), own.clock if isinstance(own, Clocked) else own)]
    elif (whole := unfolded(tx)) is not None:
        found = clocks(whole, own)
    else:
        found = [pair for inner, _, inner_state in shares(tx, own) for pair in clocks(inner, inner_state)]
    decays = [name for name in scheduled_names(tx) if tx._spec.numbers[name].high == 1.0]
    if found and decays:
        raise GradtxValueError(
            f"the decay {decays[0]!r} of {tx.factory_name} follows a schedule, and a step count does not determine its "
            f"past values; convert the state with a constant decay first"
        )
    return found


def _clock(tx: GradientTransformation) -> Clock:
    if scheduled_names(tx):  # a placeholder: `clocks` raises right after this call
        return Clock(lambda count: count, lambda x: x)
    log = log_of_decay(tx.decay, jnp.zeros((), float).dtype) if "decay" in tx.arguments else None
    state, read = _STATES[tx._spec]
    to_count = None if read is None else lambda x: read(x, log).astype(jnp.int32)
    return Clock(lambda count: state(count.astype(float), log), to_count)


def _summed(count: Array, log: Any) -> DecaySum:
    last = jnp.where(count > 0, log, jnp.zeros_like(count))
    return DecaySum(count * log - last, last)


def _steps(state: DecaySum, log: Any) -> Array:
    return jnp.round((state.before + state.last) / log)


_STATES = {
    spec_of(bias_correction): (_summed, _steps),
    spec_of(bias_correction_ahead): (_summed, _steps),
    spec_of(radam_denominator): (
        lambda count, log: DecayCount(count, count * log),
        lambda state, log: jnp.round(state.steps),
    ),
    spec_of(gradient_difference): (lambda count, log: (count > 0).astype(float), None),
    spec_of(scale_by_previous_ema): (lambda count, log: count * log, lambda state, log: jnp.round(state / log)),
}
"""Per factory, two functions: the state for a count and the logarithm of the decay; the count for a state."""
