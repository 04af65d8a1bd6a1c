"""Codecs: how arrays of memory are kept in fewer bits, for `store`.

store(adam(1e-3), codecs.bfloat16)
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax

from gradtx._base.numerics import is_real, strong
from gradtx._base.typing import Array
from gradtx._values.value import nameable


@dataclass(frozen=True, eq=False)
class Codec:
    """A way to keep arrays of floating numbers.

    Attributes:
        name: the name in this module.
        encode: the array as it is kept. It also gets the number of the step, int32, by which it can round up at some
            steps and down at others.
        decode: the array as it is computed with, in at least float32.
    """

    name: str
    encode: Callable[[Array, Array], Array]
    decode: Callable[[Array], Array]

    def __repr__(self) -> str:
        return f"codecs.{self.name}"

    def __reduce__(self) -> str:
        return self.name


def _to_bfloat16(x: Array, step: Array) -> Array:
    """The upper half of the bits of float32, rounded up at as many steps as the lower half is full.

    Rounding to the nearest does not do: an average of decay 0.999 moves by less than half of the last place, and sticks
    at about half of its value. Here it moves at some of the steps. The threshold goes through multiples of the golden
    ratio, which are spread evenly over any stretch of steps, so that what is rounded up soon makes up for what is
    rounded down; at the first step it rounds to the nearest. No random numbers are drawn.
    """
    x = strong(x, jnp.float32)
    threshold = (step.astype(jnp.uint32) * jnp.uint32(_GOLDEN) + jnp.uint32(0x8000)) & jnp.uint32(0xFFFF)
    # The largest numbers are not rounded up to infinity, and NaN keeps its bits: with all of them set it would be 0.
    has_room = lax.abs(x) < _LARGEST
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    added = lax.select(has_room, lax.full_like(bits, threshold), lax.full_like(bits, 0))
    bits = (bits + added) & jnp.uint32(0xFFFF0000)
    return strong(lax.bitcast_convert_type(bits, jnp.float32), jnp.bfloat16)


_LARGEST = float(jnp.finfo(jnp.bfloat16).max)
_GOLDEN = 40503  # 2^16 times the golden ratio's fraction, made odd, so that all 2^16 thresholds have their turn

bfloat16 = Codec(
    "bfloat16",
    lambda x, step: _to_bfloat16(x, step) if is_real(x) else x,
    lambda x: strong(x, jnp.float32) if x.dtype == jnp.bfloat16 else x,
)
"""Half the bytes: 8 bits of precision, rounded so that averages keep moving. Complex arrays stay what they are."""

nameable("codecs.bfloat16")(bfloat16)
