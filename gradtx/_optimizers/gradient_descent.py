"""Gradient descent, with or without momentum."""

from collections.abc import Sequence

from gradtx._base.errors import GradtxValueError
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
    r"""SGD: stochastic gradient descent, with Polyak or Nesterov momentum if `momentum` is given.

    .. math:: m_t = momentum \cdot m_{t-1} + g_t, \quad
        u_t = -learning\_rate \cdot m_t \text{ or } -learning\_rate (g_t + momentum \cdot m_t)

    Args:
        learning_rate: the step size.
        momentum: momentum coefficient, in [0, 1); None disables momentum.
        nesterov: whether to use Nesterov momentum.

    State: one array per parameter with momentum, none without.

    Raises:
        GradtxValueError: `nesterov` without a momentum.

    Reference: Robbins and Monro, "A Stochastic Approximation Method", 1951; for the momentum see `add_momentum`.
    """
    if momentum is None:
        if nesterov:
            raise GradtxValueError("nesterov=True needs a momentum: sgd(learning_rate, momentum=0.9, nesterov=True)")
        return scale_by_learning_rate(learning_rate)
    return chain(add_momentum(momentum, nesterov), scale_by_learning_rate(learning_rate))


@transformation
def nesterov(learning_rate: NonNegative, momentum: Decay = 0.9):
    r"""Nesterov accelerated gradient: SGD with Nesterov momentum, with gradients at the parameters themselves.

    .. math:: m_t = momentum \cdot m_{t-1} + g_t, \quad u_t = -learning\_rate (g_t + momentum \cdot m_t)

    Args:
        learning_rate: the step size.
        momentum: momentum coefficient, in [0, 1).

    State: one array per parameter.

    Reference: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983;
    rewritten in terms of the look-ahead point as in Bengio, Boulanger-Lewandowski and Pascanu, "Advances in optimizing
    recurrent networks", 2013.
    """
    return sgd(learning_rate, momentum, nesterov=True)


@transformation
def nesterov_lookahead(learning_rate: NonNegative, momentum: Decay = 0.9, points: int = 1):
    r"""Nesterov accelerated gradient, textbook form: takes the gradient at the look-ahead point of the momentum.

    .. math:: v_t = momentum \cdot v_{t-1} - \frac{learning\_rate}{n} \textstyle\sum_{k=1}^n
        \nabla L\left(p + \tfrac{k}{n} \, momentum \cdot v_{t-1}\right), \quad u_t = v_t

    `update` needs the extra argument `grad_fn`, a function from parameters to gradients; see `extrapolated_gradient`.
    With one point and a constant learning rate, :math:`p + momentum \cdot v` equals the parameters of `nesterov`.

    Args:
        learning_rate: the step size.
        momentum: momentum coefficient, in [0, 1).
        points: n, the number of points up to the look-ahead point at which gradients are averaged.

    State: one array per parameter. Needs the parameters.

    Reference: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983, in
    the form of Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
    learning", 2013, equations 3 and 4. The average over points is an addition.
    """
    return extrapolated_gradient(scale_by_learning_rate(learning_rate), momentum, points)


@transformation
def qhm(learning_rate: NonNegative, momentum: Decay = 0.999, nu: Scalar = 0.7):
    r"""QHM (quasi-hyperbolic momentum): interpolates between the averaged and the current gradient.

    .. math:: m_t = momentum \cdot m_{t-1} + (1 - momentum) g_t, \quad
        u_t = -learning\_rate (\nu m_t + (1 - \nu) g_t)

    Args:
        learning_rate: the step size.
        momentum: decay rate of the averaged gradient, in [0, 1).
        nu: weight of the averaged gradient.

    State: one array per parameter.

    Reference: Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", 2019.
    """
    return chain(interpolate(scale_by_ema(momentum), identity(), nu), scale_by_learning_rate(learning_rate))


@transformation
def aggmo(learning_rate: NonNegative, momentums: Sequence[Decay] = (0.0, 0.9, 0.99)):
    r"""AggMo (aggregated momentum): averages several momentum buffers; the fast ones damp the slow ones.

    .. math:: m^i_t = momentum_i \cdot m^i_{t-1} + g_t, \quad
        u_t = -\frac{learning\_rate}{n} \textstyle\sum_i m^i_t

    Args:
        learning_rate: the step size.
        momentums: the momentum coefficients, each in [0, 1).

    State: one array per parameter and momentum coefficient.

    Reference: Lucas, Sun, Zemel and Grosse, "Aggregated Momentum: Stability Through Passive Damping", 2019.
    """
    return chain(mean(*map(add_momentum, momentums)), scale_by_learning_rate(learning_rate))


@transformation
def noisy_sgd(learning_rate: NonNegative, eta: NonNegative = 0.01, gamma: NonNegative = 0.55, seed: int = 0):
    r"""Noisy SGD: adds Gaussian noise with decaying variance to the gradient.

    .. math:: u_t = -learning\_rate \, (g_t + N(0, \sigma_t^2)), \quad \sigma_t^2 = \frac{eta}{(1 + t)^{gamma}}

    Args:
        learning_rate: the step size.
        eta: the variance at the first update, where t = 0.
        gamma: decay exponent of the variance.
        seed: seed of the noise; see `add_noise`.

    State: a random key (two uint32) and a step count (int32).

    Reference: Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015, equation 1.
    """
    return chain(add_noise(eta, gamma, seed), scale_by_learning_rate(learning_rate))
