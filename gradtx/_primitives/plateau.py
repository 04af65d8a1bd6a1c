"""Reduction of the updates when a metric stops improving."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.checks import one_number
from gradtx._base.errors import GradtxValueError, wrong_state
from gradtx._base.numerics import increment, strong, weak
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Positive

_SIGNS = {"min": 1.0, "max": -1.0}


class Plateau(NamedTuple):
    """The state of `reduce_on_plateau`.

    Attributes:
        scale: what updates are multiplied by.
        best: the best value so far.
        stale: int32, how many values in a row have been no improvement.
        waiting: int32, how many values of the cooldown are left.
        count: int32, how many values are in the mean.
        mean: the mean of the values since the last judgement.
    """

    scale: Any
    best: Any
    stale: Any
    waiting: Any
    count: Any
    mean: Any


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
    r"""Multiplication by a scale that is reduced whenever a metric has stopped improving. Goes after the optimizer.

    .. math:: u = scale \cdot g, \quad scale \leftarrow \max(factor \cdot scale, min\_scale)
        \text{ after } patience \text{ values in a row with no } v < best - (rtol \cdot |best| + atol)

    from `scale = 1` and `best = inf`. The metric is the extra `value`, a number of any dtype: the loss, for instance.
    In mode "max" an improvement is :math:`v > best + (rtol \cdot |best| + atol)`, from `best = -inf`. A NaN is no
    improvement.

    Args:
        factor: what the scale is multiplied by, in [0, 1).
        patience: how many values in a row without improvement are borne; the last of them reduces the scale.
        rtol: by what part of the best value the next must be better, for metrics of either sign.
        atol: by how much it must be better besides.
        cooldown: how many values after a reduction do not count for the patience.
        accumulation_size: how many values are averaged before the mean is judged as one value.
        min_scale: the smallest scale, in [0, 1).
        mode: "min" or "max", which values of the metric are good.

    State: `Plateau(scale, best, stale, waiting, count, mean)`: three int32, and three numbers in float32 (float64 in
    x64).

    Raises:
        GradtxTypeError: the extra `value` is missing.
        GradtxValueError: the mode is another, or `value` is not a single number.

    Reference: after `optax.contrib.reduce_on_plateau` and `torch.optim.lr_scheduler.ReduceLROnPlateau`. For a metric
    that is positive and gets smaller it is Optax's to the step. Different from there: the margin is of the absolute
    value, so that metrics below 0 can improve; the scale is kept in float32 for every dtype of the parameters; patience
    0 reduces at once, and numbers may change by a schedule, so the patience is over when it is reached or exceeded.
    """
    if mode not in _SIGNS:
        raise GradtxValueError(f"mode must be 'min' or 'max', got {mode!r}")
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
        """The state after its mean has been compared with the best."""
        known = jnp.where(jnp.isfinite(state.best), state.best, 0.0)  # no margin around what is infinite
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
        if not isinstance(state, Plateau):
            raise wrong_state("a `Plateau`", state)
        value, count = strong(one_number("value", value), state.mean.dtype), state.count + 1
        mean = jnp.where(state.count == 0, value, state.mean + (value - state.mean) / count.astype(float))
        state = state._replace(count=count, mean=mean)
        complete = count.astype(float) >= accumulation_size
        state = jax.tree.map(lambda new, old: jnp.where(complete, new, old), judged(state), state)
        return jax.tree.map(lambda g: weak(state.scale) * g, updates), state

    return treewise(update, init)
