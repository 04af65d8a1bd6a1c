"""Optimizers that step by a model of the loss.

x stands for the parameters before the update, <., .> for the inner product over the whole array (its real part, where
the arrays are complex).
"""

from collections.abc import Callable

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision, inner

Value = Callable[[np.ndarray], float]


def _momo_step(d, preconditioner, parameters, f, gamma, bound, lower_bound, rho, rate, decay, adapt):
    """Returns the update and the next lower bound; f, gamma and d are the averages, rho their bias correction."""
    squared_norm = inner(d, divide(d, preconditioner))
    product = inner(d, parameters)
    shrink = 1 + rate * decay
    reach = shrink * (f - gamma) + product
    if adapt and reach < shrink * rho * bound:
        bound = max(reach / (2 * shrink * rho), lower_bound)
    tau = 0.0
    if squared_norm > np.finfo(float).eps:
        tau = min(rate / rho, max(reach - shrink * rho * bound, 0.0) / squared_norm)
    if adapt:
        bound = max((f + product - gamma - tau * squared_norm / 2) / rho, lower_bound)
    return -rate * decay / shrink * parameters - tau * divide(d, preconditioner), bound


def momo(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    value: Value,
    learning_rate: Number = 1.0,
    beta: Number = 0.9,
    lower_bound: float = 0.0,
    weight_decay: Number = 0.0,
    adapt_lower_bound: bool = False,
) -> np.ndarray:
    """MoMo (Schaipp, Ohana, Eickenberg, Defazio & Gower 2023): SGD with momentum and a Polyak step.

    With F = lower_bound at the start, beta = 0 at the first step, and shrink = 1 + learning_rate * weight_decay:

        f = beta * f + (1 - beta) * value(x)
        d = beta * d + (1 - beta) * g
        gamma = beta * gamma + (1 - beta) * <g, x>
        reach = shrink * (f - gamma) + <d, x>
        F = max(reach / (2 * shrink), lower_bound) where reach < shrink * F, if adapt_lower_bound
        tau = min(learning_rate, max(reach - shrink * F, 0) / |d|^2)
        update = -tau * d - learning_rate * weight_decay / shrink * x
        F = max(f + <d, x> - gamma - tau * |d|^2 / 2, lower_bound), if adapt_lower_bound

    Deviations: with weight decay, the proximal step of the paper divides x - tau * d by shrink, whereas here
    only x is divided; tau = 0 where |d|^2 is at most 2^-52.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    ones = np.ones(parameters.shape)
    d = np.zeros_like(parameters)
    f = gamma = 0.0
    bound = lower_bound
    for step, g in enumerate(gradients):
        b = at(beta, step) if step > 0 else 0.0
        f = b * f + (1 - b) * float(value(parameters))
        d = b * d + (1 - b) * g
        gamma = b * gamma + (1 - b) * inner(g, parameters)
        rate, decay = at(learning_rate, step), at(weight_decay, step)
        updates[step], bound = _momo_step(
            d, ones, parameters, f, gamma, bound, lower_bound, 1.0, rate, decay, adapt_lower_bound
        )
        parameters = parameters + updates[step]
    return updates


def momo_adam(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    value: Value,
    learning_rate: Number = 1e-2,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    lower_bound: float = 0.0,
    weight_decay: Number = 0.0,
    adapt_lower_bound: bool = False,
) -> np.ndarray:
    """MoMo-Adam (Schaipp, Ohana, Eickenberg, Defazio & Gower 2023).

    With d = v = 0, f = gamma = 0 and F = lower_bound at the start, and shrink = 1 + learning_rate * weight_decay:

        f, d, gamma as in `momo`, with b1 also at the first step
        v = b2 * v + (1 - b2) * |g|^2
        rho = 1 - b1^t
        D = eps + sqrt(v / (1 - b2^t))
        N = <d, d / D>
        reach = shrink * (f - gamma) + <d, x>
        F = max(reach / (2 * shrink * rho), lower_bound) where reach < shrink * rho * F, if adapt_lower_bound
        tau = min(learning_rate / rho, max(reach - shrink * rho * F, 0) / N)
        update = -tau * d / D - learning_rate * weight_decay / shrink * x
        F = max((f + <d, x> - gamma - tau * N / 2) / rho, lower_bound), if adapt_lower_bound

    Deviations: those of `momo`, with N for |d|^2.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    d, v = np.zeros_like(parameters), np.zeros(parameters.shape)
    f = gamma = 0.0
    b1_power = b2_power = 1.0
    bound = lower_bound
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        f = beta1 * f + (1 - beta1) * float(value(parameters))
        d = beta1 * d + (1 - beta1) * g
        gamma = beta1 * gamma + (1 - beta1) * inner(g, parameters)
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        preconditioner = at(eps, step) + np.sqrt(divide(v, 1 - b2_power))
        rate, decay, rho = at(learning_rate, step), at(weight_decay, step), 1 - b1_power
        updates[step], bound = _momo_step(
            d, preconditioner, parameters, f, gamma, bound, lower_bound, rho, rate, decay, adapt_lower_bound
        )
        parameters = parameters + updates[step]
    return updates
