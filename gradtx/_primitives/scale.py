"""Multiplication of all updates by one scalar."""

from gradtx._core.constructors import elementwise, with_facts
from gradtx._core.facts import Extent
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Scalar


@transformation
def scale(factor: Scalar):
    r"""Scale: multiplies the updates by a factor.

    .. math:: u = factor \cdot g

    Args:
        factor: the factor, of any sign.

    State: none.
    """
    is_number = isinstance(factor, (int, float))
    return with_facts(
        elementwise(lambda g: factor * g),
        keeps_sign=is_number and factor > 0,
        takes_ascent=Extent.ALL if is_number and factor < 0 else Extent.NONE,
    )


@transformation
def scale_by_learning_rate(learning_rate: NonNegative):
    r"""Learning rate: multiplies the updates by the negative learning rate, which makes them a descent step.

    .. math:: u = -learning\_rate \cdot g

    It is the last stage of most optimizers.

    Args:
        learning_rate: the step size, nonnegative.

    State: none.
    """
    factor = -learning_rate
    return with_facts(elementwise(lambda g: factor * g), descends=Extent.ALL, takes_ascent=Extent.ALL)
