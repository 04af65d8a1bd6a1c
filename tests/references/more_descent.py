"""Gradient descent with other kinds of momentum."""

from collections.abc import Sequence

import numpy as np

from ._common import Number, at, double_precision


def qhm(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.999,
    nu: Number = 0.7,
) -> np.ndarray:
    """Quasi-hyperbolic momentum (Ma & Yarats 2019).

    With m = 0 at the start:

        m = momentum * m + (1 - momentum) * g
        update = -learning_rate * ((1 - nu) * g + nu * m), with the new m
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        mu, share = at(momentum, step), at(nu, step)
        m = mu * m + (1 - mu) * g
        updates[step] = -at(learning_rate, step) * ((1 - share) * g + share * m)
    return updates


def optimistic_gradient_descent(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    alpha: Number = 1.0,
    beta: Number = 1.0,
) -> np.ndarray:
    """Generalized optimistic gradient descent (Mokhtari, Ozdaglar & Pattathil 2019).

    With previous = 0 at the start:

        update = -learning_rate * ((alpha + beta) * g - beta * previous)
        previous = g

    Deviations: the learning rate multiplies alpha and beta, which are the paper's step sizes; the
    gradient before the first is 0.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    previous = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        a, b = at(alpha, step), at(beta, step)
        updates[step] = -at(learning_rate, step) * ((a + b) * g - b * previous)
        previous = g
    return updates


def aggmo(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentums: Sequence[Number] = (0.0, 0.9, 0.99),
) -> np.ndarray:
    """Aggregated momentum (Lucas et al. 2018).

    With every m_i = 0 at the start:

        m_i = momentums_i * m_i + g
        update = -learning_rate * (the mean of all m_i)

    Deviations: the buffers have the opposite sign.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    buffers = [np.zeros_like(parameters) for _ in momentums]
    for step, g in enumerate(gradients):
        buffers = [at(momentum, step) * m + g for momentum, m in zip(momentums, buffers, strict=True)]
        updates[step] = -at(learning_rate, step) * sum(buffers) / len(buffers)
    return updates
