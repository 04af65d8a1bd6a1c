"""Polyak's step size: the gap between the loss and its minimum, over the squared gradient norm."""

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
    r"""Polyak step size: scales the gradient by the gap between loss and minimum, over the squared gradient norm.

    .. math:: u = \min\left(\frac{value - f\_min}{\lVert g \rVert^2 + eps}, max\_learning\_rate\right) g

    If the loss is a cone, one step reaches its minimum. A zero gradient gives a zero update; any other is divided by
    its norm twice, never by its square, so that gradients of 1e-30 and 1e25 stay in range. Differs from Optax, whose
    step is 0 wherever the square is below 2e-16.

    Args:
        f_min: the smallest value of the loss, or a guess of it; 0 for models that can fit all examples.
        max_learning_rate: the largest step size.
        eps: added to the squared norm.
        variant: "sps", or "sps+", where a value below `f_min` counts as `f_min`.

    State: none. Needs the extra argument `value`, the loss at the parameters.

    Raises:
        GradtxValueError: the variant is unknown, or `value` is not a single real number.
        GradtxTypeError: `value` is missing, or not a number.

    Reference: Loizou, Vaswani, Laradji and Lacoste-Julien, "Stochastic Polyak Step-size for SGD: An Adaptive Learning
    Rate for Fast Convergence", 2021, equation 4; "sps+" is Garrigos, Gower and Schaipp, "Function Value Learning:
    Adaptive Learning Rates Based on the Polyak Stepsize and Function Splitting in ERM", 2023, which has no largest step
    size.
    """
    if variant not in _GAPS:
        raise GradtxValueError(f"variant: expected one of {', '.join(map(repr, _GAPS))}, got {variant!r}")

    def update(updates, state, params, *, value):
        norm = weak(tree.norm(updates))
        inverse = safe_divide(1.0, norm)
        gap = _GAPS[variant](weak(one_number("value", value)) - f_min)
        # The norm of the output. The gap is divided by the norm here and below, so eps is divided by the norm once.
        length = jnp.minimum(safe_divide(gap, norm + eps * inverse), max_learning_rate * norm)
        return jax.tree.map(lambda g: length * (inverse * g), updates), state

    return treewise(update)
