"""Sharpness-aware minimization: gradients at perturbed parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, inner_in_dict
from gradtx._base.numerics import align, safe_divide, strong, weak
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator, required_extra, required_params
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation
from gradtx._core.updates import apply_updates
from gradtx._values.schedule import NonNegative


@transformation(role="wrapper")
def sharpness_aware(inner: Transform, rho: NonNegative = 0.05, adaptive: bool = False):
    r"""Sharpness-aware minimization (SAM): gives the inner transform the gradient at parameters moved a step uphill.

    .. math:: \hat g = \nabla L\left(p + rho \frac{g}{\lVert g \rVert}\right), \quad
        \text{adaptive: } \hat g = \nabla L\left(p + rho \frac{|p|^2 g}{\lVert |p| g \rVert}\right)

    The norms are over the whole tree. Where the gradient is 0, nothing is perturbed.

    `update` needs the extra argument `grad_fn`, a function from parameters to gradients:
    `tx.update(grads, state, params, grad_fn=jax.grad(loss))`. The function gets all parameters that this transform
    sees; inside a `partition` that is one group, with None for the others, so put the partition inside.

    Args:
        inner: the transform of the gradients at the perturbed parameters.
        rho: the size of the step uphill.
        adaptive: whether to perturb each element in proportion to its magnitude, so that rescaled weights are perturbed
            alike (ASAM).

    State: a dict with the state of `inner`. Nothing of its own. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing, or `grad_fn` returns another structure.
        GradtxTypeError: `grad_fn` is missing.

    Reference: Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving
    Generalization", 2021, equation 2; Kwon, Kim, Park and Choi, "ASAM", 2021, except that elements of size 0 are not
    perturbed, instead of adding a constant to each.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> tx, p = sharpness_aware(sgd(0.1), rho=0.5), jnp.asarray([1.0, 0.0])
        >>> gradient = jax.grad(lambda p: jnp.sum(p**2))
        >>> print(tx.update(gradient(p), tx.init(p), p, grad_fn=gradient)[0])  # of the gradient at [1.5, 0]
        [-0.3 -0. ]
    """
    inner = as_transformation(inner)

    def sized(updates: Updates, params: Params) -> Updates:
        return jax.tree.map(_times_size, updates, params) if adaptive else updates

    def init(step: Context, params: Params) -> State:
        return {"inner": step.init(inner, params)}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        grad_fn = required_extra(step, "grad_fn")
        trees.leaves_like(updates, required_params(params, updates), "updates", "parameters")
        uphill = sized(updates, params)
        factor = weak(safe_divide(rho, tree.norm(uphill)))
        offset = sized(jax.tree.map(lambda g: factor * g, trees.widened(uphill)), params)
        grads = gradient_at(grad_fn, params, offset)
        updates, new = step.update(inner, grads, inner_in_dict(state), params)
        return updates, {"inner": new}

    return combinator(init, update)


def _times_size(g: Array, p: Array) -> Array:
    g, p = align(g, jnp.asarray(p))
    return g * strong(jnp.abs(p), g.dtype)


def gradient_at(grad_fn: Callable[[Params], Updates], params: Params, step: Updates) -> Updates:
    """The gradient, in at least 32 bits, at `params + step`, where the parameters keep their dtypes."""
    if not callable(grad_fn):
        raise GradtxTypeError(f"grad_fn: expected a function of the parameters that returns gradients, got {grad_fn!r}")
    grads = grad_fn(apply_updates(params, step))
    trees.leaves_like(step, grads, "updates", "gradients of grad_fn")
    return trees.widened(grads)
