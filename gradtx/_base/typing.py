"""Names for what flows through a transform, and the marker that makes an argument a number.

The trees are `Any` to a type checker, because any pytree is legal; the names say which one is meant.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax

Params: TypeAlias = Any
"""A pytree of arrays: what is trained."""

Updates: TypeAlias = Any
"""A pytree with the structure of the parameters: gradients on the way in, what is to be added on the way out."""

State: TypeAlias = Any
"""A pytree of arrays: what a transform remembers from one step to the next."""

Array: TypeAlias = jax.Array


class Transform(Protocol):
    """A gradient transformation of gradtx, Optax or another library: an object with `init` and `update`."""

    @property
    def init(self) -> Callable[..., State]: ...

    @property
    def update(self) -> Callable[..., tuple[Updates, State]]: ...


@dataclass(frozen=True)
class Number:
    """Marks an argument as a number, a leaf of the transform, and says which Python numbers make sense.

    Traced numbers and arrays are never checked: their values are not known when the transform is made.

    Attributes:
        low: the smallest number allowed.
        above: whether numbers must be above `low`, and not at it.
        high: the bound that numbers must stay below; infinity allows every finite number.
        many: whether the argument is a sequence of such numbers.
        to: whether numbers may be at `high`.
    """

    low: float = -math.inf
    high: float = math.inf
    many: bool = False
    above: bool = False
    to: bool = False

    def allows(self, number: float) -> bool:
        beyond = number > self.high if self.to else number >= self.high
        return self.low <= number and not beyond and not (self.above and number == self.low)

    def __repr__(self) -> str:
        return f"Number({self})"

    def __str__(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "finite"
        if self.high == math.inf:
            return f"{'above' if self.above else 'at least'} {self.low:g}"
        return f"in {'(' if self.above else '['}{self.low:g}, {self.high:g}{']' if self.to else ')'}"
