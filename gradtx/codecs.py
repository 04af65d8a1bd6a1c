"""Codecs: encodings of state arrays in fewer bits, for `store`.

    store(adam(1e-3), codecs.bfloat16)
    store(adam(1e-3), codecs.float8)

A `Codec` of your own goes where these go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.counterparts import no_attribute
from gradtx._base.numerics import is_real, strong
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._values.registry import nameable

__all__ = [
    "Codec",
    "Float8",
    "bfloat16",
    "float8",
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
        encode: array to what is stored: an array, or a named tuple of arrays that has the `shape` of the array. It
            also gets the step count, int32, so that it can round up at some steps and down at others.
        decode: what is stored to the array used in computations, in at least float32.
        mixes_axes: whether elements are encoded together, as rows are. Then the transform in `store` is no longer
            fused with its neighbours in a chain, and `bucketed` does not accept it.
    """

    name: str
    encode: Callable[[Array, Array], Any]
    decode: Callable[[Any], Array]
    mixes_axes: bool = False

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
    bits = (bits + threshold * has_room.astype(jnp.uint32)) & jnp.uint32(0xFFFF0000)
    return strong(lax.bitcast_convert_type(bits, jnp.float32), jnp.bfloat16)


_LARGEST = float(jnp.finfo(jnp.bfloat16).max)
_GOLDEN = 40503  # 2^16 times the golden ratio's fraction, made odd, so that all 2^16 thresholds occur

bfloat16 = Codec(
    "bfloat16",
    lambda x, step: _to_bfloat16(x, step) if is_real(x) else x,
    lambda x: strong(x, jnp.float32) if x.dtype == jnp.bfloat16 else x,
)
"""Half the bytes: 8 bits of precision, rounded so that averages do not stall. Complex arrays are not encoded, and no
derivatives flow through stored state.
"""

nameable("codecs.bfloat16")(bfloat16)


@state_class
class Float8(NamedTuple):
    """An array in 8 bits for each element, and 16 for each row, which is what lies along the last axis.

    Attributes:
        codes: uint8, of the shape of the array. A code is a position on a scale with eight steps to an octave: the
            numbers with three bits after the binary point. The highest code stands for the power of two just above the
            largest number of the row; code 0 is zero. The first bit is the sign, if any number of the row is negative;
            else it is one more bit of the position.
        exponents: int16, of the array's shape with 1 for the last axis: the exponent of the largest number of the row
            as float32 has it, with a minus in rows that have no negative number.
    """

    codes: Any
    exponents: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape


_SHORTEST = 8  # in a shorter row the exponents would take a considerable part of the bytes
_DROPPED = 20  # of the 23 bits after the binary point
_PER_OCTAVE = 8
_FINITE = 255 * _PER_OCTAVE - 1  # the position of the largest number below infinity


@partial(jax.jit, inline=True)  # op by op it would be thirty calls
def _to_float8(x: Array, step: Array) -> Any:
    """The array in 8 bits, rounded up or down such that over the steps it is right on average.

    An average with decay 0.999 moves by a hundredth of the distance of two codes; rounded to nearest it would not move
    at all. What it was rounded to is rounded to itself, also where the exponent of the row has changed, as long as it
    is in reach: nothing is lost where nothing moves. The rounding thresholds of one element run through multiples of
    the golden ratio, and differ from element to element, or all of an array would be too large at the same steps.

    Below the smallest code of a row, numbers become 0 or that code. Where no number is negative, as in averages of
    squares, numbers other than 0 are raised to that code, because an optimizer may divide by their root.
    """
    if not is_real(x) or x.ndim == 0 or x.shape[-1] < _SHORTEST:
        return x
    x = strong(x, jnp.float32)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    magnitude = bits & 0x7FFFFFFF
    is_negative = (bits < 0) & (magnitude > 0)
    largest, has_sign = _row_maxima(magnitude, is_negative.astype(jnp.int32))
    exponents = largest >> 23
    stored = jnp.where(has_sign > 0, exponents, -exponents).astype(jnp.int16)
    signed, exponent = _row(stored)
    below = _below(signed, exponent)
    smallest = _number(below + 1)

    threshold = _thresholds(x.shape, step)
    code = jnp.minimum((magnitude + threshold) >> _DROPPED, _FINITE) - below
    at_random = lax.abs(x) * float(2**_DROPPED) > smallest * threshold.astype(jnp.float32)
    code = jnp.where(lax.abs(x) < smallest, (at_random | ~signed).astype(jnp.int32), code)
    code = jnp.where(magnitude == 0, 0, code) | jnp.where(is_negative, 0x80, 0)
    return Float8(code.astype(jnp.uint8), stored)


