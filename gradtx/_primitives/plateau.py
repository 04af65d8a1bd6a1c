"""Reduce on plateau: smaller updates once a metric stops improving."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.checks import one_number
from gradtx._base.errors import GradtxValueError, check_state
from gradtx._base.numerics import increment, strong, weak
from gradtx._base.states import Logged, state_class
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Positive

_SIGNS = {"min": 1.0, "max": -1.0}


@state_class
class Plateau(NamedTuple):
    """The state of `reduce_on_plateau`.

    Attributes:
        scale: the factor on the updates.
        best: the best value so far.
        stale: int32, the number of consecutive values without improvement.
        waiting: int32, the number of values left in the cooldown.
        count: int32, the number of values in the mean.
        mean: the mean of the values since the last comparison.
    """

    scale: Any
    best: Any
    stale: Any
    waiting: Any
    count: Any
    mean: Any

    @property
    def numbers(self) -> dict[str, Any]:
        """What `logs` shows."""
        return {"plateau_scale": self.scale}


Logged.register(Plateau)


@transformation
def reduce_on_plateau(
    factor: Decay = 0.1,
    patience: NonNegative = 10,
    rtol: NonNegative = 1e-4,
    atol: NonNegative = 0.0,
    cooldown: NonNegative = 0,
    accumulation_size: Positive = 1,
    min_scale: Decay = 0.0,
    mode: str = "min",
):
    r"""Reduce on plateau: multiplies updates by a scale that is reduced whenever a metric stops improving.

    .. math:: u = scale \cdot g, \quad scale \leftarrow \max(factor \cdot scale, min\_scale)
        \text{ after } patience \text{ values in a row with no } v < best - (rtol \cdot |best| + atol)

    starting from `scale = 1` and `best = inf`. Put it after the optimizer. The metric is the extra argument `value`, a
    scalar of any dtype, such as the loss. In mode "max" an improvement is
    :math:`v > best + (rtol \cdot |best| + atol)`, starting from `best = -inf`. A NaN is not an improvement.

    Args:
        factor: the factor of one reduction, in [0, 1).
        patience: the number of consecutive values without improvement; the last of them reduces the scale.
        rtol: the relative margin of an improvement over the best value, for metrics of either sign.
        atol: the absolute margin, added to the relative one.
        cooldown: the number of values after a reduction that do not count for the patience.
        accumulation_size: the number of values averaged for one comparison.
        min_scale: the smallest scale, in [0, 1).
        mode: "min" or "max": whether small or large values of the metric are good.

    State: `Plateau(scale, best, stale, waiting, count, mean)`: three int32, and three scalars in float32 (float64 with
    x64).

    Raises:
        GradtxTypeError: the extra argument `value` is missing.
        GradtxValueError: `mode` is neither "min" nor "max", or `value` is not a single number.

    Reference: after `optax.contrib.reduce_on_plateau` and `torch.optim.lr_scheduler.ReduceLROnPlateau`. For a positive
    decreasing metric it matches Optax at every step. Differs from Optax: the margin is relative to the absolute value,
    so that metrics below 0 can improve; the scale is float32 for every dtype of the parameters; patience 0 reduces at
    once; hyperparameters may follow a schedule, so the scale is reduced when the patience is reached or exceeded.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(sgd(0.1), reduce_on_plateau(factor=0.5, patience=2))
        >>> state = tx.init(jnp.zeros(()))
        >>> for value in (3.0, 2.0, 2.0, 2.0):
        ...     update, state = tx.update(jnp.ones(()), state, value=jnp.asarray(value))
        ...     print(update)
        -0.1
        -0.1
        -0.1
        -0.05
    """
    if mode not in _SIGNS:
        raise GradtxValueError(f"mode: expected 'min' or 'max', got {mode!r}")
    sign = _SIGNS[mode]

    def init(params):
        return Plateau(
            scale=jnp.ones((), float),
            best=jnp.full((), sign * jnp.inf, float),
            stale=jnp.zeros((), jnp.int32),
            waiting=jnp.zeros((), jnp.int32),
            count=jnp.zeros((), jnp.int32),
            mean=jnp.zeros((), float),
        )

    def judged(state):
        """The state after the comparison of its mean with the best value."""
        known = jnp.where(jnp.isfinite(state.best), state.best, 0.0)  # no margin around an infinite best
        improved = sign * state.mean < sign * state.best - (rtol * jnp.abs(known) + atol)
        resting = state.waiting > 0
        stale = jnp.where(improved | resting, 0, increment(state.stale))
        reduced = ~improved & ~resting & (stale.astype(float) >= patience)
        pause = jnp.ceil(jnp.asarray(cooldown, float)).astype(jnp.int32)
        return Plateau(
            scale=jnp.where(reduced, jnp.maximum(factor * state.scale, min_scale), state.scale),
            best=jnp.where(improved, state.mean, state.best),
            stale=jnp.where(reduced, 0, stale),
            waiting=jnp.where(reduced, pause, jnp.maximum(state.waiting - 1, 0)),
            count=jnp.zeros_like(state.count),
            mean=state.mean,
        )

    def update(updates, state, params, *, value):
        check_state(Plateau, state)
        value, count = strong(one_number("value", value), state.mean.dtype), state.count + 1
        mean = jnp.where(state.count == 0, value, state.mean + (value - state.mean) / count.astype(float))
        state = state._replace(count=count, mean=mean)
        complete = count.astype(float) >= accumulation_size
        state = jax.tree.map(lambda new, old: jnp.where(complete, new, old), judged(state), state)
        return jax.tree.map(lambda g: weak(state.scale) * g, updates), state

    return treewise(update, init)
