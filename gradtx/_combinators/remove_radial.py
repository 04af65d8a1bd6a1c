"""Removal of the radial part from updates of scale-invariant weights."""

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import inner_in_tuple
from gradtx._base.numerics import abs_square, align, safe_divide, safe_sqrt, times
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator, required_params
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation
from gradtx._values.schedule import NonNegative


@transformation(role="wrapper")
def remove_radial(
    inner: Transform, delta: NonNegative = 0.1, weight_decay: NonNegative = 0.0, wd_ratio: NonNegative = 0.1
):
    r"""Radial projection (AdamP): removes the radial part from updates of scale-invariant weights, and decays them.

    .. math:: u = \begin{cases}
            d - \frac{\langle d, p \rangle}{\langle p, p \rangle} p + wd\_ratio \cdot weight\_decay \cdot p
                & \frac{|\langle g, p \rangle|}{\lVert g \rVert \lVert p \rVert} < delta / \sqrt{n} \\
            d + weight\_decay \cdot p \end{cases}

    where d is the output of `inner` for the gradient g, and n the size of the vector p. The vectors are the outputs of
    a layer, one per index of the last axis; if not all of them are scale-invariant, the whole array is tested as one
    vector. Arrays of fewer than two axes only decay.

    Args:
        inner: the transform whose updates are projected; it goes before the learning rate.
        delta: the threshold on the cosine between gradient and weights, times the root of their size.
        weight_decay: the multiple of the parameter that is added.
        wd_ratio: the factor on the weight decay where the update was projected.

    State: a tuple of length 1 with the state of `inner`. Needs the parameters.

    Reference: Heo et al., "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights", 2021,
    algorithm 2; its code has the outputs of a layer on the first axis.
    """
    inner = as_transformation(inner)

    def project(g: Array, d: Array, p: Array) -> Array:
        g, d, p = align(g, d, p)
        if p.ndim < 2 or p.size == 0:
            return d + weight_decay * p
        channels, whole = tuple(range(p.ndim - 1)), tuple(range(p.ndim))
        by_channel, by_array = (_cosine(g, p, axes) * _size(p, axes) ** 0.5 for axes in (channels, whole))
        along_channels = jnp.max(by_channel) < delta
        along_array = ~along_channels & (jnp.max(by_array) < delta)
        direction = jnp.where(
            along_channels, _rejected(d, p, channels), jnp.where(along_array, _rejected(d, p, whole), d)
        )
        return direction + jnp.where(along_channels | along_array, wd_ratio, 1.0) * weight_decay * p

    def init(step: Context, params: Params) -> State:
        return (step.init(inner, params),)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        gradients, params = trees.widened(updates), trees.widened(required_params(params, updates), "parameters")
        directions, inner_state = step.update(inner, updates, inner_in_tuple(state), params)
        ps = jax.tree.structure(updates).unflatten(trees.leaves_like(updates, params, "updates", "parameters"))
        return jax.tree.map(project, gradients, directions, ps), (inner_state,)

    return combinator(init, update)


def _size(x: Array, axes: tuple[int, ...]) -> int:
    size = 1
    for axis in axes:
        size *= x.shape[axis]
    return size


def _unit(x: Array, axes: tuple[int, ...]) -> Array:
    """`x` divided by its norm along the axes; scaled to a maximum of 1 first, so that squares stay in range."""
    x = times(x, safe_divide(1.0, jnp.max(jnp.abs(x), axes, keepdims=True)))
    return times(x, safe_divide(1.0, safe_sqrt(jnp.sum(abs_square(x), axes, keepdims=True))))


def _cosine(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    return jnp.abs(jnp.sum((_unit(x, axes) * _unit(y, axes).conj()).real, axes))


def _rejected(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """`x` without its component along `y`."""
    unit = _unit(y, axes)
    return x - times(jnp.sum((x * unit.conj()).real, axes, keepdims=True), unit)
