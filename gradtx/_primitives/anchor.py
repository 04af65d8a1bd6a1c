"""Primitives that read the current or the initial parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.numerics import root_of_sum, safe_divide, strong, weak
from gradtx._base.states import state_class
from gradtx._core.constructors import elementwise, memory, treewise, with_facts
from gradtx._core.norms import distance, norm
from gradtx._core.protocol import transformation
from gradtx._primitives.rescaling import rescaling
from gradtx._values.schedule import NonNegative


@transformation
def current_params():
    """Current parameters: replaces the updates by the parameters.

    .. math:: u_t = p_t

    State: none. Needs the parameters.
    """
    return with_facts(elementwise(lambda g, p: p, needs_params=True), keeps_sign=False)


@transformation
def initial_params():
    """Initial parameters: replaces the updates by the parameters at `init`.

    .. math:: u_t = p_1

    State: one array per parameter, in its dtype or float32 if that is wider.
    """
    tx = memory(
        init=lambda p: p,
        step=lambda g, first, p: first,
        encoded=False,
    )
    return with_facts(tx, keeps_sign=False)


@state_class
class Travelled(NamedTuple):
    """The state of `max_distance_from_init`.

    Attributes:
        start: the initial parameters.
        distance: the largest distance from the initial parameters so far.
    """

    start: Any
    distance: Any


@transformation
def max_distance_from_init(initial_value: NonNegative = 1e-6, relative: bool = True):
    r"""Distance from initialization: replaces every element by the largest distance of the parameters from their start.

    .. math:: r_t = \max(r_{t-1}, \lVert p_t - p_1 \rVert), \quad u_t = r_t, \quad
        r_0 = initial\_value \cdot (1 + \lVert p_1 \rVert)

    The norm is over the whole tree.

    Args:
        initial_value: the distance before the first step.
        relative: whether `initial_value` is in units of :math:`1 + \lVert p_1 \rVert`.

    State: one array per parameter, and one scalar. Needs the parameters.
    """

    def init(params):
        copies = jax.tree.map(jnp.copy, params)
        unit = 1 + norm(jax.tree.leaves(copies)) if relative else jnp.ones(())
        return Travelled(copies, strong(initial_value * unit, jnp.zeros((), float).dtype))

    def update(updates, state, params):
        starts = trees.leaves_like(updates, state.start, "updates", "state")
        now = trees.leaves_like(updates, params, "updates", "parameters")
        largest = jnp.maximum(state.distance, strong(distance(now, starts), state.distance.dtype))
        spread = jax.tree.map(lambda g: weak(largest) * jnp.ones_like(g.real), updates)
        return spread, state._replace(distance=largest)

    return treewise(update, init, needs_params=True)


@transformation
def scale_by_global_rss(eps: NonNegative = 0.0, eps_root: NonNegative = 0.0):
    r"""AdaGrad-Norm: divides the whole tree by the root of the sum of all squared norms so far.

    .. math:: s_t = s_{t-1} + \lVert g_t \rVert^2, \quad u_t = \frac{g_t}{\sqrt{s_t + eps\_root} + eps}

    The state is the root of the sum, so that no square overflows or underflows.

    Args:
        eps: added outside the root.
        eps_root: added inside the root.

    State: one scalar.

    Reference: Streeter and McMahan, "Less Regret via Online Conditioning", 2010; AdaGrad with one scalar for all
    parameters.
    """

    def factor(norm, total):
        new = strong(jnp.hypot(total, strong(norm, total.dtype)), total.dtype)
        return weak(safe_divide(1.0, root_of_sum(new, eps_root) + eps)), new

    return rescaling(factor, lambda params: jnp.zeros((), float))
