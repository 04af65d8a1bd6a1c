"""Mechanic: a learned scale of the updates of any transform."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.checks import whole_number
from gradtx._base.errors import check_state
from gradtx._base.numerics import align, safe_divide, safe_sqrt, strong, weak
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator, required_params, with_facts
from gradtx._core.context import Context
from gradtx._core.norms import inner_product, norm
from gradtx._core.protocol import as_transformation, transformation
from gradtx._values.schedule import NonNegative, Positive


@state_class
class Mechanized(NamedTuple):
    """The state of `mechanize`. The vectors have one element per decay.

    Attributes:
        start: the initial parameters.
        scales: the scales, whose sum multiplies the updates.
        largest: the decaying maximum of the evidence.
        variance: the decaying sum of squared evidence.
        reward: the decaying sum of evidence, weighted by the scales.
        inner: the state of the inner transform.
    """

    start: Any
    scales: Any
    largest: Any
    variance: Any
    reward: Any
    inner: Any


@transformation(role="wrapper")
def mechanize(
    inner: Transform,
    weight_decay: NonNegative = 1e-2,
    eps: NonNegative = 1e-8,
    s_init: Positive = 1e-6,
    num_betas: int = 6,
):
    r"""Mechanic: learns a scale for the sum of the updates of a transform, whose learning rate then needs no tuning.

    .. math:: \Delta_t = \frac{p_t - p_1}{S_{t-1} + eps}, \quad
        h_t = -\left\langle \Delta_t, g_t + weight\_decay \cdot S_{t-1}
            \frac{\lVert g_t \rVert}{\lVert p_t \rVert + eps} p_t \right\rangle, \quad
        u_t = p_1 + S_t (\Delta_t + inner(g_t)) - p_t

    where :math:`S_t` is the sum over the decays :math:`b = 1 - 10^{-i}`, i from 1 to `num_betas`, of

    .. math:: r_t = b r_{t-1} + s_{t-1} \, \mathrm{clip}(h_t, m_{t-1}), \quad m_t = \max(b m_{t-1}, |h_t| + eps), \quad
        v_t = b^2 v_{t-1} + h_t^2, \quad
        s_t = \frac{(s\_init / num\_betas) m_t + \max(r_t, 0)}{\sqrt{v_t} + eps}

    and inner products and norms are over the whole tree.

    Args:
        inner: the transform, with a learning rate of 1 or any schedule.
        weight_decay: how strongly large parameters reduce the scale.
        eps: keeps quotients finite.
        s_init: the initial scale.
        num_betas: the number of decays.

    State: `Mechanized`: one array per parameter, four scalars per decay, and the state of `inner`. Needs the
    parameters; for half-precision parameters wrap it in `master_weights`, or the first steps are rounded away.

    Reference: Cutkosky, Defazio and Mehta, "Mechanic: A Learning Rate Tuner", 2023, algorithm 1; the sum of updates is
    recomputed from the parameters instead of being stored.
    """
    inner, num_betas = as_transformation(inner), whole_number("num_betas", num_betas)
    decays = [1 - 10.0**-i for i in range(1, num_betas + 1)]

    def init(step: Context, params: Params) -> Mechanized:
        def vector(x: Any) -> Array:
            return jnp.full(num_betas, x, float)

        start = jax.tree.map(jnp.copy, trees.widened(params, "parameters"))
        return Mechanized(start, vector(s_init), vector(0.0), vector(0.0), vector(0.0), step.init(inner, params))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, Mechanized]:
        check_state(Mechanized, state)
        moves, inner_state = step.update(inner, updates, state.inner, required_params(params, updates))
        treedef = jax.tree.structure(updates)
        columns = [
            jax.tree.leaves(trees.widened(updates)),
            trees.leaves_like(updates, trees.widened(params, "parameters"), "updates", "parameters"),
            trees.leaves_like(updates, state.start, "updates", "state"),
            trees.leaves_like(updates, moves, "updates", "updates of the inner transform"),
        ]
        rows = [align(*row) for row in zip(*columns, strict=True)]
        gs, ps, starts, us = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [])
        dtype, beta = state.scales.dtype, jnp.asarray(decays, state.scales.dtype)

        total = jnp.sum(state.scales)
        to_offset = weak(safe_divide(1.0, total + eps))
        offsets = [to_offset * (p - start) for p, start in zip(ps, starts, strict=True)]
        pull = weak(weight_decay * total * safe_divide(strong(norm(gs), dtype), strong(norm(ps), dtype) + eps))
        evidence = -strong(inner_product(offsets, [g + pull * p for g, p in zip(gs, ps, strict=True)]), dtype)
        clipped = jnp.clip(evidence, -state.largest, state.largest)
        reward = beta * state.reward + state.scales * clipped
        largest = jnp.maximum(beta * state.largest, jnp.abs(evidence) + eps)
        variance = beta**2 * state.variance + evidence**2
        bets = s_init / num_betas * largest + jnp.maximum(reward, 0.0)
        scales = safe_divide(bets, safe_sqrt(variance) + eps)

        factor = weak(jnp.sum(scales))
        rows = zip(starts, offsets, us, ps, strict=True)
        outputs = [(start - p) + factor * (offset + u) for start, offset, u, p in rows]
        new = Mechanized(state.start, scales, largest, variance, reward, inner_state)
        return treedef.unflatten(outputs), new

    return with_facts(combinator(init, update), keeps_params=True)
