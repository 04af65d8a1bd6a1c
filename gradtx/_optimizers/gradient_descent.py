"""Gradient descent: the gradient itself, with or without momentum."""

from collections.abc import Sequence

from gradtx._combinators.chain import chain
from gradtx._combinators.extrapolated import extrapolated_gradient
from gradtx._combinators.parallel import interpolate, mean
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import add_momentum, scale_by_ema
from gradtx._primitives.add import add_noise
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Scalar


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


@transformation
def nesterov_lookahead(learning_rate: NonNegative, momentum: Decay = 0.9, points: int = 1):
    r"""Nesterov's accelerated gradient as in the textbook: the gradient is taken where the momentum alone leads.

    .. math:: v_t = momentum \cdot v_{t-1} - \frac{learning\_rate}{n} \textstyle\sum_{k=1}^n
        \nabla L\left(p + \tfrac{k}{n} \, momentum \cdot v_{t-1}\right), \quad u_t = v_t

    `update` needs the extra `grad_fn`, a function from parameters to gradients; see `extrapolated_gradient`. With one point
    and a constant learning rate, p plus `momentum` times v are the parameters of `nesterov`.

    Args:
        learning_rate: the step size.
        momentum: how much of the momentum is kept, in [0, 1).
        points: over how many points on the way there the gradient is averaged, n.

    State: one array per parameter. Needs the parameters.

    Reference: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983, in
    the form of Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
    learning", 2013, equations 3 and 4. The average over points is an addition.
    """
    return extrapolated_gradient(scale_by_learning_rate(learning_rate), momentum, points)


@transformation
def qhm(learning_rate: NonNegative, momentum: Decay = 0.999, nu: Scalar = 0.7):
    r"""Quasi-hyperbolic momentum: a weighted mean of the mean gradient and the gradient itself.

    .. math:: m_t = momentum \cdot m_{t-1} + (1 - momentum) g_t, \quad
        u_t = -learning\_rate (\nu m_t + (1 - \nu) g_t)

    Args:
        learning_rate: the step size.
        momentum: how much of the mean is kept, in [0, 1).
        nu: the part of the mean.

    State: one array per parameter.

    Reference: Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", 2019.
    """
    return chain(interpolate(scale_by_ema(momentum), identity(), nu), scale_by_learning_rate(learning_rate))


@transformation
def aggmo(learning_rate: NonNegative, momentums: Sequence[Decay] = (0.0, 0.9, 0.99)):
    r"""Aggregated momentum: the mean of several momenta, slow ones kept from oscillating by fast ones.

    .. math:: m^i_t = momentum_i \cdot m^i_{t-1} + g_t, \quad
        u_t = -\frac{learning\_rate}{n} \textstyle\sum_i m^i_t

    Args:
        learning_rate: the step size.
        momentums: how much of each momentum is kept, each in [0, 1).

    State: one array per parameter and momentum.

    Reference: Lucas, Sun, Zemel and Grosse, "Aggregated Momentum: Stability Through Passive Damping", 2019.
    """
    return chain(mean(*map(add_momentum, momentums)), scale_by_learning_rate(learning_rate))


@transformation
def noisy_sgd(learning_rate: NonNegative, eta: NonNegative = 0.01, gamma: NonNegative = 0.55, seed: int = 0):
    r"""Gradient descent with Gaussian noise that fades.

    .. math:: u_t = -learning\_rate \, (g_t + N(0, \sigma_t^2)), \quad \sigma_t^2 = \frac{eta}{(1 + t)^{gamma}}

    Args:
        learning_rate: the step size.
        eta: the variance at the first update, where t = 0.
        gamma: how fast the variance falls.
        seed: seed of the noise; see `add_noise`.

    State: a key, two uint32 numbers, and a count, int32.

    Reference: Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015, equation 1.
    """
    return chain(add_noise(eta, gamma, seed), scale_by_learning_rate(learning_rate))
