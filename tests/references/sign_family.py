"""Methods that follow the sign: SignSGD, Signum, Lion and Tiger."""

import numpy as np

from ._common import Number, at, divide, double_precision


def _sign(x: np.ndarray) -> np.ndarray:
    """Returns x / |x|, and 0 for 0."""
    return divide(x, np.abs(x))


def sign_sgd(gradients: np.ndarray, parameters: np.ndarray, *, learning_rate: Number) -> np.ndarray:
    """SignSGD (Bernstein et al. 2018, Algorithm 1).

        update = -learning_rate * sign(g)

    Deviations: the sign of a complex number is g / |g|.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    for step, g in enumerate(gradients):
        updates[step] = -at(learning_rate, step) * _sign(g)
    return updates


def signum(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.9,
) -> np.ndarray:
    """Signum (Bernstein et al. 2018, Algorithm 2).

    With m = 0 at the start:

        m = momentum * m + (1 - momentum) * g
        update = -learning_rate * sign(m)

    Deviations: that of `sign_sgd`.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        m = mu * m + (1 - mu) * g
        updates[step] = -at(learning_rate, step) * _sign(m)
    return updates


def lion(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.99,
    weight_decay: Number = 1e-3,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Lion (Chen et al. 2023, Algorithm 2).

    With m = 0 at the start:

        c = b1 * m + (1 - b1) * g
        update = -learning_rate * (sign(c) + weight_decay * parameter)
        m = b2 * m + (1 - b2) * g

    with the parameter before the update, and the decay only where the mask is True (everywhere
    without a mask).

    Deviations: the mask; that of `sign_sgd`.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    decayed = np.ones(parameters.shape, bool) if mask is None else np.asarray(mask, bool)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        c = beta1 * m + (1 - beta1) * g
        decay = np.where(decayed, at(weight_decay, step) * parameters, 0.0)
        updates[step] = -at(learning_rate, step) * (_sign(c) + decay)
        m = beta2 * m + (1 - beta2) * g
        parameters = parameters + updates[step]
    return updates


def tiger(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.965,
    weight_decay: Number = 0.01,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Tiger (Su 2023).

    With m = 0 at the start:

        m = b1 * m + (1 - b1) * g
        update = -learning_rate * (sign(m) + weight_decay * parameter)

    with the parameter before the update, and the decay only where the mask is True (everywhere
    without a mask).

    Deviations: the mask; that of `sign_sgd`.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    decayed = np.ones(parameters.shape, bool) if mask is None else np.asarray(mask, bool)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        beta1 = at(b1, step)
        m = beta1 * m + (1 - beta1) * g
        decay = np.where(decayed, at(weight_decay, step) * parameters, 0.0)
        updates[step] = -at(learning_rate, step) * (_sign(m) + decay)
        parameters = parameters + updates[step]
    return updates
