"""Polyak SGD: gradient descent with a step size from the value of the loss."""

from gradtx._combinators.chain import chain
from gradtx._core.protocol import transformation
from gradtx._primitives.polyak import scale_by_polyak
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import NonNegative, Scalar


@transformation
def polyak_sgd(
    max_learning_rate: NonNegative = 1.0,
    scaling: NonNegative = 1.0,
    f_min: Scalar = 0.0,
    eps: NonNegative = 0.0,
    variant: str = "sps",
):
    r"""Polyak SGD: sets the step size from the loss and its smallest value, without a learning rate.

    .. math:: u_t = -scaling \cdot \min\left(\frac{value - f\_min}{\lVert g_t \rVert^2 + eps},
        max\_learning\_rate\right) g_t

    Args:
        max_learning_rate: the largest step size, before `scaling`.
        scaling: multiplies the step size; in Optax it multiplies the gradient before the norm is computed.
        f_min: the smallest value of the loss, or an estimate of it; 0 for models that can fit all examples.
        eps: added to the square of the norm.
        variant: "sps", or "sps+", which clips the loss to at least `f_min`.

    State: none. Needs the extra argument `value`, the loss at the parameters.

    Reference: Loizou, Vaswani, Laradji and Lacoste-Julien, "Stochastic Polyak Step-size for SGD: An Adaptive Learning
    Rate for Fast Convergence", 2021, equation 4; for the variant see `scale_by_polyak`.
    """
    return chain(scale_by_polyak(f_min, max_learning_rate, eps, variant), scale_by_learning_rate(scaling))
