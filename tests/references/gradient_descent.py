"""Gradient descent, with and without momentum."""

import numpy as np

from ._common import Number, at, double_precision


def sgd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number | None = None,
    nesterov: bool = False,
) -> np.ndarray:
    """Stochastic gradient descent (Robbins & Monro 1951), momentum (Polyak 1964).

    With m = 0 at the start:

        m = momentum * m + g
        update = -learning_rate * m
        update = -learning_rate * (g + momentum * m), with the new m, if nesterov

    and update = -learning_rate * g without momentum.

    Deviations: the learning rate multiplies the buffer instead of being accumulated in it, which
    differs from Polyak only where the learning rate is a schedule. Nesterov's method (1983) is
    followed at its look-ahead point (Bengio, Boulanger-Lewandowski & Pascanu 2013), with
    the momentum of the current step in both places.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        if momentum is None:
            direction = g
        else:
            mu = at(momentum, step)
            m = mu * m + g
            direction = g + mu * m if nesterov else m
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def nesterov(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.9,
) -> np.ndarray:
    """Nesterov's accelerated gradient (Nesterov 1983): `sgd` with nesterov=True.

    With m = 0 at the start:

        m = momentum * m + g
        update = -learning_rate * (g + momentum * m)

    Deviations: those of `sgd`.
    """
    return sgd(gradients, parameters, learning_rate=learning_rate, momentum=momentum, nesterov=True)
