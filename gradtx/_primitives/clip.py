"""Bounds on the size of updates."""

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import abs_square, align, ordered, safe_divide, safe_sqrt, times, weak
from gradtx._base.sharing import for_each
from gradtx._core.constructors import elementwise, rescaling, rescaling_each, treewise
from gradtx._core.norms import norms, norms_along
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Scalar


@transformation
def clip(max_delta: NonNegative):
    r"""Clipping of each element; complex ones keep their direction.

    .. math:: u = \max(-max\_delta, \min(max\_delta, g))

    Args:
        max_delta: the largest magnitude let through, not negative.

    State: none.
    """

    def fn(g):
        if jnp.iscomplexobj(g):
            magnitude = safe_sqrt(abs_square(g))
            return times(g, jnp.where(magnitude > max_delta, safe_divide(max_delta, magnitude), 1.0))
        return jnp.clip(g, -max_delta, max_delta)

    return elementwise(fn)


@transformation
def clip_between(low: Scalar, high: Scalar):
    r"""Clipping of each element to an interval, for real updates.

    .. math:: u = \max(low, \min(high, g))

    Args:
        low: the smallest number let through.
        high: the largest number let through.

    State: none.

    Raises:
        GradtxTypeError: an update is complex, and complex numbers have no order.
    """
    return elementwise(lambda g: jnp.clip(ordered(g), low, high))


@transformation
def clip_by_block_norm(max_norm: NonNegative):
    r"""Clipping of each array: where its norm is above `max_norm`, it is scaled down to that norm.

    .. math:: u = g \cdot \min(1, max\_norm / \lVert g \rVert)

    As `clip_by_global_norm`, for one array at a time.

    Args:
        max_norm: the largest norm let through, not negative.

    State: none.
    """
    return rescaling_each(lambda gs, ps: [_down_to(max_norm, length) for length in norms(gs)])


@transformation
def clip_by_block_rms(threshold: NonNegative):
    r"""Clipping of each array: where its root mean square is above `threshold`, it is scaled down to it.

    .. math:: u = g \cdot \min(1, threshold / \mathrm{rms}(g))

    As `clip_by_block_norm`, whatever the size of the array. Under `over_layers`, each layer by its own.

    Args:
        threshold: the largest root mean square let through, not negative.

    State: none.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, section 6.
    """

    def factors(gs, ps):
        return [_down_to(threshold * max(g.size, 1) ** 0.5, length) for g, length in zip(gs, norms(gs), strict=True)]

    return rescaling_each(factors)


@transformation
def adaptive_grad_clip(clipping: NonNegative, eps: NonNegative = 1e-3, axis: int | tuple[int, ...] | None = None):
    r"""Adaptive gradient clipping: the gradient of each unit is kept in proportion to the unit's parameters.

    .. math:: u = g \cdot \min\left(1, \frac{clipping \cdot \max(\lVert p \rVert, eps)}{\lVert g \rVert}\right)

    with the norms of each unit by itself: all of a bias or of an array with no more than one axis longer than 1; of a
    matrix, or a kernel with three axes, what lies along the first axis; of convolution kernels with more, all but the
    last axis, which is the layout of Flax.

    Args:
        clipping: the largest norm of a gradient, in units of the parameters' norm.
        eps: a smaller norm of parameters counts as this, so that they can leave 0.
        axis: the axis or axes that make up a unit, of every array, in place of the rule.

    State: none. Needs the parameters.

    Raises:
        GradtxValueError: an array does not have the axis.

    Reference: Brock, De, Smith and Simonyan, "High-Performance Large-Scale Image Recognition Without Normalization",
    2021, equation 3. As Optax's, which does not know arrays of more than five axes.
    """

    def one(g, p):
        g, p = align(g, p)
        axes = _unit_axes(g.shape) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        largest, length = clipping * jnp.maximum(norms_along(p, axes), eps), norms_along(g, axes)
        return jnp.where(length <= largest, 1.0, safe_divide(largest, length)).astype(g.dtype) * g

    def update(updates, state, params):
        for path, g in zip(trees.paths(updates), jax.tree.leaves(updates), strict=True):
            if axis is not None and not all(-g.ndim <= a < g.ndim for a in np.atleast_1d(axis)):
                raise GradtxValueError(f"the array at {path!r} has the shape {g.shape}, and no axis {axis}")
        pairs = zip(jax.tree.leaves(updates), jax.tree.leaves(params), strict=True)
        return jax.tree.structure(updates).unflatten(for_each(one, list(pairs))), state

    return treewise(update, needs_params=True)


@transformation
def clip_by_global_norm(max_norm: NonNegative):
    r"""Clipping of the whole tree: where its norm is above `max_norm`, all of it is scaled down to that norm.

    .. math:: u = g \cdot \min(1, max\_norm / \lVert g \rVert)

    The norm is that of `gradtx.tree.global_norm`, in at least float32 and safe from overflow; the arrays are multiplied
    by one number. One NaN makes all updates NaN, and an infinity becomes NaN: nothing here hides them.

    Args:
        max_norm: the largest norm let through, not negative.

    State: none.

    Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
    algorithm 1.
    """
    return rescaling(lambda norm, state: (_down_to(max_norm, norm), state))


def _unit_axes(shape):
    """The axes over which one output unit extends."""
    if sum(length != 1 for length in shape) <= 1:
        return tuple(range(len(shape)))
    return (0,) if len(shape) <= 3 else tuple(range(len(shape) - 1))


def _down_to(max_norm, length):
    """The factor that brings a norm down to `max_norm`, or 1."""
    return weak(jnp.where(length <= max_norm, 1.0, safe_divide(max_norm, length)))
