"""Multiplication of every array by one number."""

from gradtx._core.constructors import elementwise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Scalar


@transformation
def scale(factor: Scalar):
    r"""Multiplication by a number.

    .. math:: u = factor \cdot g

    Args:
        factor: the number, of any sign.

    State: none.
    """
    return elementwise(lambda g: factor * g)


@transformation
def scale_by_learning_rate(learning_rate: NonNegative):
    r"""The last step of most optimizers: multiplication by the negative learning rate, which makes descent of ascent.

    .. math:: u = -learning\_rate \cdot g

    Args:
        learning_rate: the step size, not negative.

    State: none.
    """
    factor = -learning_rate
    return elementwise(lambda g: factor * g)
