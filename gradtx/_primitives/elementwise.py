"""Elementwise primitives without state."""

import jax.numpy as jnp

from gradtx._base.numerics import abs_square, ordered, safe_divide, safe_sqrt, select
from gradtx._core.constructors import elementwise, with_facts
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Bound, Scalar


@transformation
def square():
    """Square: replaces each element by its squared magnitude, which is real for complex updates too.

    .. math:: u = |g|^2

    State: none.
    """
    return elementwise(abs_square)


@transformation
def sqrt():
    r"""Square root: replaces each element by its root, with derivative 0 at 0; negative elements give NaN.

    .. math:: u = \sqrt{g}

    State: none.
    """
    return elementwise(safe_sqrt)


@transformation
def sign():
    """Sign: replaces each element by its sign, 0 for 0; a complex element by its direction, of magnitude 1.

    .. math:: u = g / |g|

    State: none.
    """
    return elementwise(lambda g: safe_divide(g, safe_sqrt(abs_square(g))) if jnp.iscomplexobj(g) else jnp.sign(g))


@transformation
def absolute():
    """Absolute value: replaces each element by its magnitude, real for complex updates too, with derivative 0 at 0.

    .. math:: u = |g|

    State: none.
    """
    return elementwise(lambda g: safe_sqrt(abs_square(g)) if jnp.iscomplexobj(g) else jnp.abs(g))


@transformation
def power(exponent: Scalar):
    """Power: raises each element to an exponent.

    .. math:: u = g^{exponent}

    0 stays 0 for every exponent but 0, also for a negative one (both 0/0 and 1/0 are 0 here). Negative elements give
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
    """Reciprocal: replaces each element by its inverse, and 0 by 0.

    .. math:: u = 1 / g

    State: none.
    """
    return elementwise(lambda g: safe_divide(1.0, g))


@transformation
def zero_nans():
    r"""NaN removal: replaces each NaN by 0; infinities stay.

    .. math:: u = 0 \text{ where } g \text{ is NaN}, \quad u = g \text{ elsewhere}

    NaNs are not counted. `skip_nonfinite` counts non-finite steps, and skips the whole step instead.

    State: none.
    """
    return elementwise(lambda g: select(jnp.isnan(g), 0.0, g))


@transformation
def add_constant(amount: Scalar):
    """Constant: adds a constant to each element.

    .. math:: u = g + amount

    Args:
        amount: the constant, of any sign.

    State: none.
    """
    return with_facts(elementwise(lambda g: g + amount), keeps_sign=False)


@transformation
def clip_min(lower: Bound):
    r"""Lower bound: replaces each element below `lower` by it, to keep a denominator away from 0; for real updates.

    .. math:: u = \max(g, lower)

    Args:
        lower: the bound.

    State: none.

    Raises:
        GradtxTypeError: an update is complex; complex numbers have no order.
    """
    return elementwise(lambda g: jnp.maximum(ordered(g), lower))
