"""AdaGrad."""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def adagrad(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    initial_accumulator_value: Number = 0.1,
    eps: Number = 1e-7,
    eps_root: Number = 0.0,
) -> np.ndarray:
    """AdaGrad with diagonal matrices (Duchi, Hazan & Singer 2011).

    With s = initial_accumulator_value at the start:

        s = s + |g|^2
        update = -learning_rate * g / (sqrt(s + eps_root) + eps)

    This is the composite mirror descent update without a regularizer or constraints; eps is the
    paper's delta. Deviations: s does not start at 0, and eps_root is added under the root.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    s = np.full(parameters.shape, at(initial_accumulator_value, 0))
    for step, g in enumerate(gradients):
        s = s + abs_squared(g)
        direction = divide(g, np.sqrt(s + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates
