"""Elementwise primitives: a function of each number, without memory."""

import jax.numpy as jnp

from gradtx._base.numerics import abs_square, ordered, safe_divide, safe_sqrt, select
from gradtx._core.constructors import elementwise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Scalar


@transformation
def square():
    """Square: the squared magnitude of each element, real for complex updates too.

    .. math:: u = |g|^2

    State: none.
    """
    return elementwise(abs_square)


@transformation
def sqrt():
    r"""Square root of each element, whose derivative at 0 is taken as 0. Negative elements give NaN.

    .. math:: u = \sqrt{g}

    State: none.
    """
    return elementwise(safe_sqrt)


@transformation
def sign():
    """Sign of each element, 0 for 0; for a complex one the number of magnitude 1 in its direction.

    .. math:: u = g / |g|

    State: none.
    """
    return elementwise(lambda g: safe_divide(g, safe_sqrt(abs_square(g))) if jnp.iscomplexobj(g) else jnp.sign(g))


@transformation
def absolute():
    """Absolute value of each element, real for complex updates too; its derivative at 0 is taken as 0.

    .. math:: u = |g|

    State: none.
    """
    return elementwise(lambda g: safe_sqrt(abs_square(g)) if jnp.iscomplexobj(g) else jnp.abs(g))


@transformation
def power(exponent: Scalar):
    """Power of each element.

    .. math:: u = g^{exponent}

    0 stays 0 for every exponent but 0, also for a negative one (0/0 is 0, and so is 1/0 here); negative elements give
    NaN unless the exponent is whole.

    Args:
        exponent: the exponent.

    State: none.
    """

    def fn(g):
        zero = g == 0
        return jnp.where(zero, jnp.where(exponent == 0, 1.0, 0.0), jnp.power(jnp.where(zero, 1.0, g), exponent))

    return elementwise(fn)


@transformation
def reciprocal():
    """Reciprocal of each element, and 0 of 0.

    .. math:: u = 1 / g

    State: none.
    """
    return elementwise(lambda g: safe_divide(1.0, g))


@transformation
def zero_nans():
    r"""Zero in place of each element that is NaN; infinities stay.

    .. math:: u = 0 \text{ where } g \text{ is NaN}, \quad u = g \text{ elsewhere}

    Nothing counts them; `skip_nonfinite` does, and it leaves out the whole step instead.

    State: none.
    """
    return elementwise(lambda g: select(jnp.isnan(g), 0.0, g))


@transformation
def add_constant(amount: Scalar):
    r"""Addition of a number to each element.

    .. math:: u = g + amount

    Args:
        amount: the number, of any sign.

    State: none.
    """
    return elementwise(lambda g: g + amount)


@transformation
def clip_min(lower: Scalar):
    r"""The larger of each element and a bound, for real updates: keeps a denominator away from 0.

    .. math:: u = \max(g, lower)

    Args:
        lower: the bound.

    State: none.

    Raises:
        GradtxTypeError: an update is complex, and complex numbers have no order.
    """
    return elementwise(lambda g: jnp.maximum(ordered(g), lower))
