"""Primitives that add to the updates."""

from typing import Any

import jax

from gradtx._base.checks import seed_number
from gradtx._base.numerics import align, safe_sqrt, weak
from gradtx._core.constructors import elementwise, treewise, with_facts, with_work
from gradtx._core.facts import Extent
from gradtx._core.protocol import transformation
from gradtx._primitives.random import gaussian, seeded
from gradtx._values.labels import resolve_mask
from gradtx._values.schedule import NonNegative


@transformation
def add_decayed_weights(weight_decay: NonNegative, mask: Any = None):
    r"""Weight decay: adds a multiple of the parameter to each update.

    .. math:: u = g + weight\_decay \cdot p

    Decoupled weight decay (AdamW) puts it before the learning rate.

    Args:
        weight_decay: the multiple, nonnegative.
        mask: the parameters that decay, by default all: a tree or prefix tree of booleans, or a function of the
            parameters that returns one (`where(lambda path, p: p.ndim > 1)`).

    State: none. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing, or the mask does not fit them.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    # A constant 0, the default of many optimizers, costs nothing: the parameters are not read.
    is_off = isinstance(weight_decay, (int, float)) and weight_decay == 0

    def decayed(g, p):
        return g if is_off else g + weight_decay * p

    if mask is None:
        return with_facts(elementwise(decayed, needs_params=True), takes_ascent=Extent.ALL)

    def init(params):
        resolve_mask(mask, params, params)  # for its checks
        return ()

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        rows = zip(leaves, jax.tree.leaves(params), resolve_mask(mask, params, updates), strict=True)
        return treedef.unflatten([decayed(*align(g, p)) if keep else g for g, p, keep in rows]), state

    # Cheap: without sums over the arrays, computing it at an inactive step costs less than a branch.
    return with_work(with_facts(treewise(update, init, needs_params=True), takes_ascent=Extent.SOME), is_cheap=True)


@transformation
def add_noise(eta: NonNegative, gamma: NonNegative = 0.55, seed: int = 0):
    r"""Gradient noise: adds Gaussian noise of decaying variance, independent per element and per step.

    .. math:: u_t = g_t + N(0, \sigma_t^2), \quad \sigma_t^2 = \frac{eta}{(1 + t)^{gamma}}

    where t = 0 at the first update. The same seed gives the same noise in a loop, in `jit` and in `scan`. The noise of
    a leaf depends on the order of the leaves. Under `over_layers` all layers get the same noise, so put it outside.

    Args:
        eta: the variance at the first update; for complex leaves, that of real and imaginary part together.
        gamma: the exponent of the decay of the variance.
        seed: the random seed.

    State: a random key, two uint32, and a step count, int32.

    Reference: Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015, equation 1.
    Differs from Optax: t starts at 0, not at 1.
    """
    seed_number("seed", seed)

    def update(updates, state, params):
        deviation = safe_sqrt(weak(eta / (1 + weak(state.count)) ** gamma))
        noise, state = gaussian(state, updates)
        return jax.tree.map(lambda g, z: g + deviation * z, updates, noise), state

    return treewise(update, lambda params: seeded(seed))
