"""Adam and its variants AdamW and AdaMax."""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def adam(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
) -> np.ndarray:
    """Adam (Kingma & Ba 2015, Algorithm 1).

    With m = v = 0 at the start:

        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * |g|^2
        m_hat = m / (1 - b1^t)
        v_hat = v / (1 - b2^t)
        update = -learning_rate * m_hat / (sqrt(v_hat + eps_root) + eps)

    Deviations: eps_root; b^t is the product of the decays so far where b is a schedule.
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
        direction = divide(m_hat, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def adamw(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    weight_decay: Number = 1e-4,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """AdamW (Loshchilov & Hutter 2019, Algorithm 2).

    With m, v, m_hat and v_hat as in `adam`:

        direction = m_hat / (sqrt(v_hat + eps_root) + eps)
        update = -learning_rate * (direction + weight_decay * parameter)

    with the parameter before the update, and the decay only where the mask is True (everywhere
    without a mask).

    Deviations: those of `adam`; the weight decay is multiplied by the learning rate, where the
    paper multiplies it by the schedule multiplier alone.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    decayed = np.ones(parameters.shape, bool) if mask is None else np.asarray(mask, bool)
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
        direction = divide(m_hat, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        decay = np.where(decayed, at(weight_decay, step) * parameters, 0.0)
        updates[step] = -at(learning_rate, step) * (direction + decay)
        parameters = parameters + updates[step]
    return updates


def adamax(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
) -> np.ndarray:
    """AdaMax (Kingma & Ba 2015, Algorithm 2).

    With m = u = 0 at the start:

        m = b1 * m + (1 - b1) * g
        u = max(b2 * u, |g|)
        update = -learning_rate * m / (1 - b1^t) / (u + eps)

    Deviations: eps, which the paper does not have; b1^t is the product of the decays so far where
    b1 is a schedule.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    u = np.zeros(parameters.shape)
    b1_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g))
        b1_power = b1_power * beta1
        m_hat = divide(m, 1 - b1_power)
        direction = divide(m_hat, u + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates
