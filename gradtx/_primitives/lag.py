"""Primitives that read what was before: the step's own update is not yet, or not only, in what they emit.

What they read is overwritten with what is read beside it, which XLA does not do in place: a donated step takes one
temporary array for each.
"""

import jax.numpy as jnp

from gradtx._base.numerics import log_of_decay, unless_infinite
from gradtx._core.constructors import clocked_memory, memory
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, Scalar


@transformation
def delay():
    """The update of the step before, and 0 at first.

    .. math:: u_t = g_{t-1}

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: g,
        emit=lambda g, m, p: m,
        emit_before=True,
    )


@transformation
def gradient_difference():
    r"""The change since the step before, and 0 at first.

    .. math:: u_t = g_t - g_{t-1}, \quad u_1 = 0

    State: one array per parameter, in its dtype or float32 if that is wider, and one number.
    """
    return clocked_memory(
        init=jnp.zeros_like,
        start=lambda: jnp.zeros((), float),
        advance=lambda seen: (seen, jnp.ones_like(seen)),
        step=lambda g, m, p, seen: g,
        emit=lambda g, m, p, seen: seen * (g - m),
        emit_before=True,
    )


@transformation
def scale_by_previous_ema(decay: Decay, corrected: bool = True, initial_value: Scalar = 0.0):
    r"""Exponential moving average as it was before this step, so that the update itself is not part of it.

    .. math:: u_t = m_{t-1}, \quad m_t = m_{t-1} + w_t (g_t - m_{t-1}), \quad u_1 = initial\_value

    with the weight :math:`w_t = (1 - decay) / (1 - decay^t)` of a corrected average, or 1 at the first step and
    :math:`1 - decay` from then on. Either way the average is the first update after the first step.

    Args:
        decay: how much of the average is kept at each step, in [0, 1).
        corrected: whether the average is corrected for its start, or takes the first update for its start.
        initial_value: what goes out at the first step, when there is no average yet.

    State: one array per parameter, in its dtype or float32 if that is wider, and one number.
    """
    rest = 1 - decay

    def advance(total):
        new = total + log_of_decay(decay, total.dtype)
        weight = -rest / jnp.expm1(new) if corrected else jnp.where(total == 0, 1.0, rest)
        return jnp.where(total == 0, 1.0, weight), new

    def step(g, m, p, weight):
        # From the one that weighs more, so that nothing of the initial value is left in the first average.
        near = unless_infinite(g, g + (1 - weight) * (m - g))
        return unless_infinite(m, jnp.where(weight > 0.5, near, m + weight * (g - m)))

    return clocked_memory(
        init=lambda p: jnp.full_like(p, initial_value),
        start=lambda: jnp.zeros((), float),
        advance=advance,
        step=step,
        emit=lambda g, m, p, weight: m,
        emit_before=True,
    )
