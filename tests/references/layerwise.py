"""Methods that scale the update of an array by norms of the whole array: LARS, LAMB, NovoGrad and Fromage."""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def _norm(x: np.ndarray) -> float:
    """Returns the Euclidean norm of the array, whatever its shape."""
    return float(np.sqrt(np.sum(abs_squared(x))))


def _trust_ratio(parameters: np.ndarray, direction: np.ndarray, coefficient: float = 1.0, eps: float = 0.0) -> float:
    """Returns coefficient * |parameters| / (|direction| + eps), and 1 where either norm is 0."""
    parameter_norm, direction_norm = _norm(parameters), _norm(direction)
    if parameter_norm == 0 or direction_norm == 0:
        return 1.0
    return coefficient * parameter_norm / (direction_norm + eps)


def lars(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    weight_decay: Number = 0.0,
    trust_coefficient: Number = 0.001,
    eps: Number = 0.0,
    momentum: Number = 0.9,
    nesterov: bool = False,
) -> np.ndarray:
    """LARS (You, Gitman & Ginsburg 2017, Algorithm 1).

    With m = 0 at the start:

        d = g + weight_decay * parameter
        d = learning_rate * trust_coefficient * |parameter| / (|d| + eps) * d
        m = momentum * m + d
        update = -m
        update = -(d + momentum * m), with the new m, if nesterov

    with the parameter before the update. Where |parameter| or |d| is 0, the factor
    trust_coefficient * |parameter| / (|d| + eps) is 1.

    Deviations: the denominator is the norm of the sum, where the paper has the sum of the norms,
    |g| + weight_decay * |parameter|; eps; nesterov; the factor 1 for a norm of 0.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        d = g + at(weight_decay, step) * parameters
        d = _trust_ratio(parameters, d, at(trust_coefficient, step), at(eps, step)) * d
        d = at(learning_rate, step) * d
        m = mu * m + d
        updates[step] = -(d + mu * m) if nesterov else -m
        parameters = parameters + updates[step]
    return updates


def lamb(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-6,
    eps_root: Number = 0.0,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """LAMB (You et al. 2020, Algorithm 2), with the identity as the paper's phi.

    With m, v, m_hat and v_hat as in `adam`:

        d = m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay * parameter
        update = -learning_rate * |parameter| / |d| * d

    with the parameter before the update. Where |parameter| or |d| is 0, their ratio is 1.

    Deviations: eps_root; the ratio 1 for a norm of 0; b^t is the product of the decays so far where
    b is a schedule.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        m_hat = divide(m, 1 - b1_power)
        v_hat = divide(v, 1 - b2_power)
        d = divide(m_hat, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        d = d + at(weight_decay, step) * parameters
        updates[step] = -at(learning_rate, step) * _trust_ratio(parameters, d) * d
        parameters = parameters + updates[step]
    return updates


def novograd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.25,
    eps: Number = 1e-6,
    eps_root: Number = 0.0,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """NovoGrad (Ginsburg et al. 2019, Algorithm 1).

    With m = 0 at the start and one number v for the whole array:

        v = |g|^2 at the first step, b2 * v + (1 - b2) * |g|^2 after it
        m = b1 * m + g / (sqrt(v + eps_root) + eps) + weight_decay * parameter
        update = -learning_rate * m

    with the parameter before the update. There is no factor 1 - b1, and no bias correction.

    Deviations: eps_root; eps is used at the first step too.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    v = 0.0
    for step, g in enumerate(gradients):
        beta2 = at(b2, step) if step > 0 else 0.0
        v = beta2 * v + (1 - beta2) * np.sum(abs_squared(g))
        direction = divide(g, np.sqrt(v + at(eps_root, step)) + at(eps, step))
        m = at(b1, step) * m + direction + at(weight_decay, step) * parameters
        updates[step] = -at(learning_rate, step) * m
        parameters = parameters + updates[step]
    return updates


def fromage(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    min_norm: Number = 1e-6,
) -> np.ndarray:
    """Fromage (Bernstein et al. 2020, Algorithm 1).

        next = (parameter - learning_rate * |parameter| / |g| * g) / sqrt(1 + learning_rate^2)
        update = next - parameter

    where both norms count as min_norm if they are smaller, and their ratio is 1 if one of them is
    still 0.

    Deviations: min_norm; the ratio 1 for a norm of 0.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    for step, g in enumerate(gradients):
        eta, smallest = at(learning_rate, step), at(min_norm, step)
        parameter_norm, gradient_norm = max(_norm(parameters), smallest), max(_norm(g), smallest)
        ratio = 1.0 if parameter_norm == 0 or gradient_norm == 0 else parameter_norm / gradient_norm
        updates[step] = (parameters - eta * ratio * g) / np.sqrt(1 + eta**2) - parameters
        parameters = parameters + updates[step]
    return updates
