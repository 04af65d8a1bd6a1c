"""Momentum models: steps to where the averaged linear model of the loss meets a lower bound."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.checks import one_number
from gradtx._base.errors import check_state
from gradtx._base.numerics import align, log_of_decay, safe_divide, strong, weak, weighted_mean
from gradtx._base.states import state_class
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.constructors import combinator, required_extra, required_params, with_facts
from gradtx._core.context import Context
from gradtx._core.facts import Extent
from gradtx._core.norms import inner_product
from gradtx._core.protocol import as_transformation, transformation
from gradtx._values.schedule import Decay, NonNegative, Scalar


@state_class
class ModelStep(NamedTuple):
    """The state of `momo_step`.

    Attributes:
        direction: the average of the gradients.
        value: the average of the losses.
        product: the average of the inner products of gradients and parameters.
        log: the sum of the logarithms of the decays.
        bound: the lower bound of the loss.
        denominator: the state of the transform `denominator`.
    """

    direction: Any
    value: Any
    product: Any
    log: Any
    bound: Any
    denominator: Any


@transformation(role="wrapper")
def momo_step(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    denominator: Transform | None = None,
    lower_bound: Scalar = 0.0,
    weight_decay: NonNegative = 0.0,
    adapt_lower_bound: bool = False,
    corrected: bool = True,
):
    r"""Momentum model step (MoMo): Polyak's step size for an average of the linear models of the past steps.

    .. math:: f_t = b f_{t-1} + (1 - b) value_t, \quad d_t = b d_{t-1} + (1 - b) g_t, \quad
        \gamma_t = b \gamma_{t-1} + (1 - b) \langle g_t, p_t \rangle, \quad
        h_t = c (f_t - \gamma_t) + \langle d_t, p_t \rangle, \quad
        \tau_t = \min\left(\frac{learning\_rate}{\rho_t},
            \frac{\max(h_t - c \rho_t l, 0)}{\langle d_t, d_t / D_t \rangle}\right), \quad
        u_t = -\tau_t \frac{d_t}{D_t} - \frac{learning\_rate \cdot weight\_decay}{c} p_t

    where :math:`b = decay`, :math:`c = 1 + learning\_rate \cdot weight\_decay`, inner products are over the whole tree,
    and :math:`\rho_t = 1 - b^t`, or 1 if the averages start from the first values. The output is a descent step: no
    learning rate comes after it.

    Args:
        learning_rate: the largest step size.
        decay: decay of the three averages, in [0, 1).
        denominator: the transform that computes the nonnegative D from the gradients; None means 1.
        lower_bound: l, a lower bound of the loss.
        weight_decay: the multiple of the parameter that is subtracted, per unit of the learning rate.
        adapt_lower_bound: whether to raise the bound where the model shows that it is too low.
        corrected: whether the averages start from 0 and are bias-corrected, or start from the first values.

    State: `ModelStep`: one array per parameter and four scalars, and the state of `denominator`. Needs the parameters
    and the extra argument `value`, the loss at the parameters.

    Raises:
        GradtxValueError: the parameters are missing, or `value` is not a single real number.
        GradtxTypeError: `value` is missing, or not a number.

    Reference: Schaipp, Ohana, Eickenberg, Defazio and Gower, "MoMo: Momentum Models for Adaptive Learning Rates", 2023,
    algorithms 1 and 3, where weight decay also divides the step by c.
    """
    divisor = None if denominator is None else as_transformation(denominator)

    def init(step: Context, params: Params) -> ModelStep:
        wide = trees.widened(params, "parameters")
        value, product, log = (jnp.zeros((), float) for _ in range(3))
        own = () if divisor is None else step.init(divisor, params)
        bound = jnp.full((), lower_bound, float)
        return ModelStep(jax.tree.map(jnp.zeros_like, wide), value, product, log, bound, own)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, ModelStep]:
        value = required_extra(step, "value")
        check_state(ModelStep, state)
        required_params(params, updates)
        treedef = jax.tree.structure(updates)
        columns = [
            jax.tree.leaves(trees.widened(updates)),
            trees.leaves_like(updates, trees.widened(params, "parameters"), "updates", "parameters"),
            trees.leaves_like(updates, state.direction, "updates", "state"),
        ]
        rows = [align(*row) for row in zip(*columns, strict=True)]
        gs, ps, ds = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
        dtype = state.value.dtype

        first = state.log == 0
        mean = weighted_mean(decay) if corrected else weighted_mean(weak(jnp.where(first, 0.0, decay)))
        log = state.log + log_of_decay(decay, dtype)
        rho = -jnp.expm1(log) if corrected else jnp.ones((), dtype)
        loss = mean(state.value, strong(one_number("value", value), dtype))
        product = mean(state.product, strong(inner_product(gs, ps), dtype))
        ds = [mean(d, g) for d, g in zip(ds, gs, strict=True)]
        steps, own = ds, state.denominator
        if divisor is not None:
            scales, own = step.update(divisor, updates, own, params)
            steps = [safe_divide(*align(d, s)) for d, s in zip(ds, treedef.flatten_up_to(scales), strict=True)]

        size, along = strong(inner_product(ds, steps), dtype), strong(inner_product(ds, ps), dtype)
        shrink, bound = 1 + learning_rate * weight_decay, state.bound
        reach = shrink * (loss - product) + along
        if adapt_lower_bound:
            too_low = reach < shrink * rho * bound
            bound = jnp.where(too_low, jnp.maximum(reach / (2 * shrink * rho), lower_bound), bound)
        gap = jnp.maximum(reach - shrink * rho * bound, 0.0)
        tau = jnp.minimum(learning_rate / rho, safe_divide(gap, size))
        if adapt_lower_bound:
            meets = (loss + along - product - 0.5 * tau * size) / rho
            bound = jnp.where(jnp.isfinite(meets), jnp.maximum(meets, lower_bound), bound)

        factor, pull = weak(-tau), learning_rate * weight_decay / shrink
        outputs = [factor * step - pull * p for step, p in zip(steps, ps, strict=True)]
        direction = treedef.unflatten([strong(d, old.dtype) for d, old in zip(ds, columns[2], strict=True)])
        return treedef.unflatten(outputs), ModelStep(direction, loss, product, log, strong(bound, dtype), own)

    return with_facts(combinator(init, update), descends=Extent.ALL)
