"""Extrapolated gradients: evaluated where the momentum leads, not at the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.checks import whole_number
from gradtx._base.errors import check_state
from gradtx._base.numerics import align, strong, weak
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, Transform, Updates
from gradtx._combinators.sharpness import gradient_at
from gradtx._core.constructors import combinator, required_extra, required_params
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation
from gradtx._values.schedule import Decay


@state_class
class Ahead(NamedTuple):
    """The state of `extrapolated_gradient`.

    Attributes:
        momentum: the decaying sum of the steps, in at least float32.
        inner: the state of the inner transform.
    """

    momentum: Any
    inner: Any


@transformation(role="wrapper")
def extrapolated_gradient(inner: Transform, decay: Decay, points: int = 1):
    r"""Extrapolated momentum: accumulates steps of `inner`, which gets the gradient where the momentum alone leads.

    .. math:: v_t = decay \cdot v_{t-1} + inner\left(\frac{1}{n} \textstyle\sum_{k=1}^n
        \nabla L\left(p + \tfrac{k}{n} \, decay \cdot v_{t-1}\right)\right), \quad u_t = v_t

    `update` needs the extra argument `grad_fn`, a function from parameters to gradients:
    `tx.update(grads, state, params, grad_fn=jax.grad(loss))`. The first argument of `update` is not read, so zeros
    suffice. As with `sharpness_aware`, a partition belongs inside.

    Args:
        inner: a transform whose updates are steps, such as `scale_by_learning_rate(1e-3)` or a named optimizer.
        decay: the fraction of the momentum kept per step, in [0, 1).
        points: n, the number of points on the way there over which the gradient is averaged.

    State: `Ahead(momentum, inner)`: one array per parameter, in its dtype or float32 if that is wider. Needs the
    parameters.

    Raises:
        GradtxValueError: the parameters are missing, `points` is not a positive whole number, or `grad_fn` returns
            another structure.
        GradtxTypeError: `grad_fn` is missing.

    Reference: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning",
    2013, equations 3 and 4, for one point.
    """
    inner, points = as_transformation(inner), whole_number("points", points)

    def init(step: Context, params: Params) -> Ahead:
        return Ahead(jax.tree.map(jnp.zeros_like, trees.widened(params, "parameters")), step.init(inner, params))

    def update(step: Context, updates: Updates, state: Ahead, params: Params) -> tuple[Updates, Ahead]:
        grad_fn = required_extra(step, "grad_fn")
        check_state(Ahead, state)
        trees.leaves_like(updates, required_params(params, updates), "updates", "parameters")
        trees.leaves_like(updates, state.momentum, "updates", "state")
        ahead = jax.tree.map(lambda v: decay * v, state.momentum)

        def add_gradient(k: Any, total: Updates) -> Updates:
            part = weak(jnp.asarray(k, float) / points)
            grads = gradient_at(grad_fn, params, jax.tree.map(lambda v: part * v, ahead))
            return jax.tree.map(jnp.add, total, grads)

        total = gradient_at(grad_fn, params, ahead)
        if points > 1:  # a loop that is not unrolled: the program contains grad_fn twice, not n times
            total = jax.lax.fori_loop(1, points, add_gradient, total)
        mean = jax.tree.map(lambda g: g * (1 / points), total)
        steps, new = step.update(inner, mean, state.inner, params)
        momentum = jax.tree.map(_added, ahead, steps)
        return momentum, Ahead(momentum, new)

    return combinator(init, update)


def _added(ahead: Array, step: Array) -> Array:
    wide, step = align(ahead, step)
    return strong(wide + step, ahead.dtype)
