"""Adadelta."""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def adadelta(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    decay: Number = 0.9,
    eps: Number = 1e-6,
    initial_delta: Number = 0.0,
) -> np.ndarray:
    """Adadelta (Zeiler 2012, Algorithm 1).

    With v = 0 and delta = initial_delta at the start:

        v = decay * v + (1 - decay) * |g|^2
        d = sqrt(delta + eps) / sqrt(v + eps) * g
        delta = decay * delta + (1 - decay) * |d|^2
        update = -learning_rate * d

    Deviations: the learning rate, which is not accumulated in delta; delta may start above 0.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    v = np.zeros(parameters.shape)
    delta = np.full(parameters.shape, at(initial_delta, 0))
    for step, g in enumerate(gradients):
        rho, epsilon = at(decay, step), at(eps, step)
        v = rho * v + (1 - rho) * abs_squared(g)
        d = divide(np.sqrt(delta + epsilon) * g, np.sqrt(v + epsilon))
        delta = rho * delta + (1 - rho) * abs_squared(d)
        updates[step] = -at(learning_rate, step) * d
    return updates
