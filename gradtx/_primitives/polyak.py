"""The step size of Polyak: how far the loss is from its minimum, over the square of the slope."""

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base.checks import one_number
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import safe_divide, weak
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation
from gradtx._values.schedule import NonNegative, Scalar

_GAPS = {"sps": lambda gap: gap, "sps+": lambda gap: jnp.maximum(gap, 0.0)}


@transformation
def scale_by_polyak(
    f_min: Scalar = 0.0, max_learning_rate: NonNegative = 1.0, eps: NonNegative = 0.0, variant: str = "sps"
):
    r"""Polyak's step size, which needs the value of the loss: to its minimum in one step, were the loss a cone.

    .. math:: u = \min\left(\frac{value - f\_min}{\lVert g \rVert^2 + eps}, max\_learning\_rate\right) g

    A zero gradient gives a zero update, and any other is divided by its norm twice, and never by its square, so that
    gradients of 1e-30 and 1e25 do not overflow. Optax takes the step 0 wherever the square is below 1e-7.

    Args:
        f_min: the smallest value of the loss, or a guess of it; 0 for models that can fit all examples.
        max_learning_rate: the largest step size.
        eps: added to the square of the norm.
        variant: "sps", or "sps+", for which a value below `f_min` counts as `f_min`.

    State: none. Needs the extra argument `value`, the loss at the parameters.

    Raises:
        GradtxValueError: the variant is none of these, or `value` is not a single real number.
        GradtxTypeError: `value` was not given, or is no number.

    Reference: Loizou, Vaswani, Laradji and Lacoste-Julien, "Stochastic Polyak Step-size for SGD: An Adaptive Learning
    Rate for Fast Convergence", 2021, equation 4; "sps+" is Garrigos, Gower and Schaipp, "Function Value Learning:
    Adaptive Learning Rates Based on the Polyak Stepsize and Function Splitting in ERM", 2023, without a largest step.
    """
    if variant not in _GAPS:
        raise GradtxValueError(f"variant must be one of {', '.join(map(repr, _GAPS))}, got {variant!r}")

    def update(updates, state, params, *, value):
        norm = weak(tree.global_norm(updates))
        inverse = safe_divide(1.0, norm)
        gap = _GAPS[variant](weak(one_number("value", value)) - f_min)
        # How long the update shall be; eps over the norm, because that is divided by once here and once below.
        length = jnp.minimum(safe_divide(gap, norm + eps * inverse), max_learning_rate * norm)
        return jax.tree.map(lambda g: length * (inverse * g), updates), state

    return treewise(update)
