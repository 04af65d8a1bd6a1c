"""Normalization: multiplies each array, or the whole tree, by one scalar that depends on norms.

The norms are `gradtx.tree.norm`, in at least float32 and safe from overflow. An array is one leaf of the tree;
for layers stacked in one array, `over_layers` makes it one layer.
"""

import jax
import jax.numpy as jnp

from gradtx._base.errors import wrong_state
from gradtx._base.numerics import root_of_sum, safe_divide, safe_sqrt, strong, weak
from gradtx._core.constructors import treewise
from gradtx._core.norms import norms
from gradtx._core.protocol import transformation
from gradtx._primitives.rescaling import rescaling, rescaling_each
from gradtx._values.schedule import Decay, NonNegative


@transformation
def scale_by_trust_ratio(min_norm: NonNegative = 0.0, trust_coefficient: NonNegative = 1.0, eps: NonNegative = 0.0):
    r"""Trust ratio: scales each array to the norm of its parameter, times `trust_coefficient`.

    .. math:: u = trust\_coefficient \frac{\max(\lVert p \rVert, min\_norm)}{\max(\lVert g \rVert, min\_norm) + eps} g

    Where either norm is 0 the ratio is 1. Under `over_layers` the norms are per layer.

    Args:
        min_norm: lower bound of both norms.
        trust_coefficient: a factor on the norm of the parameter.
        eps: added to the norm of the update.

    State: none. Needs the parameters.

    Reference: You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017, equation 6.
    """

    def factor(change, whole):
        whole, change = jnp.maximum(whole, min_norm), jnp.maximum(change, min_norm)
        ratio = trust_coefficient * safe_divide(whole, change + eps)
        return jnp.where((whole == 0) | (change == 0), 1.0, ratio)

    return rescaling_each(lambda each, gs, ps: list(map(factor, each.norms(gs), each.norms(ps))), needs_params=True)


@transformation
def scale_by_param_norm(min_norm: NonNegative = 1e-3):
    r"""Parameter norm: multiplies each array by the norm of its parameter.

    .. math:: u = \max(\lVert p \rVert, min\_norm) \, g

    Under `over_layers` the norm is per layer.

    Args:
        min_norm: lower bound of the norm, so that parameters can leave 0.

    State: none. Needs the parameters.

    Reference: the same as `scale_by_trust_ratio`, without the norm of the update; Optax's `scale_by_param_block_norm`.
    """
    return rescaling_each(
        lambda each, gs, ps: [jnp.maximum(length, min_norm) for length in each.norms(ps)], needs_params=True
    )


@transformation
def scale_by_param_rms(min_scale: NonNegative = 1e-3):
    r"""Parameter RMS: multiplies each array by the root mean square of its parameter, for relative updates.

    .. math:: u = \max(\mathrm{rms}(p), min\_scale) \, g

    Under `over_layers` the root mean square is per layer.

    Args:
        min_scale: lower bound of the root mean square, so that parameters can leave 0.

    State: none. Needs the parameters.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, section 8;
    Optax's `scale_by_param_block_rms`.
    """

    def factors(each, gs, ps):
        rows = zip(each.norms(ps), each.sizes(ps), strict=True)
        return [jnp.maximum(length * size**-0.5, min_scale) for length, size in rows]

    return rescaling_each(factors, needs_params=True)


@transformation
def scale_by_norm_ema(decay: Decay, eps: NonNegative = 1e-6, eps_root: NonNegative = 0.0):
    r"""Norm average (NovoGrad): divides each array by an average of its norms, with one scalar of state per array.

    .. math:: v_t = decay \cdot v_{t-1} + (1 - decay) \lVert g_t \rVert^2, \quad v_1 = \lVert g_1 \rVert^2, \quad
        u_t = \frac{g_t}{\sqrt{v_t + eps\_root} + eps}

    Under `over_layers` there is one scalar per layer.

    Args:
        decay: the fraction of the average kept per step, in [0, 1).
        eps: added outside the root.
        eps_root: added inside the root.

    State: one scalar per array, the root of v, in the parameter's precision, at least float32; -1 before the first
    update.

    Reference: Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep
    Networks", 2019, algorithm 1. Storing the root instead of the square is ours: squares overflow.
    """

    def means(gs, lasts):
        nows = [strong(length, last.dtype) for length, last in zip(norms(gs), lasts, strict=True)]
        old, new = safe_sqrt(weak(decay)), safe_sqrt(weak(1 - decay))
        both = norms([jnp.stack([old * last, new * now]) for last, now in zip(lasts, nows, strict=True)])
        return [jnp.where(last < 0, now, mean) for last, now, mean in zip(lasts, nows, both, strict=True)]

    def init(params):
        return jax.tree.map(lambda p: jnp.full((), -1.0, p.real.dtype), params)

    def update(updates, state, params):
        if jax.tree.structure(state) != jax.tree.structure(updates):
            raise wrong_state("one scalar for each array of the updates", state)
        leaves, treedef = jax.tree.flatten(updates)
        roots = means(leaves, jax.tree.leaves(state))
        outputs = [
            weak(safe_divide(1.0, root_of_sum(v, eps_root) + eps)) * g for v, g in zip(roots, leaves, strict=True)
        ]
        return treedef.unflatten(outputs), treedef.unflatten(roots)

    return treewise(update, init)


@transformation
def normalize_by_global_norm(eps: NonNegative = 0.0):
    r"""Global normalization: divides the whole tree by its norm; every update has norm 1, and 0 stays 0.

    .. math:: u = \frac{g}{\lVert g \rVert + eps}

    Args:
        eps: added to the norm; updates of a much smaller norm stay small.

    State: none.

    Reference: Nesterov, "Introductory Lectures on Convex Optimization", 2004, section 3.2.3. Optax's
    `normalize_by_update_norm` has eps=1e-6.
    """
    return rescaling(lambda norm, state: (weak(safe_divide(1.0, norm + eps)), state))


@transformation
def normalize_by_block_norm(eps: NonNegative = 0.0):
    r"""Normalization per array: divides each array by its norm, and 0 stays 0.

    .. math:: u = \frac{g}{\lVert g \rVert + eps}

    The same as `normalize_by_global_norm`, but per array; within `as_matrices` per matrix.

    Args:
        eps: added to the norm.

    State: none.

    Reference: Bernstein, Vahdat, Yue and Liu, "On the Distance between Two Neural Networks and the Stability of
    Learning", 2020, section 5.
    """
    return rescaling_each(lambda each, gs, ps: [safe_divide(1.0, length + eps) for length in each.norms(gs)])


@transformation
def centralize():
    r"""Gradient centralization: subtracts from each output channel of a matrix or kernel its mean.

    .. math:: u = g - \mathrm{mean}(g)

    The mean is over all axes but the last, which counts the output channels in Flax, of arrays with at least two axes;
    other arrays are unchanged. Differs from Optax, which keeps the first axis.

    State: none.

    Reference: Yong, Huang, Hua and Zhang, "Gradient Centralization: A New Optimization Technique for Deep Neural
    Networks", 2020, equation 1.
    """

    def centred(g):
        return g if g.ndim < 2 or g.size == 0 else g - jnp.mean(g, tuple(range(g.ndim - 1)), keepdims=True)

    return treewise(lambda updates, state, params: (jax.tree.map(centred, updates), state))
