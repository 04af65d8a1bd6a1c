"""Rprop, Polyak's step size, Nesterov's method at the look-ahead point, MADGRAD and cautious updates."""

from collections.abc import Callable

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def rprop(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    eta_minus: Number = 0.5,
    eta_plus: Number = 1.2,
    min_step_size: Number = 1e-6,
    max_step_size: Number = 50.0,
) -> np.ndarray:
    """Rprop (Riedmiller & Braun 1993), in the form iRprop- (Igel & Huesken 2000).

    For every coordinate, with size = learning_rate and before = 0 at the start:

        size = min(size * eta_plus, max_step_size)    where g * before > 0
        size = max(size * eta_minus, min_step_size)   where g * before < 0
        g = 0                                         where g * before < 0
        update = -size * sign(g)
        before = g

    The parameters are real. Where the learning rate is a schedule, its first value counts.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    size = np.full(parameters.shape, at(learning_rate, 0))
    before = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        agreement = np.sign(g) * np.sign(before)
        grown = np.minimum(size * at(eta_plus, step), at(max_step_size, step))
        shrunk = np.maximum(size * at(eta_minus, step), at(min_step_size, step))
        size = np.where(agreement > 0, grown, np.where(agreement < 0, shrunk, size))
        before = np.where(agreement < 0, 0.0, g)
        updates[step] = -size * np.sign(before)
    return updates


def polyak_sgd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    value: Callable[[np.ndarray], float],
    max_learning_rate: Number = 1.0,
    scaling: Number = 1.0,
    f_min: Number = 0.0,
    eps: Number = 0.0,
    variant: str = "sps",
) -> np.ndarray:
    """Gradient descent with Polyak's step size (Loizou et al. 2021; "sps+": Garrigos, Gower & Schaipp 2023).

        gap = value(parameter) - f_min, for "sps"
        gap = max(value(parameter) - f_min, 0), for "sps+"
        size = min(gap / (|g|^2 + eps), max_learning_rate)
        update = -scaling * size * g

    with the parameter before the update and the norm of the whole array. The update is 0 where g is.

    Deviations: eps; scaling multiplies the smaller of the two, where Loizou et al. divide the gap by c;
    the step size of Garrigos et al. has no max_learning_rate.
    """
    if variant not in ("sps", "sps+"):
        raise ValueError(f"variant is 'sps' or 'sps+', not {variant!r}")
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    for step, g in enumerate(gradients):
        squared_norm = np.sum(abs_squared(g))
        if squared_norm > 0:
            gap = float(value(parameters)) - at(f_min, step)
            if variant == "sps+":
                gap = max(gap, 0.0)
            size = min(gap / (squared_norm + at(eps, step)), at(max_learning_rate, step))
            updates[step] = -at(scaling, step) * size * g
        parameters = parameters + updates[step]
    return updates


def nesterov_lookahead(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    grad_fn: Callable[[np.ndarray], np.ndarray],
    learning_rate: Number,
    momentum: Number = 0.9,
    points: int = 1,
) -> np.ndarray:
    """Nesterov's method (Nesterov 1983) in the form of Sutskever et al. 2013, equations 3 and 4.

    With v = 0 at the start:

        ahead = momentum * v
        v = ahead - learning_rate * grad_fn(parameter + ahead)
        update = v

    With more points, the mean of grad_fn(parameter + k / points * ahead) over k = 1, ..., points
    stands for the one gradient. Of `gradients` only the length counts, which is the number of steps.

    Deviations: the points.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    v = np.zeros_like(parameters)
    for step in range(len(gradients)):
        ahead = at(momentum, step) * v
        g = sum(np.asarray(grad_fn(parameters + k / points * ahead)) for k in range(1, points + 1)) / points
        v = ahead - at(learning_rate, step) * g
        updates[step] = v
        parameters = parameters + updates[step]
    return updates


def madgrad(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.9,
    eps: Number = 1e-6,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """MADGRAD (Defazio & Jelassi 2021, Algorithm 1).

    With s = v = 0 at the start, t = 0 at the first step and initial the initial parameter:

        g = g + weight_decay * parameter
        lambda = learning_rate * sqrt(t + 1)
        s = s + lambda * g
        v = v + lambda * |g|^2
        z = initial - s / (cbrt(v) + eps)
        next = momentum * parameter + (1 - momentum) * z
        update = next - parameter

    with the parameter before the update; 1 - momentum is the paper's c.

    Deviations: the weight decay, which is an L2 penalty.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    initial = parameters
    s = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    for step, g in enumerate(gradients):
        g = g + at(weight_decay, step) * parameters
        weight = at(learning_rate, step) * np.sqrt(step + 1)
        s = s + weight * g
        v = v + weight * abs_squared(g)
        z = initial - divide(s, np.cbrt(v) + at(eps, step))
        c = 1 - at(momentum, step)
        updates[step] = (1 - c) * parameters + c * z - parameters
        parameters = parameters + updates[step]
    return updates


def cautious(update: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The cautious form of an update (Liang et al. 2024).

        kept = update * (-gradient) > 0, with the real part of conj(update) * gradient where they are complex
        cautious update = update * (size of the array) / max(number of the kept, 1) where kept, 0 elsewhere

    Deviations: max(number, 1), where the paper has number + 1 by default.
    """
    kept = np.real(np.conj(update) * gradient) < 0
    return np.where(kept, update, 0.0) * (np.size(update) / max(np.count_nonzero(kept), 1))


def cautious_adam(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
) -> np.ndarray:
    """Adam with cautious updates (Liang et al. 2024).

    With m_hat and v_hat as in `adam`:

        update = cautious(-learning_rate * m_hat / (sqrt(v_hat) + eps), g)

    Deviations: those of `cautious`; b^t is the product of the decays so far where b is a schedule.
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
        direction = divide(m_hat, np.sqrt(v_hat) + at(eps, step))
        updates[step] = cautious(-at(learning_rate, step) * direction, g)
        parameters = parameters + updates[step]
    return updates
