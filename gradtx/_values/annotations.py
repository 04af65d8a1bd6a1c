"""The aliases with which a factory of a user annotates its hyperparameters.

At run time they are those of `gradtx._values.schedule`. To a type checker they are `Any`: the body of a factory gets a
float or a 0-d array and computes with it, its callers may also give a schedule, and one annotation cannot say both.
The factories of gradtx have the strict types, at the price of unchecked arithmetic in their bodies.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Scalar = Any
    """A hyperparameter: a Python float, a 0-d array (traced or not), or a schedule."""

    Decay = Any
    """A `Scalar` in [0, 1): how much of an average is kept from one step to the next."""

    NonNegative = Any
    """A `Scalar` that is not negative: a learning rate, an epsilon, a bound."""

    Positive = Any
    """A `Scalar` above 0, because something is divided by it."""

    UnitInterval = Any
    """A `Scalar` in [0, 1]: a fraction that may be 1."""

    PositiveDecay = Any
    """A `Decay` above 0, because something is divided by it."""
else:
    from gradtx._values.schedule import Decay as Decay
    from gradtx._values.schedule import NonNegative as NonNegative
    from gradtx._values.schedule import Positive as Positive
    from gradtx._values.schedule import PositiveDecay as PositiveDecay
    from gradtx._values.schedule import Scalar as Scalar
    from gradtx._values.schedule import UnitInterval as UnitInterval
