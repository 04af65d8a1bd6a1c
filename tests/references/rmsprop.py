"""RMSProp."""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def rmsprop(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    decay: Number = 0.9,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    centered: bool = False,
    momentum: Number | None = None,
    nesterov: bool = False,
) -> np.ndarray:
    """RMSProp (Tieleman & Hinton 2012, lecture 6.5), centered (Graves 2013, eqs. 38-41).

    With v = mean = m = 0 at the start:

        v = decay * v + (1 - decay) * |g|^2
        mean = decay * mean + (1 - decay) * g
        variance = max(v - |mean|^2, 0) if centered, else v
        direction = g / (sqrt(variance + eps_root) + eps)
        m = momentum * m + direction
        update = -learning_rate * m
        update = -learning_rate * (direction + momentum * m), with the new m, if nesterov

    and update = -learning_rate * direction without momentum.

    Deviations: eps is added outside the root (Graves' constant under the root is eps_root), a
    variance made negative by rounding counts as 0, the learning rate multiplies the momentum
    buffer instead of being accumulated in it, and Nesterov momentum is in neither source.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    v = np.zeros(parameters.shape)
    mean = np.zeros_like(parameters)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        d = at(decay, step)
        v = d * v + (1 - d) * abs_squared(g)
        mean = d * mean + (1 - d) * g
        variance = np.maximum(v - abs_squared(mean), 0.0) if centered else v
        direction = divide(g, np.sqrt(variance + at(eps_root, step)) + at(eps, step))
        if momentum is not None:
            mu = at(momentum, step)
            m = mu * m + direction
            direction = direction + mu * m if nesterov else m
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates
