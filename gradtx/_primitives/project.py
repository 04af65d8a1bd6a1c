"""Projections: updates that keep the parameters in a set.

Put them last in a chain. The output u makes p + u the point of the set nearest to p + g. `apply_updates` rounds the sum
once, to the parameter's precision, so bounds hold up to that rounding; only `project_nonnegative` is exact in every
precision. NaNs are not hidden: they stay in place, and spread to all elements that are projected together.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, short
from gradtx._base.numerics import align, ordered, safe_divide, times, weak, widened
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import elementwise, required_params, treewise, with_facts, with_work
from gradtx._core.context import Context, Work
from gradtx._core.facts import Extent, Facts
from gradtx._core.norms import Each, scaled
from gradtx._core.protocol import GradientTransformation, transformation
from gradtx._values.schedule import Bound, Positive, Radius, Scalar


@transformation
def project_nonnegative():
    r"""Nonnegative projection: keeps each parameter from becoming negative, exactly in every precision.

    .. math:: p + u = \max(p + g, 0)

    State: none. Needs the parameters.

    Raises:
        GradtxTypeError: a parameter is complex.
    """
    return with_facts(
        elementwise(lambda g, p: jnp.maximum(ordered(g), -p), needs_params=True), is_projection=Extent.ALL
    )


@transformation
def project_box(low: Bound, high: Bound):
    r"""Box projection: keeps each parameter between two bounds, up to the rounding of the sum.

    .. math:: p + u = \min(\max(p + g, low), high)

    Args:
        low: the lower bound, perhaps `-inf`.
        high: the upper bound, perhaps `inf`; it takes precedence where `low` is larger.

    State: none. Needs the parameters.

    Raises:
        GradtxTypeError: a parameter is complex.
    """
    return with_facts(
        elementwise(lambda g, p: jnp.clip(ordered(g), low - p, high - p), needs_params=True), is_projection=Extent.ALL
    )


@transformation
def project_sphere():
    r"""Sphere projection: keeps the norm of each array of parameters as it was at first.

    .. math:: p + u = \frac{r}{\lVert p + g \rVert} (p + g), \quad r = \lVert p_0 \rVert

    Within `as_matrices` an array is one matrix. Weight decay has no effect in front of it. Parameters that were 0 at
    first stay 0.

    State: one number for each array, or each matrix. Needs the parameters.

    Reference: Wen, Dang, Lyu, Ma and Liang, "Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball
    Optimization", 2026.
    """

    def init(step: Context, params: Params) -> State:
        leaves = [widened(p) for p in trees.floating_leaves(params, "parameters")]
        return jax.tree.structure(params).unflatten(Each(step.of_matrices).norms(leaves))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        radii = trees.subtrees_like(updates, state, "updates", "state")
        ps = [widened(p) for p in trees.leaves_like(updates, required_params(params, updates), "updates", "parameters")]
        moved = [_moved(g, p) for g, p in zip(jax.tree.leaves(step.safe(trees.widened(updates))), ps, strict=True)]
        lengths = Each(step.of_matrices).norms(moved)
        rows = zip(radii, lengths, moved, ps, strict=True)
        out = [scaled(safe_divide(radius, length), x) - p for radius, length, x, p in rows]
        return jax.tree.structure(updates).unflatten(out), state

    return GradientTransformation._of(Work(init, update, facts=Facts(is_projection=Extent.ALL)))


@transformation
def project_l2_ball(radius: Radius):
    r"""L2 ball projection: keeps the norm of the whole parameter tree at or below `radius`, up to a few roundings.

    .. math:: p + u = (p + g) \min\left(1, \frac{radius}{\lVert p + g \rVert}\right)

    The norm is `gradtx.tree.norm`. Inside the ball the update is unchanged.

    Args:
        radius: the largest norm, perhaps `inf`; 0 moves the parameters to 0.

    State: none. Needs the parameters.
    """

    def update(updates, state, params):
        moved = jax.tree.map(_moved, updates, params)
        norm = tree.norm(moved)
        inside, factor = norm <= radius, weak(safe_divide(radius, norm))

        def projected(g, p, x):
            g, p = align(g, p)
            return jnp.where(inside, g, factor * x - p)

        return jax.tree.map(projected, updates, params, moved), state

    return with_facts(treewise(update, needs_params=True), is_projection=Extent.ALL)


@transformation
def project_simplex(scale: Positive = 1.0, axis: int = -1):
    r"""Simplex projection: keeps each slice of an array along one axis nonnegative, with the sum `scale`.

    .. math:: p + u = \max(p + g - \theta, 0), \quad \textstyle\sum (p + u) = scale

    The threshold :math:`\theta` of each slice is found by sorting, which gives the exact projection. The sum holds up
    to the rounding of its terms.

    Args:
        scale: the sum of each slice.
        axis: the axis along which the slices lie. A 0-d array is a slice of one element, and becomes `scale`.

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
            raise GradtxValueError(f"expected an array with axis {axis} at {path!r}, got the shape {x.shape}")
        along = axis if x.ndim else -1
        return _on_simplex(jnp.atleast_1d(x), scale, along).reshape(x.shape) - align(x, p)[1]

    def update(updates, state, params):
        return trees.map_with_path(projected, updates, params), state

    return with_work(treewise(update, needs_params=True), mixes_axes=True, facts=Facts(is_projection=Extent.ALL))


