r"""Gradient signals: one gradient per step, to show the response of a transform.

Each is a function of the number of steps and a seed. Below, t counts the steps from 0, n_t are independent standard
normal samples, and h_k and l_k are heights and lengths drawn independently per pulse or tooth. Magnitudes are about 1.
"""

from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Array

__all__ = [
    "noisy_sine",
    "rectangles",
    "saturation",
    "spikes",
    "uneven_sawtooth",
    "very_noisy_sine",
]


def __dir__() -> list[str]:
    return __all__


_PERIOD = 100


@explains_calls("problems.signals.spikes")
def spikes(steps: int = 300, seed: int = 0) -> Array:
    r"""Spikes: zero gradients, with one large gradient of random sign in every 25 steps.

    .. math:: g_t = h_k \text{ where } t = 25 k + 12, \text{ else } 0; \quad h_k = \pm u_k, \quad u_k \sim U(0.3, 1)

    Args:
        steps: the number of gradients.
        seed: seed of the random heights.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    t = _counted(steps)
    return jnp.where(t % 25 == 12, _heights(seed, steps)[t // 25], 0.0)


@explains_calls("problems.signals.rectangles")
def rectangles(steps: int = 300, seed: int = 0) -> Array:
    r"""Rectangular pulses: zeros, then a constant gradient for the same number of steps.

    .. math:: g_t = h_k \text{ where } 30 \le t - 60 k < 60, \text{ else } 0; \quad h_k = \pm u_k, \quad
        u_k \sim U(0.3, 1)

    Args:
        steps: the number of gradients.
        seed: seed of the random heights.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    t = _counted(steps)
    return jnp.where(t % 60 >= 30, _heights(seed, steps)[t // 60], 0.0)


@explains_calls("problems.signals.noisy_sine")
def noisy_sine(steps: int = 300, seed: int = 0) -> Array:
    r"""A slow sine wave with little noise.

    .. math:: g_t = \sin(2 \pi t / 100) + 0.15 n_t

    Args:
        steps: the number of gradients.
        seed: seed of the noise.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    return jnp.sin(2 * jnp.pi / _PERIOD * _counted(steps).astype(jnp.float32)) + 0.15 * _noise(seed, steps)


@explains_calls("problems.signals.very_noisy_sine")
def very_noisy_sine(steps: int = 300, seed: int = 0) -> Array:
    r"""A slow sine wave that the noise nearly hides.

    .. math:: g_t = \sin(2 \pi t / 100) + n_t

    Args:
        steps: the number of gradients.
        seed: seed of the noise.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    return jnp.sin(2 * jnp.pi / _PERIOD * _counted(steps).astype(jnp.float32)) + _noise(seed, steps)


@explains_calls("problems.signals.uneven_sawtooth")
def uneven_sawtooth(steps: int = 300, seed: int = 0) -> Array:
    r"""Sawtooth: linear rises of random lengths and heights, each followed by a sudden fall to 0.

    .. math:: g_t = u_k \frac{t - s_k}{l_k} \text{ where } s_k \le t < s_{k+1} = s_k + l_k; \quad
        u_k \sim U(0.3, 1), \quad l_k \in \{15, \dots, 60\}

    Args:
        steps: the number of gradients.
        seed: seed of the random lengths and heights.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    t = _counted(steps)
    lengths = jax.random.randint(jax.random.key(seed), (steps // 15 + 1,), 15, 61)
    ends = jnp.cumsum(lengths)
    tooth = jnp.searchsorted(ends, t, side="right")
    risen = (t - ends[tooth] + lengths[tooth]).astype(jnp.float32) / lengths[tooth].astype(jnp.float32)
    return jnp.abs(_heights(seed, steps))[tooth] * risen


@explains_calls("problems.signals.saturation")
def saturation(steps: int = 300, seed: int = 0) -> Array:
    r"""Saturation: a gradient that rises to a constant, with little noise.

    .. math:: g_t = 1 - e^{-t / 40} + 0.03 n_t

    Args:
        steps: the number of gradients.
        seed: seed of the noise.

    Returns:
        A float32 array of shape `(steps,)`.

    Raises:
        GradtxValueError: `steps` is not positive.
    """
    return 1 - jnp.exp(-_counted(steps).astype(jnp.float32) / 40) + 0.03 * _noise(seed, steps)


ALL: MappingProxyType[str, Callable[..., Array]] = MappingProxyType(
    {
        function.__name__.replace("_", " "): function
        for function in (spikes, rectangles, noisy_sine, very_noisy_sine, uneven_sawtooth, saturation)
    }
)
"""The six signals by name, for loops: `{name: signal() for name, signal in signals.ALL.items()}`."""


def _counted(steps: int) -> Array:
    if steps < 1:
        raise GradtxValueError(f"expected at least one step, got steps={steps!r}")
    return jnp.arange(steps)


def _noise(seed: int, steps: int) -> Array:
    return jax.random.normal(jax.random.key(seed), (steps,), jnp.float32)


def _heights(seed: int, count: int) -> Array:
    """Random heights with magnitudes from 0.3 to 1 and random signs."""
    size, sign = jax.random.split(jax.random.key(seed))
    return jax.random.uniform(size, (count,), jnp.float32, 0.3, 1.0) * jax.random.rademacher(
        sign, (count,), jnp.float32
    )
