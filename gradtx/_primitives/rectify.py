"""The denominator of RAdam."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from gradtx._base.numerics import log_of_decay, root_of_sum, safe_divide, safe_sqrt
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._core.constructors import clocked
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, PositiveDecay, Scalar


@state_class
class DecayCount(NamedTuple):
    """The state of `radam_denominator`.

    Attributes:
        steps: how many there were.
        total: the sum of the logarithms of the decays.
    """

    steps: Array
    total: Array


@transformation
def radam_denominator(
    decay: PositiveDecay = 0.999, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0, threshold: Scalar = 5.0
):
    r"""RAdam's denominator: replaces a second moment by its root over the rectification term; 1 below the threshold.

    .. math:: \rho_t = \rho_\infty - \frac{2 t \cdot decay^t}{1 - decay^t}, \quad
        \rho_\infty = \frac{2}{1 - decay} - 1, \quad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}}, \quad
        u_t = \begin{cases} (\sqrt{g_t + eps\_root} + eps) / r_t & \rho_t \ge threshold \\ 1 \end{cases}

    The length :math:`\rho_t` is computed as :math:`L(x / 2) + t (1 - L(t x / 2))` with :math:`x = -\log decay` and the
    Langevin function :math:`L(z) = \coth z - 1 / z`. This is equal, but avoids the cancellation of the usual form,
    whose two terms are both near 2000.

    Args:
        decay: the decay of the preceding second moment, in (0, 1); for a scheduled decay, the product of the decays so
            far replaces :math:`decay^t`.
        eps: added outside the root.
        eps_root: added inside the root.
        threshold: the length of the average, in steps, from which its root is used; at least 4.

    State: `DecayCount(steps, total)`, two scalars in float32 (float64 with x64).

    Reference: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020, algorithm 2; the form of
    the length is ours.
    """

    def advance(state):
        count, total = state.steps + 1, state.total + log_of_decay(decay, state.total.dtype)
        rate = -total / count
        length = 1 - _one_minus_langevin(rate / 2) + count * _one_minus_langevin(rate * count / 2)
        longest = 2 / (1 - decay) - 1
        trusted = length >= jnp.maximum(threshold, 4.0)
        length = jnp.where(trusted, length, 8.0)
        squared = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        inverse = jnp.where(trusted, safe_divide(1.0, safe_sqrt(jnp.where(trusted, squared, 1.0))), 0.0)
        return inverse, DecayCount(count, total)

    def emit(g, inverse):
        return jnp.where(inverse == 0, 1.0, inverse * (root_of_sum(safe_sqrt(g), eps_root) + eps))

    return clocked(start=lambda: DecayCount(jnp.zeros((), float), jnp.zeros((), float)), advance=advance, emit=emit)


def _one_minus_langevin(z):
    """`1 + 1/z - coth(z)` for z above 0, accurate to the last digits."""
    small = z < 0.25
    near, far = jnp.where(small, z, 0.0), jnp.where(small, 1.0, z)
    square = near * near
    series = 1 / 3 + square * (-1 / 45 + square * (2 / 945 + square * (-1 / 4725 + square * (2 / 93555))))
    far_value = 1 / far - 2 / jnp.expm1(2 * jnp.minimum(far, 40.0))
    return lax.select(small, 1 - near * series, far_value)
