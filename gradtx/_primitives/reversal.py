"""The parts of Rprop: sign agreement of successive gradients, and step sizes that adapt to it."""

import jax.numpy as jnp

from gradtx._core.constructors import memory
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Positive


@transformation
def sign_agreement():
    r"""Sign agreement: replaces each element by 1 if its sign is that of the last step, -1 if it is reversed, else 0.

    .. math:: u_t = \mathrm{sign}(g_t \cdot r_{t-1}), \quad r_t = \begin{cases} 0 & u_t < 0 \\ g_t \end{cases}

    It is 0 at the first step, after a reversal, and for elements that are 0.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Igel and Hüsken, "Improving the Rprop Learning Algorithm", 2000, the form without backtracking.
    """

    def compare(g, r):
        return (jnp.sign(g) * jnp.sign(r).conj()).real

    return memory(
        init=jnp.zeros_like,
        step=lambda g, r, p: jnp.where(compare(g, r) < 0, 0.0, g),
        emit=lambda g, r, p: compare(g, r),
        emit_before=True,
    )


@transformation
def rprop_step_size(
    initial_value: NonNegative,
    down: NonNegative = 0.5,
    up: Positive = 1.2,
    smallest: NonNegative = 1e-6,
    largest: NonNegative = 50.0,
):
    r"""Rprop step size: replaces updates by step sizes that grow where they are positive and shrink where negative.

    .. math:: s_t = \begin{cases} \min(up \cdot s_{t-1}, largest) & g_t > 0 \\
            \max(down \cdot s_{t-1}, smallest) & g_t < 0 \\ s_{t-1} & g_t = 0 \end{cases}, \quad u_t = s_t

    Args:
        initial_value: the step size before the first step.
        down: the factor by which step sizes shrink.
        up: the factor by which step sizes grow.
        smallest: the lower bound on shrinking.
        largest: the upper bound on growing.

    State: one array per parameter, in its dtype or float32 if that is wider.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm", 1993.
    """

    def step(g, s, p):
        grown, shrunk = jnp.minimum(up * s, largest), jnp.maximum(down * s, smallest)
        return jnp.where(g > 0, grown, jnp.where(g < 0, shrunk, s))

    return memory(
        init=lambda p: jnp.full_like(p.real, initial_value),
        step=step,
    )
