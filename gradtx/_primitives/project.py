"""Projections: updates after which the parameters are in a set.

They come last in a chain, and change the update u such that p + u is the point of the set that is nearest to where the
parameters would go without them. `apply_updates` rounds the sum to the parameter's precision once, so bounds hold to
that rounding; only `project_nonnegative` is exact in every precision. NaN is not hidden: it stays where it is, and
spreads over what is projected together.
"""

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import align, ordered, safe_divide, weak
from gradtx._base.typing import Array
from gradtx._core.constructors import elementwise, treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Positive, Scalar


@transformation
def project_nonnegative():
    r"""Keeps the parameters from becoming negative, exactly, in every precision.

    .. math:: p + u = \max(p + g, 0)

    State: none. Needs the parameters.

    Raises:
        GradtxTypeError: a parameter is complex.
    """
    return elementwise(lambda g, p: jnp.maximum(ordered(g), -p), needs_params=True)


@transformation
def project_box(low: Scalar, high: Scalar):
    r"""Keeps each parameter between two numbers, to the rounding of the sum.

    .. math:: p + u = \min(\max(p + g, low), high)

    Args:
        low: the lower bound.
        high: the upper bound; it counts where the two are in the wrong order.

    State: none. Needs the parameters.

    Raises:
        GradtxTypeError: a parameter is complex.
    """
    return elementwise(lambda g, p: jnp.clip(ordered(g), low - p, high - p), needs_params=True)


@transformation
def project_l2_ball(radius: NonNegative):
    r"""Keeps the norm of the whole tree of parameters from becoming larger than a number, to a few roundings.

    .. math:: p + u = (p + g) \min\left(1, \frac{radius}{\lVert p + g \rVert}\right)

    The norm is that of `gradtx.tree.global_norm`. Inside the ball the update stays what it is.

    Args:
        radius: the largest norm; 0 moves the parameters to 0.

    State: none. Needs the parameters.
    """

    def update(updates, state, params):
        moved = jax.tree.map(_moved, updates, params)
        norm = tree.global_norm(moved)
        inside, factor = norm <= radius, weak(safe_divide(radius, norm))

        def projected(g, p, x):
            g, p = align(g, p)
            return jnp.where(inside, g, factor * x - p)

        return jax.tree.map(projected, updates, params, moved), state

    return treewise(update, needs_params=True)


@transformation
def project_simplex(scale: Positive = 1.0, axis: int = -1):
    r"""Keeps each slice of an array along one axis a set of weights: not negative, with the sum `scale`.

    .. math:: p + u = \max(p + g - \theta, 0), \quad \textstyle\sum (p + u) = scale

    The number :math:`\theta` of each slice is found by sorting it, which gives the exact projection. The sum holds to
    the rounding of its terms.

    Args:
        scale: the sum of each slice.
        axis: the axis along which the weights lie. A 0-d array is one weight, and becomes `scale`.

    State: none. Needs the parameters.

    Raises:
        GradtxTypeError: a parameter is complex.
        GradtxValueError: an array does not have this axis.

    Reference: Held, Wolfe and Crowder, "Validation of subgradient optimization", 1974; Duchi, Shalev-Shwartz, Singer
    and Chandra, "Efficient Projections onto the l1-Ball for Learning in High Dimensions", 2008, figure 1.
    """

    def projected(path, g, p):
        x = _moved(ordered(g), p)
        if x.ndim and not -x.ndim <= axis < x.ndim:
            raise GradtxValueError(f"the array at {path!r} has the shape {x.shape}, and no axis {axis}")
        along = axis if x.ndim else -1
        return _on_simplex(jnp.atleast_1d(x), scale, along).reshape(x.shape) - align(x, p)[1]

    def update(updates, state, params):
        return trees.map_with_path(projected, updates, params), state

    return treewise(update, needs_params=True)


def _on_simplex(x: Array, scale: Scalar, axis: int) -> Array:
    # The projection does not change when all are moved together; from the largest down nothing is lost to rounding.
    x = x - jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    ordered = jnp.sort(x, axis, descending=True)
    rank = (
        jnp.arange(1, x.shape[axis] + 1)
        .astype(x.dtype)
        .reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    )
    positive = rank * ordered > jnp.cumsum(ordered, axis) - scale
    count = jnp.sum(positive, axis, keepdims=True, dtype=x.dtype)
    theta = (jnp.sum(jnp.where(positive, ordered, 0.0), axis, keepdims=True) - scale) / jnp.maximum(count, 1.0)
    return jnp.maximum(x - theta, 0.0)


def _moved(g: Array, p: Array) -> Array:
    """Where the parameter would go."""
    g, p = align(g, p)
    return g + p
