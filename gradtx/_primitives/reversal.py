"""Rprop's parts: whether the gradient goes on in its direction, and a step size that follows that."""

import jax.numpy as jnp

from gradtx._core.constructors import memory
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Positive


@transformation
def sign_agreement():
    r"""Whether each element has the sign of the last one: 1 or -1, and 0 at first, after a reversal, and at 0.

    .. math:: u_t = \mathrm{sign}(g_t \cdot r_{t-1}), \quad r_t = \begin{cases} 0 & u_t < 0 \\ g_t \end{cases}

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
    r"""Step sizes that grow where the update is positive, and shrink where it is negative.

    .. math:: s_t = \begin{cases} \min(up \cdot s_{t-1}, largest) & g_t > 0 \\
            \max(down \cdot s_{t-1}, smallest) & g_t < 0 \\ s_{t-1} & g_t = 0 \end{cases}, \quad u_t = s_t

    Args:
        initial_value: the step sizes before the first step.
        down: the factor by which they shrink.
        up: the factor by which they grow.
        smallest: the bound when they shrink.
        largest: the bound when they grow.

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
