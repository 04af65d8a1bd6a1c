"""Codecs: encodings of state arrays in fewer bits, for `store`.

store(adam(1e-3), codecs.bfloat16)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import lax

from gradtx._base.counterparts import no_attribute
from gradtx._base.numerics import is_real, strong
from gradtx._base.typing import Array
from gradtx._values.registry import nameable

__all__ = [
    "Codec",
    "bfloat16",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # a type checker would take every name for right

    def __getattr__(name: str) -> Any:
        raise AttributeError(no_attribute("gradtx.codecs", name, __all__))


@dataclass(frozen=True, eq=False)
class Codec:
    """An encoding of floating-point arrays.

    Attributes:
        name: the name in this module.
        encode: array to stored array. It also gets the step count, int32, so that it can round up at some steps and
            down at others.
        decode: stored array to the array used in computations, in at least float32.
    """

    name: str
    encode: Callable[[Array, Array], Array]
    decode: Callable[[Array], Array]

    def __repr__(self) -> str:
        return f"codecs.{self.name}"

    def __reduce__(self) -> str:
        return self.name


def _to_bfloat16(x: Array, step: Array) -> Array:
    """The upper half of the bits of float32, rounded up at a fraction of the steps that is given by the lower half.

    Rounding to nearest does not suffice: an average with decay 0.999 moves by less than half a unit in the last place,
    and stalls at about half of its value. Here it moves at some of the steps. The rounding threshold runs through
    multiples of the golden ratio, which are evenly distributed over any range of steps, so that rounding up soon
    compensates for rounding down; the first step rounds to nearest. No random numbers are drawn.
    """
    x = strong(x, jnp.float32)
    threshold = (step.astype(jnp.uint32) * jnp.uint32(_GOLDEN) + jnp.uint32(0x8000)) & jnp.uint32(0xFFFF)
    # The largest values are not rounded up to infinity. NaN keeps its bits: an addition could overflow them to 0.
    has_room = lax.abs(x) < _LARGEST
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    added = lax.select(has_room, lax.full_like(bits, threshold), lax.full_like(bits, 0))
    bits = (bits + added) & jnp.uint32(0xFFFF0000)
    return strong(lax.bitcast_convert_type(bits, jnp.float32), jnp.bfloat16)


_LARGEST = float(jnp.finfo(jnp.bfloat16).max)
_GOLDEN = 40503  # 2^16 times the golden ratio's fraction, made odd, so that all 2^16 thresholds occur

bfloat16 = Codec(
    "bfloat16",
    lambda x, step: _to_bfloat16(x, step) if is_real(x) else x,
    lambda x: strong(x, jnp.float32) if x.dtype == jnp.bfloat16 else x,
)
"""Half the bytes: 8 bits of precision, rounded so that averages do not stall. Complex arrays are not encoded."""

nameable("codecs.bfloat16")(bfloat16)