def _on_simplex(x: Array, scale: Scalar, axis: int) -> Array:
    # The projection is invariant to a shift of the slice; relative to the maximum nothing is lost to rounding.
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
    """The parameter after the update."""
    g, p = align(g, p)
    return g + p


@transformation
def project_qk(threshold: Positive = 100.0, axis: int = -2):
    r"""QK-clip: shrinks the queries and keys of an attention head whose largest logit exceeds a threshold.

    .. math:: p + u = \sqrt{\min\left(1, \frac{threshold}{max\_logits}\right)} (p + g)

    for each head. Give it the weights of queries and keys only, and put it last:
    `masked(project_qk(), by_path({"**/query/kernel": True, "**/key/kernel": True, "**": False}))`. The product of both
    shrinks by the whole factor, so the logits of the next step are near the threshold.

    Args:
        threshold: the largest logit that is left as it is, positive.
        axis: the axis of the heads, counted from the end; axes in front of it may be those of stacked layers.

    State: none. Needs the parameters and the extra argument `max_logits`: for each leaf that it gets, or one for all of
    them, an array of the largest logits with the length of the heads' axis, or with axes that broadcast to those in
    front of it too. Take the largest over the batch, and over all devices.

    Raises:
        GradtxValueError: a leaf does not have the axis, or the logits do not fit.
        GradtxTypeError: `max_logits` is missing.

    Reference: Kimi Team, "Kimi K2: Open Agentic Intelligence", 2025, algorithm 1, for heads that share nothing.
    """
    if isinstance(axis, bool) or not isinstance(axis, int) or axis >= 0:
        raise GradtxValueError(f"axis: expected a negative whole number, counted from the end, got {short(axis)}")

    def update(updates, state, params, *, max_logits: Any):
        shared = jax.tree.structure(max_logits) == jax.tree.structure(0)
        logits = jax.tree.map(lambda g: max_logits, updates) if shared else max_logits

        def projected(path, g, p, largest):
            g, p = align(g, p)
            if g.ndim < -axis:
                raise GradtxValueError(f"the leaf {path!r} of the shape {g.shape} has no axis {axis} of heads")
            heads, largest = g.shape[: g.ndim + axis + 1], jnp.asarray(largest, g.real.dtype)
            fits = len(largest.shape) <= len(heads) and largest.shape[-1:] == heads[-1:]
            if not fits or any(n not in (1, m) for n, m in zip(largest.shape[::-1], heads[::-1], strict=False)):
                raise GradtxValueError(
                    f"max_logits: expected an array for the heads {heads} of the leaf {path!r}, got the shape "
                    f"{largest.shape}"
                )
            factor = jnp.sqrt(threshold / jnp.maximum(largest, threshold))
            factor = jnp.broadcast_to(factor, heads).reshape(heads + (1,) * (-axis - 1))
            return jnp.where(factor == 1, g, times(jnp.broadcast_to(factor, g.shape), g + p) - p)

        return trees.map_with_path(projected, updates, params, logits), state

    return with_work(treewise(update, needs_params=True), mixes_axes=True, facts=Facts(is_projection=Extent.ALL))
