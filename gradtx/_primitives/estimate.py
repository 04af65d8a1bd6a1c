"""D-Adaptation and Prodigy: Adam with an estimate of the distance to the minimum.

The estimate scales the gradients before they enter the accumulators, and is computed from these accumulators. Because
of this feedback neither is an expression over other transforms.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.numerics import abs_square, align, log_of_decay, safe_divide, safe_sqrt, strong, weak, weighted_mean
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, Updates
from gradtx._core.constructors import treewise, with_facts
from gradtx._core.facts import Extent
from gradtx._core.norms import inner_product
from gradtx._core.protocol import transformation
from gradtx._values.schedule import Decay, NonNegative, Positive


@state_class
class Estimated(NamedTuple):
    """The state of `scale_by_dadapt` and `scale_by_prodigy`.

    Attributes:
        distance: the estimated distance to the minimum.
        evidence: the averaged inner product from which the estimate is computed.
        logs: the sums of the logarithms of both decays.
        first: the first moment, of weighted gradients.
        second: the second moment.
        total: the average of weighted gradients.
        start: the initial parameters; None where they are not needed.
    """

    distance: Any
    evidence: Any
    logs: Any
    first: Any
    second: Any
    total: Any
    start: Any = None


@transformation
def scale_by_dadapt(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    learning_rate: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
):
    r"""D-Adaptation: replaces gradients by Adam steps with decoupled weight decay and an estimated learning rate.

    .. math:: a_t = learning\_rate \cdot d_{t-1} \frac{\sqrt{1 - b_2^t}}{1 - b_1^t}, \quad
        m_t = b_1 m_{t-1} + (1 - b_1) a_t g_t, \quad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad
        r_t = b_3 r_{t-1} + (1 - b_3) a_t \left\langle g_t, \frac{s_{t-1}}{\sqrt{v_{t-1}} + eps} \right\rangle, \quad
        s_t = b_3 s_{t-1} + (1 - b_3) a_t g_t, \quad
        d_t = \max\left(d_{t-1}, \frac{r_t}{(1 - b_3) \lVert s_t \rVert_1}\right), \quad
        u_t = -\frac{m_t}{\sqrt{v_t} + eps} - a_t \cdot weight\_decay \cdot p_t

    where :math:`b_3 = \sqrt{b_2}`, and inner product and norm are over the whole tree. The output is a descent step: no
    learning rate comes after it.

    Args:
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        estim_lr0: the initial estimate.
        learning_rate: a factor on the estimate.
        weight_decay: the multiple of the parameter that is subtracted, per unit of :math:`a_t`.

    State: three arrays per parameter, and four scalars. Needs the parameters.

    Reference: see `dadapt_adamw`.
    """
    first_mean, second_mean, b3 = weighted_mean(b1), weighted_mean(b2), b2**0.5
    total_mean = weighted_mean(b3)

    def update(updates: Updates, state: Estimated, params: Params) -> tuple[Updates, Estimated]:
        gs, (ms, vs, ss), ps = _leaves(updates, params, state.first, state.second, state.total)
        correction, logs = _corrections(state.logs, b1, b2)
        rate = weak(learning_rate * state.distance * correction)
        ahead = [safe_divide(s, safe_sqrt(v) + eps) for s, v in zip(ss, vs, strict=True)]
        evidence = total_mean(state.evidence, strong(rate * inner_product(gs, ahead), state.evidence.dtype))
        ms = [first_mean(m, rate * g) for m, g in zip(ms, gs, strict=True)]
        vs = [second_mean(v, abs_square(g)) for v, g in zip(vs, gs, strict=True)]
        ss = [total_mean(s, rate * g) for s, g in zip(ss, gs, strict=True)]
        distance = _larger(state.distance, evidence, (1 - b3) * _absolute_sum(ss))
        outputs = [
            -safe_divide(m, safe_sqrt(v) + eps) - rate * weight_decay * p for m, v, p in zip(ms, vs, ps, strict=True)
        ]
        return _packed(updates, outputs, state._replace(distance=distance, evidence=evidence, logs=logs), ms, vs, ss)

    tx = treewise(update, lambda params: _begin(params, estim_lr0), needs_params=True)
    return with_facts(tx, descends=Extent.ALL)


@transformation
def scale_by_prodigy(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    beta3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    estim_lr_coef: NonNegative = 1.0,
    learning_rate: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    safeguard_warmup: bool = False,
):
    r"""Prodigy: replaces gradients by Adam steps with decoupled weight decay and an estimated learning rate.

    .. math:: a_t = learning\_rate \cdot d_{t-1} \frac{\sqrt{1 - b_2^t}}{1 - b_1^t}, \quad
        m_t = b_1 m_{t-1} + (1 - b_1) d_{t-1} g_t, \quad v_t = b_2 v_{t-1} + (1 - b_2) d_{t-1}^2 |g_t|^2, \quad
        r_t = \beta_3 r_{t-1} + a_t d_{t-1} \langle g_t, p_1 - p_t \rangle, \quad
        s_t = \beta_3 s_{t-1} + a_t d_{t-1} g_t, \quad
        d_t = \max\left(d_{t-1}, \frac{estim\_lr\_coef \cdot r_t}{\lVert s_t \rVert_1}\right), \quad
        u_t = -a_t \left(\frac{m_t}{\sqrt{v_t} + d_t \cdot eps} + weight\_decay \cdot p_t\right)

    where inner product and norm are over the whole tree. The output is a descent step: no learning rate comes after it.

    Args:
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).
        beta3: decay of the evidence, in [0, 1); None means the root of `b2`.
        eps: added outside the root, in units of the estimate.
        estim_lr0: the initial estimate.
        estim_lr_coef: a factor on the evidence.
        learning_rate: a factor on the estimate.
        weight_decay: the multiple of the parameter that is subtracted, per unit of :math:`a_t`.
        safeguard_warmup: whether :math:`s_t` uses :math:`d_{t-1}` in place of :math:`a_t`, for learning rate warmup.

    State: four arrays per parameter, and four scalars. Needs the parameters.

    Reference: see `prodigy`.
    """
    first_mean, second_mean = weighted_mean(b1), weighted_mean(b2)
    b3 = b2**0.5 if beta3 is None else beta3

    def update(updates: Updates, state: Estimated, params: Params) -> tuple[Updates, Estimated]:
        gs, (ms, vs, ss, starts), ps = _leaves(updates, params, state.first, state.second, state.total, state.start)
        correction, logs = _corrections(state.logs, b1, b2)
        old = weak(state.distance)
        rate = weak(learning_rate * state.distance * correction)
        way = [first - p for first, p in zip(starts, ps, strict=True)]
        news = rate * old * inner_product(gs, way)
        evidence = b3 * state.evidence + strong(news, state.evidence.dtype)
        weight = (old if safeguard_warmup else rate) * old
        weighted = [old * g for g in gs]
        ms = [first_mean(m, g) for m, g in zip(ms, weighted, strict=True)]
        vs = [second_mean(v, abs_square(g)) for v, g in zip(vs, weighted, strict=True)]
        ss = [b3 * s + weight * g for s, g in zip(ss, gs, strict=True)]
        distance = _larger(state.distance, estim_lr_coef * evidence, _absolute_sum(ss))
        floor = weak(distance * eps)
        outputs = [
            -rate * (safe_divide(m, safe_sqrt(v) + floor) + weight_decay * p)
            for m, v, p in zip(ms, vs, ps, strict=True)
        ]
        return _packed(updates, outputs, state._replace(distance=distance, evidence=evidence, logs=logs), ms, vs, ss)

    def init(params: Params) -> Estimated:
        return _begin(params, estim_lr0)._replace(start=jax.tree.map(jnp.copy, params))

    return with_facts(treewise(update, init, needs_params=True), descends=Extent.ALL)


def _begin(params: Params, distance: Any) -> Estimated:
    def scalar(x: Any) -> Array:
        return jnp.full((), x, float)

    return Estimated(
        distance=scalar(distance),
        evidence=scalar(0.0),
        logs=jnp.zeros(2, float),
        first=jax.tree.map(jnp.zeros_like, params),
        second=jax.tree.map(lambda p: jnp.zeros_like(p.real), params),
        total=jax.tree.map(jnp.zeros_like, params),
    )


def _leaves(updates: Updates, params: Params, *accumulators: Any) -> tuple[list, list[list], list]:
    """The leaves of all trees, those of each parameter aligned to one precision."""
    columns = [trees.leaves_like(updates, accumulator, "updates", "state") for accumulator in accumulators]
    ps = trees.leaves_like(updates, params, "updates", "parameters")
    rows = [align(*row) for row in zip(jax.tree.leaves(updates), ps, *columns, strict=True)]
    gs, ps, *aligned = map(list, zip(*rows, strict=True)) if rows else ([] for _ in range(2 + len(accumulators)))
    return gs, aligned, ps


def _corrections(logs: Array, b1: Any, b2: Any) -> tuple[Array, Array]:
    """The bias correction factor of Adam's two moments, and the new sums of logarithms."""
    logs = logs + jnp.stack([jnp.asarray(log_of_decay(b, logs.dtype), logs.dtype) for b in (b1, b2)])
    first, second = -jnp.expm1(logs)
    return safe_divide(safe_sqrt(second), first), logs


