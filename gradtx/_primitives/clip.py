"""Clipping: primitives that bound the size of updates."""

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import abs_square, align, ordered, safe_divide, safe_sqrt, times, weak
from gradtx._base.sharing import for_each
from gradtx._core.constructors import elementwise, treewise
from gradtx._core.norms import norms_along
from gradtx._core.protocol import transformation
from gradtx._primitives.rescaling import rescaling, rescaling_each
from gradtx._values.schedule import Bound, NonNegative, UpperBound


@transformation
def clip(max_delta: UpperBound):
    r"""Elementwise clipping: bounds the magnitude of each element; complex elements keep their phase.

    .. math:: u = \max(-max\_delta, \min(max\_delta, g))

    Args:
        max_delta: the largest magnitude, above 0; infinity for no bound.

    State: none.
    """

    def fn(g):
        if jnp.iscomplexobj(g):
            magnitude = safe_sqrt(abs_square(g))
            return times(g, jnp.where(magnitude > max_delta, safe_divide(max_delta, magnitude), 1.0))
        return jnp.clip(g, -max_delta, max_delta)

    return elementwise(fn)


@transformation
def clip_between(low: Bound, high: Bound):
    r"""Interval clipping: bounds each element to an interval; for real updates.

    .. math:: u = \max(low, \min(high, g))

    Args:
        low: the lower bound, perhaps `-inf`.
        high: the upper bound, perhaps `inf`.

    State: none.

    Raises:
        GradtxTypeError: an update is complex; complex numbers have no order.
    """
    return elementwise(lambda g: jnp.clip(ordered(g), low, high))


@transformation
def clip_by_block_norm(max_norm: UpperBound):
    r"""Norm clipping per array: scales each array down to the norm `max_norm` where its norm is larger.

    .. math:: u = g \cdot \min(1, max\_norm / \lVert g \rVert)

    The same as `clip_by_global_norm`, but per array.

    Args:
        max_norm: the largest norm, above 0; infinity for no bound.

    State: none.
    """
    return rescaling_each(lambda each, gs, ps: [_down_to(max_norm, length) for length in each.norms(gs)])


@transformation
def clip_by_block_rms(threshold: UpperBound):
    r"""RMS clipping per array: scales each array down to the root mean square `threshold` where its own is larger.

    .. math:: u = g \cdot \min(1, threshold / \mathrm{rms}(g))

    Like `clip_by_block_norm`, but independent of the size of the array. Under `over_layers` it clips per layer.

    Args:
        threshold: the largest root mean square, above 0.

    State: none.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, section 6.
    """

    def factors(each, gs, ps):
        rows = zip(each.norms(gs), each.sizes(gs), strict=True)
        return [_down_to(threshold * size**0.5, length) for length, size in rows]

    return rescaling_each(factors)


@transformation
def adaptive_grad_clip(clipping: NonNegative, eps: NonNegative = 1e-3, axis: int | tuple[int, ...] | None = None):
    r"""Adaptive gradient clipping (AGC): bounds the gradient norm of each unit relative to the norm of its parameters.

    .. math:: u = g \cdot \min\left(1, \frac{clipping \cdot \max(\lVert p \rVert, eps)}{\lVert g \rVert}\right)

    The norms are per unit. In a bias, or an array with at most one axis longer than 1, the unit is the whole array. In
    a matrix, or a kernel with three axes, it extends along the first axis. In convolution kernels with more axes it
    extends along all but the last axis, the layout of Flax.

    Args:
        clipping: the largest gradient norm, relative to the parameter norm.
        eps: lower bound of the parameter norm, so that parameters can leave 0.
        axis: the axis or axes of a unit in every array; overrides the rule above.

    State: none. Needs the parameters.

    Raises:
        GradtxValueError: an array does not have the axis.

    Reference: Brock, De, Smith and Simonyan, "High-Performance Large-Scale Image Recognition Without Normalization",
    2021, equation 3. The same as in Optax, which does not support arrays of more than five axes.
    """

    def one(g, p):
        g, p = align(g, p)
        axes = _unit_axes(g.shape) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        largest, length = clipping * jnp.maximum(norms_along(p, axes), eps), norms_along(g, axes)
        return jnp.where(length <= largest, 1.0, safe_divide(largest, length)).astype(g.dtype) * g

    def update(updates, state, params):
        for path, g in zip(trees.paths(updates), jax.tree.leaves(updates), strict=True):
            if axis is not None and not all(-g.ndim <= a < g.ndim for a in np.atleast_1d(axis)):
                raise GradtxValueError(f"expected an array with axis {axis} at {path!r}, got the shape {g.shape}")
        pairs = zip(jax.tree.leaves(updates), jax.tree.leaves(params), strict=True)
        return jax.tree.structure(updates).unflatten(for_each(one, list(pairs))), state

    return treewise(update, needs_params=True)


@transformation
def clip_by_global_norm(max_norm: UpperBound):
    r"""Global norm clipping: scales the whole tree down to the norm `max_norm` where its norm is larger.

    .. math:: u = g \cdot \min(1, max\_norm / \lVert g \rVert)

    The norm is `gradtx.tree.norm`, in at least float32 and safe from overflow; all arrays are multiplied by one
    scalar. One NaN makes all updates NaN, and an infinity becomes NaN: they are not hidden. Under `jit` it is the norm
    over all devices; within `shard_map` that of the part which the device has.

    Args:
        max_norm: the largest norm, above 0; infinity for no bound.

    State: none.

    Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
    algorithm 1.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, g = clip_by_global_norm(1.0), {"kernel": jnp.asarray(3.0), "bias": jnp.asarray(4.0)}
        >>> u, state = tx.update(g, tx.init(g))
        >>> print(tree.norm(g), u["kernel"], u["bias"])
        5.0 0.6 0.8
    """
    return rescaling(lambda norm, state: (_down_to(max_norm, norm), state))


def _unit_axes(shape):
    """The axes that one output unit extends along."""
    if sum(length != 1 for length in shape) <= 1:
        return tuple(range(len(shape)))
    return (0,) if len(shape) <= 3 else tuple(range(len(shape) - 1))


def _down_to(max_norm, length):
    """The factor that scales a norm down to `max_norm`, or 1."""
    factor = jnp.where(length <= max_norm, 1.0, safe_divide(max_norm, length))
    return weak(factor) if factor.ndim == 0 else factor
