"""Gradient descent: the gradient itself, with or without momentum."""

from gradtx._combinators.chain import chain
from gradtx._core import transformation
from gradtx._primitives.accumulate import add_momentum
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._schedule import Decay, NonNegative


@transformation
def sgd(learning_rate: NonNegative, momentum: Decay | None = None, nesterov: bool = False):
    r"""Stochastic gradient descent, with Polyak's or Nesterov's momentum where `momentum` is given.

    .. math:: m_t = momentum \cdot m_{t-1} + g_t, \quad
        u_t = -learning\_rate \cdot m_t \text{ or } -learning\_rate (g_t + momentum \cdot m_t)

    Args:
        learning_rate: the step size.
        momentum: how much of the momentum is kept, in [0, 1); None does without.
        nesterov: whether to look one step ahead.

    State: one array per parameter with momentum, none without.

    Reference: Robbins and Monro, "A Stochastic Approximation Method", 1951; for the momentum see `add_momentum`.
    """
    if momentum is None:
        return scale_by_learning_rate(learning_rate)
    return chain(add_momentum(momentum, nesterov), scale_by_learning_rate(learning_rate))


@transformation
def nesterov(learning_rate: NonNegative, momentum: Decay = 0.9):
    r"""Nesterov's accelerated gradient, in the form that takes the gradient at the parameters themselves.

    .. math:: m_t = momentum \cdot m_{t-1} + g_t, \quad u_t = -learning\_rate (g_t + momentum \cdot m_t)

    Args:
        learning_rate: the step size.
        momentum: how much of the momentum is kept, in [0, 1).

    State: one array per parameter.

    Reference: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983;
    rewritten in terms of the look-ahead point as in Bengio, Boulanger-Lewandowski and Pascanu, "Advances in optimizing
    recurrent networks", 2013.
    """
    return sgd(learning_rate, momentum, nesterov=True)