@partial(jax.jit, inline=True)
def _from_float8(stored: Any) -> Array:
    if not isinstance(stored, Float8):
        return stored
    signed, exponent = _row(stored.exponents)
    code = stored.codes.astype(jnp.int32)
    above = jnp.where(signed, code & 0x7F, code)
    x = _number(jnp.where(above == 0, 0, above + _below(signed, exponent)))
    x = jnp.where(signed & (code > 0x7F), -x, x)
    return jnp.where(exponent == 255, jnp.nan, x)


def _below(signed: Array, exponent: Array) -> Array:
    """The position of code 0 on the scale of all float32, which has eight steps to an octave."""
    return _PER_OCTAVE * (exponent + 1) - jnp.where(signed, 0x7F, 0xFF)


def _number(position: Array) -> Array:
    """The number at this position; float32 numbers are in the order of their bits."""
    return lax.bitcast_convert_type(jnp.maximum(position, 0) << _DROPPED, jnp.float32)


def _row_maxima(*x: Array) -> list[Array]:
    """The largest of each row in two arrays, by one reduction.

    XLA for TPUs would read them once for each of two: AdamW 46 bytes per parameter and not 44 (jaxlib 0.10.2).
    """
    zero = jnp.zeros((), jnp.int32)
    largest = lax.reduce(x, (zero, zero), lambda a, b: [*map(lax.max, a, b)], (x[0].ndim - 1,))
    return [row[..., None] for row in largest]


def _row(stored: Array) -> tuple[Array, Array]:
    """Whether the row has signs, and its exponent."""
    exponents = stored.astype(jnp.int32)
    return exponents > 0, lax.abs(exponents)


def _thresholds(shape: tuple[int, ...], step: Array) -> Array:
    """From 0 to 2^20 - 1, int32: evenly distributed over the steps, and over the elements."""
    place = step.astype(jnp.uint32) * jnp.uint32(_GOLDEN_32)
    for axis in range(len(shape)):
        place += lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(_ODD[axis % len(_ODD)])
    return (place >> (32 - _DROPPED)).astype(jnp.int32)


_GOLDEN_32 = 0x9E3779B9  # the same for 32 bits
_ODD = 0xC13FA9A9, 0x91E10DA5, 0xD1B54A33, 0xABC98389  # in no simple ratio to each other

float8 = Codec("float8", _to_float8, _from_float8, mixes_axes=True)
"""A quarter of the bytes: eight numbers to an octave, over 15 octaves below the largest number of each row along the
last axis, and over 31 where none is negative; see `Float8`. Rounded so that averages do not stall.

The longer an average, the larger the error. Averages of squares of normal numbers have a relative error (standard
deviation) of 7 % at a decay of 0.9, and of 16 % at 0.999, which is 8 % of an update. The error of a momentum has 1 % of
the variance of the momentum at 0.9, up to 4 % at 0.95, 4 to 65 % at 0.99, and 30 % to 14 times at 0.999: keep such a
momentum in `bfloat16`.

In a row with a number that is not finite all are NaN. Complex arrays, and those with rows of less than 8 elements, are
not encoded. Where rows are split over devices, each step communicates: the largest of a number for each row. No
derivatives flow through stored state.
"""

nameable("codecs.float8")(float8)
