"""Names for params, updates and states, and the marker that makes an argument a hyperparameter.

The trees are `Any` to a type checker, because any pytree is legal; the names say which one is meant.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax

Params: TypeAlias = Any
"""A pytree of arrays: the parameters that are trained."""

Updates: TypeAlias = Any
"""A pytree with the structure of the parameters: gradients as input, increments of the parameters as output."""

State: TypeAlias = Any
"""A pytree of arrays: the moments, counts and other data that a transform keeps between steps."""

Array: TypeAlias = jax.Array


class Transform(Protocol):
    """A gradient transformation of gradtx, Optax or another library: an object with `init` and `update`."""

    @property
    def init(self) -> Callable[..., State]: ...

    @property
    def update(self) -> Callable[..., tuple[Updates, State]]: ...


@dataclass(frozen=True)
class Number:
    """Marks an argument as a hyperparameter, which is a leaf of the transform, and gives its range.

    Only Python numbers are checked: an array may be traced, and its value unknown when the transform is made.

    Attributes:
        low: the lower bound.
        above: whether `low` itself is excluded.
        high: the upper bound; infinity allows every finite number, and with `to` infinity too.
        many: whether the argument is a sequence of hyperparameters.
        to: whether `high` itself is allowed, and an infinite `low`.
        fixed: whether it may not follow a schedule, as a duration may not.
        optional: whether it may be None.
    """

    low: float = -math.inf
    high: float = math.inf
    many: bool = False
    above: bool = False
    to: bool = False
    fixed: bool = False
    optional: bool = False

    def allows(self, number: float) -> bool:
        if math.isinf(number) and not self.to:
            return False
        beyond = number > self.high if self.to else number >= self.high
        return self.low <= number and not beyond and not (self.above and number == self.low)

    def __repr__(self) -> str:
        return f"Number({self})"

    def __str__(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "a number" if self.to else "a finite number"
        if self.high == math.inf:
            return f"a number {'above' if self.above else 'of at least'} {self.low:g}"
        return f"a number in {'(' if self.above else '['}{self.low:g}, {self.high:g}{']' if self.to else ')'}"