def _absolute_sum(arrays: list[Array]) -> Array:
    sums = [strong(jnp.sum(safe_sqrt(abs_square(x)) if jnp.iscomplexobj(x) else jnp.abs(x)), float) for x in arrays]
    return jnp.stack(sums).sum() if sums else jnp.zeros((), float)


def _larger(distance: Array, evidence: Array, size: Array) -> Array:
    """The larger of the estimate and the quotient; a quotient that is not finite is ignored."""
    quotient = strong(safe_divide(evidence, strong(size, evidence.dtype)), distance.dtype)
    return jnp.where(jnp.isfinite(quotient), jnp.maximum(distance, quotient), distance)


def _packed(
    updates: Updates, outputs: list[Array], state: Estimated, ms: list[Array], vs: list[Array], ss: list[Array]
) -> tuple[Updates, Estimated]:
    """The outputs as a tree, and the state with the new accumulators in the dtypes of the old ones."""
    pack = jax.tree.structure(updates).unflatten

    def like(old: Any, new: list[Array]) -> Any:
        parts = trees.leaves_like(updates, old, "updates", "state")
        return pack([strong(x, o.dtype) for x, o in zip(new, parts, strict=True)])

    new = state._replace(first=like(state.first, ms), second=like(state.second, vs), total=like(state.total, ss))
    return pack(outputs), new
