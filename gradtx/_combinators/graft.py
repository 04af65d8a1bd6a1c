"""Direction and magnitude from two transforms."""

import jax

from gradtx._base.errors import inner_in_dict
from gradtx._base.numerics import safe_divide, widened
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.constructors import combinator
from gradtx._core.context import Context
from gradtx._core.identity import identity
from gradtx._core.norms import Each, scaled
from gradtx._core.protocol import as_transformation, transformation


@transformation(role="side by side")
def graft(direction: Transform, magnitude: Transform):
    r"""Grafting: the direction of one transform, with the norm of another, for each array.

    .. math:: u = \frac{\lVert m(g) \rVert}{\lVert d(g) \rVert} d(g)

    Where the direction is 0, so is the update. Within `as_matrices` an array is one matrix.

    Args:
        direction: the transform d.
        magnitude: the transform m.

    State: a tuple with the states of the two. Nothing of its own.

    Reference: Agarwal, Anil, Hazan, Koren and Zhang, "Disentangling Adaptive Gradient Methods from Learning Rates",
    2020, algorithm 1.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, g = graft(direction=sign(), magnitude=identity()), jnp.asarray([-3.0, 4.0])
        >>> print(tx.update(g, tx.init(g))[0])  # of the norm 5
        [-3.535534  3.535534]
    """
    both = as_transformation(direction), as_transformation(magnitude)

    def init(step: Context, params: Params) -> State:
        return tuple(step.init(tx, params) for tx in both)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        (ours, first), (theirs, second) = (
            step.update(tx, updates, own, params) for tx, own in zip(both, state, strict=True)
        )
        ds, ms = ([widened(x) for x in jax.tree.leaves(tree)] for tree in (ours, theirs))
        each = Each(step.of_matrices)
        by = [safe_divide(wanted, length) for length, wanted in zip(each.norms(ds), each.norms(ms), strict=True)]
        return jax.tree.structure(ours).unflatten(list(map(scaled, by, ds))), (first, second)

    return combinator(init, update)


@transformation
def keep_norm(inner: Transform):
    r"""The norm of what comes in: rescales each array that a transform gives to the norm of its input.

    .. math:: u = \frac{\lVert g \rVert}{\lVert i(g) \rVert} i(g)

    Args:
        inner: the transform i.

    State: a tuple with the state of `inner` first. Nothing of its own.
    """
    return graft(inner, identity())


@transformation(role="wrapper")
def scale_by_dual_norm(inner: Transform):
    r"""Dual norm: multiplies what a transform gives by its inner product with the gradient, for each array.

    .. math:: u = \langle g, i(g) \rangle \, i(g)

    For `orthogonalize` that is the sum of the singular values, and the update is the steepest descent in the spectral
    norm; for `sign` it is the sum of the magnitudes. Within `as_matrices` an array is one matrix.

    Args:
        inner: the transform i.

    State: a dict with the state of `inner`. Nothing of its own.

    Reference: Lau, Long and Su, "PolarGrad: A Class of Matrix-Gradient Optimizers from a Unifying Preconditioning
    Perspective", 2025, section 3.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        return {"inner": step.init(inner, params)}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        out, new = step.update(inner, updates, inner_in_dict(state), params)
        gs, us = ([widened(x) for x in jax.tree.leaves(tree)] for tree in (updates, out))
        by = Each(step.of_matrices).inner_products(gs, us)
        return jax.tree.structure(out).unflatten(list(map(scaled, by, us))), {"inner": new}

    return combinator(init, update)
