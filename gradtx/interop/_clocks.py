"""Counts of steps, and what gradtx keeps in their place: sums of logarithms of decays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import log_of_decay
from gradtx._base.typing import Array, State
from gradtx._core.parts import parts, share
from gradtx._core.protocol import GradientTransformation, as_transformation, unfolded, unscheduled
from gradtx._values.schedule import scheduled_names


class Clock(NamedTuple):
    """A part whose state follows from the number of steps.

    Attributes:
        from_count: the count to the part's state.
        to_count: the part's state to the count, int32.
    """

    from_count: Callable[[Array], Array]
    to_count: Callable[[Array], Array]


def clocks(tx: GradientTransformation, state: State) -> list[tuple[Clock, State]]:
    """The clocks in `tx`, itself or inside, and their shares of the state.

    Raises:
        GradtxValueError: a decay that a clock depends on follows a schedule.
    """
    own = unscheduled(state)
    if tx.factory_name in _STATES:
        found = [(_clock(tx), own)]
    elif (whole := unfolded(tx)) is not None:
        found = clocks(whole, own)
    else:
        found = [
            pair
            for i, part in enumerate(parts(tx))
            for pair in clocks(as_transformation(part.transform), share(part, i, own))
        ]
    decays = [name for name in scheduled_names(tx) if tx._spec.numbers[name].high == 1.0]
    if found and decays:
        raise GradtxValueError(
            f"the decay {decays[0]!r} of {tx.factory_name} follows a schedule, and a count of steps does not say what it was "
            f"until now; move to a constant one first"
        )
    return found


def _clock(tx: GradientTransformation) -> Clock:
    if scheduled_names(tx):  # refused by who asked, who knows the name of the optimizer
        return Clock(lambda count: count, lambda x: x)
    log, (state, read) = log_of_decay(tx.decay, jnp.zeros((), float).dtype), _STATES[tx.factory_name]
    return Clock(lambda count: state(count.astype(float), log), lambda x: read(x, log).astype(jnp.int32))


def _summed(count: Array, log: Any) -> Array:
    return jnp.stack([count * log, jnp.zeros_like(count)])


def _steps(sums: Array, log: Any) -> Array:
    return jnp.round((sums[0] - sums[1]) / log)


# What is stored for a count and the logarithm of the decay, and the count for what is stored.
_STATES = {
    "bias_correction": (_summed, _steps),
    "bias_correction_ahead": (_summed, _steps),
    "radam_denominator": (lambda count, log: jnp.stack([count, count * log]), lambda clock, log: jnp.round(clock[0])),
}
