"""Factored second moments: one average per row and column, or one vector per axis, in place of a full array."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.numerics import align, strong, weighted_mean
from gradtx._base.sharing import for_each
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay


@state_class
class Factors(NamedTuple):
    """The averages of one array: of its rows and columns if it is factored, else of its elements.

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
    r"""Factored EMA: replaces large matrices by the product of the moving averages of their rows and columns.

    .. math:: r_t = decay \cdot r_{t-1} + (1 - decay) \operatorname{mean}_{col} g_t, \quad
        c_t = decay \cdot c_{t-1} + (1 - decay) \operatorname{mean}_{row} g_t, \quad
        u_t = r_t c_t / \operatorname{mean} r_t

    For nonnegative updates, such as squares. An array with more than two axes is a batch of matrices along its two
    longest axes (the later ones if several are equal). Arrays that are not large matrices get the plain average. Under
    `over_layers` each layer is factored separately.

    Args:
        decay: decay rate of the averages, in [0, 1).
        min_dim_size_to_factor: minimum size of the second longest axis for factoring.

    State: `Factors` per array: m + n numbers for an m by n matrix; one array where it is not factored.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, algorithm 2.
    """
    mean = weighted_mean(decay)

    def axes_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
        """The second longest and the longest axis, or None if the array is not factored."""
        order = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
        large = len(shape) > 1 and math.prod(shape) > 0 and shape[order[-2]] >= min_dim_size_to_factor
        return (order[-2], order[-1]) if large else None

    def measure(x: Array) -> Factors:
        """The row and column means of one array, or the array itself if it is not factored."""
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
            return jax.tree.map(lambda x: jnp.zeros_like(x), measure(jnp.zeros_like(p.real)))

        return jax.tree.map(zeros, params)

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        old = trees.subtrees_like(updates, state, "updates", "state")

        def work(g: Array, stored: Factors) -> tuple[Array, Factors]:
            new = jax.tree.map(lambda m, x: strong(mean(*align(m, x)), m.dtype), stored, measure(g))
            return assemble(new, g.shape), new

        pairs = for_each(work, list(zip(leaves, old, strict=True)))
        return treedef.unflatten([u for u, _ in pairs]), treedef.unflatten([new for _, new in pairs])

    return treewise(update, init)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _over_mean(axis: int, x: Array) -> Array:
    """`x` divided by its mean along an axis; the mean itself where it is 0 or infinite."""
    return _with_mean(axis, x)[0]


@_over_mean.defjvp
def _over_mean_derivative(axis: int, primals: tuple, tangents: tuple) -> tuple:
    # The quotient rule would divide by the square of the mean, which underflows for means near 1e-30.
    quotient, mean, usable = _with_mean(axis, *primals)
    change = tangents[0] - quotient * jnp.mean(tangents[0], axis, keepdims=True)
    return quotient, jnp.where(usable, change / jnp.where(usable, mean, 1.0), 0.0)


def _with_mean(axis: int, x: Array) -> tuple[Array, Array, Array]:
    mean = jnp.mean(x, axis, keepdims=True)
    usable = (mean > 0) & (mean < jnp.inf)
    return jnp.where(usable, x / mean, mean), mean, usable


@transformation
def running_sum_by_axis():
    r"""Per-axis running sum: an upper bound of the sum of all updates so far, stored as one vector per axis.

    .. math:: u_t = \min_i a^i_{t-1} + g_t, \quad a^i_t = \max_{j \ne i} u_t

    where :math:`a^i` has one number per index of axis i, and the maximum is over all other axes. For nonnegative
    updates, such as squares; exact for arrays with one axis.

    State: one vector per axis of each array.

    Reference: Anil, Gupta, Koren and Singer, "Memory-Efficient Adaptive Optimization", 2019, algorithm SM3-II with the
    slices along each axis as its cover.
    """

    def others(x: Array, axis: int) -> tuple[int, ...]:
        return tuple(other for other in range(x.ndim) if other != axis)

    def init(params):
        def zeros(p: Array) -> tuple[Array, ...]:
            empty = jnp.zeros_like(p.real)
            # A sum over the other axes keeps the sharding of this axis.
            return tuple(jnp.sum(empty, others(p, axis)) for axis in range(p.ndim)) or (empty,)

        return jax.tree.map(zeros, params)

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        outputs, memories = [], []
        for g, vectors in zip(leaves, trees.subtrees_like(updates, state, "updates", "state"), strict=True):
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
