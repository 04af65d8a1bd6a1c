"""Primitives that output the previous state: the current update is not yet, or not the only, part of the output.

The old state is read, and then overwritten with what does not depend on it, such as another input of the step. That XLA
does in place on accelerators only if it seems to depend on it, see `_written_over`; on a CPU a donated step allocates
one temporary buffer per array.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from gradtx import _cpu
from gradtx._base.numerics import any_traced, log_of_decay, unless_infinite
from gradtx._base.typing import Array
from gradtx._core.constructors import clocked_memory, memory, with_facts
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, Scalar


def _written_over(pair: tuple[Array, Array]) -> Array:
    """The second of two arrays, as an expression of both: no element of the first is larger than infinity.

    XLA for accelerators lets the output of a kernel share the memory of an input only if it is computed from it; else
    it copies. Bytes per parameter of a donated step with it and without, JAX 0.10.2, `benchmarks.atlas_bytes`: Adan 44
    and 48 on the H100 and the TPU v5e, optimistic Adam 36 and 44 on the H100 (but 56 and 36 on the TPU, so `delay` does
    without it there). On a CPU it only costs. `tests/test_chips.py` fails where it is not needed any more.
    """
    old, new = pair
    return lax.select(old > jnp.inf, old, new)


def _second(pair: tuple[Array, Array]) -> Array:
    return pair[1]


def _kept(g: Array, m: Array, **platforms: Any) -> Array:
    """What is kept of the update in place of the old state."""
    if not any_traced((g, m)) or g.dtype != m.dtype or not jnp.issubdtype(m.dtype, jnp.floating):
        return g
    return _cpu.by_platform((m, g), cpu=_second, default=_written_over, **platforms)


@transformation
def delay():
    """Delay: replaces each update by that of the previous step, and by 0 at the first.

    .. math:: u_t = g_{t-1}

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    return memory(
        init=jnp.zeros_like,
        step=lambda g, m, p: _kept(g, m, tpu=_second),
        emit=lambda g, m, p: m,
        emit_before=True,
    )


@transformation
def gradient_difference():
    r"""Gradient difference: replaces each update by its change since the previous step, and by 0 at the first.

    .. math:: u_t = g_t - g_{t-1}, \quad u_1 = 0

    State: one array per parameter, in its dtype or float32 if that is wider, and one scalar.
    """
    tx = clocked_memory(
        init=jnp.zeros_like,
        start=lambda: jnp.zeros((), float),
        advance=lambda seen: (seen, jnp.ones_like(seen)),
        step=lambda g, m, p, seen: _kept(g, m),
        emit=lambda g, m, p, seen: seen * (g - m),
        emit_before=True,
    )
    return with_facts(tx, keeps_sign=False)


@transformation
def scale_by_previous_ema(decay: Decay, corrected: bool = True, initial_value: Scalar = 0.0):
    r"""Previous moving average: replaces each update by its exponential moving average before this step.

    .. math:: u_t = m_{t-1}, \quad m_t = m_{t-1} + w_t (g_t - m_{t-1}), \quad u_1 = initial\_value

    where the weight is :math:`w_t = (1 - decay) / (1 - decay^t)` for a bias-corrected average; otherwise it is 1 at the
    first step and :math:`1 - decay` afterwards. Either way the average after the first step is the first update. The
    current update is not part of the output.

    Args:
        decay: the fraction of the average kept per step, in [0, 1).
        corrected: whether to correct the bias of the average, or to start it from the first update.
        initial_value: the output at the first step, when there is no average yet.

    State: one array per parameter, in its dtype or float32 if that is wider, and one scalar.
    """
    rest = 1 - decay

    def advance(total):
        new = total + log_of_decay(decay, total.dtype)
        weight = -rest / jnp.expm1(new) if corrected else jnp.where(total == 0, 1.0, rest)
        return jnp.where(total == 0, 1.0, weight), new

    def step(g, m, p, weight):
        # Interpolate from the operand of larger weight, so that no trace of the initial value is left in the average.
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
