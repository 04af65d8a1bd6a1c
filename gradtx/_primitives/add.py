"""Additions to the update."""

from typing import Any

import jax

from gradtx._base.numerics import align, safe_sqrt, weak
from gradtx._core.constructors import elementwise, treewise
from gradtx._core.protocol import transformation
from gradtx._primitives.random import gaussian, seeded
from gradtx._values.labels import resolve_mask
from gradtx._values.schedule import NonNegative


@transformation
def add_decayed_weights(weight_decay: NonNegative, mask: Any = None):
    r"""Weight decay: adds a multiple of the parameter, before the learning rate where it is decoupled (AdamW).

    .. math:: u = g + weight\_decay \cdot p

    Args:
        weight_decay: the multiple, not negative.
        mask: which parameters decay, all by default: a tree or prefix tree of booleans, or a function of the
            parameters that returns one (`where(lambda path, p: p.ndim > 1)`).

    State: none. Needs the parameters.

    Raises:
        GradtxValueError: the parameters were not given, or the mask does not fit them.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    # A constant 0, the default of many optimizers, then costs nothing: not even reading the parameters.
    none = isinstance(weight_decay, (int, float)) and weight_decay == 0

    def decayed(g, p):
        return g if none else g + weight_decay * p

    if mask is None:
        return elementwise(decayed, needs_params=True)

    def update(updates, state, params):
        leaves, treedef = jax.tree.flatten(updates)
        rows = zip(leaves, jax.tree.leaves(params), resolve_mask(mask, params, updates), strict=True)
        return treedef.unflatten([decayed(*align(g, p)) if keep else g for g, p, keep in rows]), state

    return treewise(update, needs_params=True, is_cheap=True)


@transformation
def add_noise(eta: NonNegative, gamma: NonNegative = 0.55, seed: int = 0):
    r"""Gaussian noise that fades: independent from element to element and from step to step.

    .. math:: u_t = g_t + N(0, \sigma_t^2), \quad \sigma_t^2 = \frac{eta}{(1 + t)^{gamma}}

    with t = 0 at the first update. The same seed gives the same noise, in a loop, in `jit` and in `scan`. Which leaf
    gets which noise depends on the order of the leaves; under `over_layers` all layers get the same, so put it outside.

    Args:
        eta: the variance at the first update; for complex leaves that of both parts together.
        gamma: how fast the variance falls.
        seed: seed of the noise.

    State: a key, two uint32 numbers, and a count, int32.

    Reference: Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015, equation 1.
    Optax begins with t = 1.
    """

    def update(updates, state, params):
        deviation = safe_sqrt(weak(eta / (1 + weak(state.count)) ** gamma))
        noise, state = gaussian(state, updates)
        return jax.tree.map(lambda g, z: g + deviation * z, updates, noise), state

    return treewise(update, lambda params: seeded(seed))
