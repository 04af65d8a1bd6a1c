"""Second moments kept in less than an array: by rows and columns, or by one vector for each axis."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.numerics import align, strong, weighted_mean, widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay


class Factors(NamedTuple):
    """The averages of one array: of its rows and columns, or of its elements where it is not factored.

    Attributes:
        row: the mean over the longest axis, or None.
        column: the mean over the second longest axis, or None.
        full: the average of each element, or None.
    """

    row: Any = None
    column: Any = None
    full: Any = None


@transformation
def scale_by_factored_ema(decay: Decay, min_dim_size_to_factor: int = 128):
    r"""Exponential moving average of large matrices as the product of the averages of their rows and columns.

    .. math:: r_t = decay \cdot r_{t-1} + (1 - decay) \operatorname{mean}_{col} g_t, \quad
        c_t = decay \cdot c_{t-1} + (1 - decay) \operatorname{mean}_{row} g_t, \quad
        u_t = r_t c_t / \operatorname{mean} r_t

    For updates that are not negative, such as squares. An array of more than two axes is a batch of matrices along its
    two longest axes (the later ones where several are equal). Others than large matrices have the plain average. Under
    `over_layers` each layer is factored by itself.

    Args:
        decay: how much of the averages is kept at each step, in [0, 1).
        min_dim_size_to_factor: how long the second longest axis must be.

    State: `Factors` for each array: for an m by n matrix m + n numbers; one array where it is not factored.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, algorithm 2.
    """
    mean = weighted_mean(decay)

    def axes_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
        """The second longest axis and the longest one, if the array is to be factored."""
        order = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
        large = len(shape) > 1 and math.prod(shape) > 0 and shape[order[-2]] >= min_dim_size_to_factor
        return (order[-2], order[-1]) if large else None

    def measure(x: Array) -> Factors:
        """What is averaged of one array."""
        axes = axes_of(x.shape)
        if axes is None:
            return Factors(full=x)
        return Factors(row=jnp.mean(x, axis=axes[1]), column=jnp.mean(x, axis=axes[0]))

    def assemble(factors: Factors, shape: tuple[int, ...]) -> Array:
        axes = axes_of(shape)
        if axes is None:
            return factors.full
        second, longest = axes
        row, column = jnp.expand_dims(factors.row, longest), jnp.expand_dims(factors.column, second)
        return _over_mean(second, row) * column

    def init(params):
        def zeros(p: Array) -> Factors:
            return jax.tree.map(lambda x: jnp.zeros_like(x), measure(jnp.zeros_like(widened(p).real)))

        return jax.tree.map(zeros, params)

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        old = trees.leaves_like(updates, state, "updates", "state")

        def work(g: Array, stored: Factors) -> tuple[Array, Factors]:
            new = jax.tree.map(lambda m, x: strong(mean(*align(m, x)), m.dtype), stored, measure(g))
            return assemble(new, g.shape), new

        pairs = for_each(work, list(zip(leaves, old, strict=True)))
        return treedef.unflatten([u for u, _ in pairs]), treedef.unflatten([new for _, new in pairs])

    return treewise(update, init)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _over_mean(axis: int, x: Array) -> Array:
    """`x` over its mean along an axis; the mean itself where that is 0 or infinite."""
    return _with_mean(axis, x)[0]


@_over_mean.defjvp
def _over_mean_derivative(axis: int, primals: tuple, tangents: tuple) -> tuple:
    # Not that of the quotient, which divides by the square of what may be 1e-30.
    quotient, mean, usable = _with_mean(axis, *primals)
    change = tangents[0] - quotient * jnp.mean(tangents[0], axis, keepdims=True)
    return quotient, jnp.where(usable, change / jnp.where(usable, mean, 1.0), 0.0)


def _with_mean(axis: int, x: Array) -> tuple[Array, Array, Array]:
    mean = jnp.mean(x, axis, keepdims=True)
    usable = (mean > 0) & (mean < jnp.inf)
    return jnp.where(usable, x / mean, mean), mean, usable


@transformation
def running_sum_by_axis():
    r"""Sum of all updates so far, kept as one vector for each axis: never below the sum itself.

    .. math:: u_t = \min_i a^i_{t-1} + g_t, \quad a^i_t = \max_{j \ne i} u_t

    where :math:`a^i` has one number for each index of axis i, and the maximum is over all other axes. For updates that
    are not negative, such as squares; exact for arrays of one axis.

    State: one vector for each axis of each array.

    Reference: Anil, Gupta, Koren and Singer, "Memory-Efficient Adaptive Optimization", 2019, algorithm SM3-II with the
    slices along each axis for its cover.
    """

    def others(x: Array, axis: int) -> tuple[int, ...]:
        return tuple(other for other in range(x.ndim) if other != axis)

    def init(params):
        def zeros(p: Array) -> tuple[Array, ...]:
            empty = jnp.zeros_like(widened(p).real)
            # A sum over the other axes has the sharding of the array along its own.
            return tuple(jnp.sum(empty, others(p, axis)) for axis in range(p.ndim)) or (empty,)

        return jax.tree.map(zeros, params)

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        outputs, memories = [], []
        for g, vectors in zip(leaves, trees.leaves_like(updates, state, "updates", "state"), strict=True):
            spread = [jnp.expand_dims(v, others(g, axis)) for axis, v in enumerate(vectors)] if g.ndim else vectors
            least = jnp.broadcast_to(spread[0], g.shape)
            for vector in spread[1:]:
                least = jnp.minimum(least, vector)
            total = jnp.add(*align(least, g))
            new = tuple(jnp.max(total, others(g, axis), initial=0.0) for axis in range(g.ndim)) or (total,)
            outputs.append(total)
            memories.append(tuple(strong(x, v.dtype) for x, v in zip(new, vectors, strict=True)))
        return treedef.unflatten(outputs), treedef.unflatten(memories)

    return treewise(update, init)
