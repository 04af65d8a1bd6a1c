"""Optimizers that divide by an estimate of the diagonal of the Hessian.

The estimate is given: `hessian_diagonal` takes the parameters before the update, of shape (n,), and returns
the diagonal there, of shape (n,).
"""

from collections.abc import Callable

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision

Diagonal = Callable[[np.ndarray], np.ndarray]


def sophia(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    hessian_diagonal: Diagonal,
    learning_rate: Number,
    b1: Number = 0.965,
    b2: Number = 0.99,
    eps: Number = 1e-8,
    weight_decay: Number = 1e-4,
    gamma: Number = 0.01,
    clip_threshold: Number = 1.0,
    update_interval: int = 10,
) -> np.ndarray:
    """Sophia (Liu et al. 2023, Algorithm 3), for real arrays.

    With m = h = 0 at the start:

        m = b1 * m + (1 - b1) * g
        h = b2 * h + (1 - b2) * hessian_diagonal(x), at the first step and then every update_interval steps
        direction = clip(m / max(gamma * h, eps), -clip_threshold, clip_threshold)
        update = -learning_rate * (direction + weight_decay * x)

    where neither m nor h is corrected for its bias, and x is the parameters before the update.

    Deviations: the paper decays the parameters first, and then takes the step, which comes to the same;
    clip_threshold, which is 1 in the paper.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m, h = np.zeros_like(parameters), np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        m = at(b1, step) * m + (1 - at(b1, step)) * g
        if step % update_interval == 0:
            h = at(b2, step) * h + (1 - at(b2, step)) * np.asarray(hessian_diagonal(parameters))
        threshold = at(clip_threshold, step)
        ratio = divide(m, np.maximum(at(gamma, step) * h, at(eps, step)))
        direction = np.clip(ratio, -threshold, threshold)
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def adahessian(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    hessian_diagonal: Diagonal,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    hessian_power: Number = 1.0,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """AdaHessian (Yao et al. 2021, Algorithm 1), without its spatial averaging.

    With m = v = 0 at the start, and D = hessian_diagonal(x) at every step:

        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * |D|^2
        m_hat = m / (1 - b1^t)
        v_hat = v / (1 - b2^t)
        direction = m_hat / (v_hat^(hessian_power / 2) + eps)
        update = -learning_rate * (direction + weight_decay * x)

    with x the parameters before the update.

    Deviations: eps and the weight decay, which the paper's Algorithm 1 does not have; b^t is the product of the
    decays so far where b is a schedule.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m, v = np.zeros_like(parameters), np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * abs_squared(np.asarray(hessian_diagonal(parameters)))
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        m_hat = divide(m, 1 - b1_power)
        v_hat = divide(v, 1 - b2_power)
        direction = divide(m_hat, v_hat ** (at(hessian_power, step) / 2) + at(eps, step))
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates
