"""Schedule-free optimizers (Defazio et al. 2024, "The Road Less Scheduled"), and private gradient descent.

The parameters are the paper's y, where the gradients are taken; z is what the optimizer within moves, and
x, the average of z, is what is to be evaluated. With x = z = y at the start:

    rate = learning_rate * min(1, t / warmup_steps), with t = 1 at the first step
    z = z - rate * (direction + weight_decay * y)
    w = (largest rate so far)^weight_lr_power
    c = w / (sum of the w so far)
    x = (1 - c) * x + c * z
    y = (1 - b1) * z + b1 * x

and the update is what takes y to the new y.
"""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def _schedule_free(directions, parameters, learning_rate, warmup_steps, b1, weight_decay, weight_lr_power):
    """Returns the updates of y, and x after each step."""
    updates, averages = np.zeros_like(directions), np.zeros_like(directions)
    x = y = z = parameters
    largest_rate = sum_of_weights = 0.0
    for step, direction in enumerate(directions):
        warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
        rate = at(learning_rate, step) * warmup
        z = z - rate * (direction + at(weight_decay, step) * y)
        largest_rate = max(largest_rate, rate)
        weight = largest_rate ** at(weight_lr_power, step)
        sum_of_weights += weight
        c = divide(weight, sum_of_weights)
        x = (1 - c) * x + c * z
        new_y = (1 - at(b1, step)) * z + at(b1, step) * x
        updates[step], averages[step] = new_y - y, x
        y = y + updates[step]
    return updates, averages


def _adam_directions(gradients, b2, eps):
    """Returns g / (sqrt(v_hat) + eps) at all steps."""
    directions = np.zeros_like(gradients)
    v = np.zeros(gradients.shape[1:])
    b2_power = 1.0
    for step, g in enumerate(gradients):
        beta2 = at(b2, step)
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        b2_power = b2_power * beta2
        directions[step] = divide(g, np.sqrt(divide(v, 1 - b2_power)) + at(eps, step))
    return directions


def schedule_free_sgd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    warmup_steps: int | None = None,
    b1: Number = 0.9,
    weight_decay: Number = 0.0,
    weight_lr_power: Number = 2.0,
) -> np.ndarray:
    """Schedule-free SGD (Defazio et al. 2024): direction = g.

    Deviations: weight_lr_power, which is 2 in the paper, and the weights of the largest rate so far, where
    the paper takes the rate itself: the two differ only where the learning rate goes down.
    """
    gradients, parameters = double_precision(gradients, parameters)
    return _schedule_free(gradients, parameters, learning_rate, warmup_steps, b1, weight_decay, weight_lr_power)[0]


def schedule_free_sgd_average(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    warmup_steps: int | None = None,
    b1: Number = 0.9,
    weight_decay: Number = 0.0,
    weight_lr_power: Number = 2.0,
) -> np.ndarray:
    """Returns the averaged parameters x of `schedule_free_sgd` after each step, of shape (steps, n)."""
    gradients, parameters = double_precision(gradients, parameters)
    return _schedule_free(gradients, parameters, learning_rate, warmup_steps, b1, weight_decay, weight_lr_power)[1]


def schedule_free_adamw(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 0.0025,
    warmup_steps: int | None = None,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    weight_lr_power: Number = 2.0,
) -> np.ndarray:
    """Schedule-free AdamW (Defazio et al. 2024, Algorithm 1): direction = g / (sqrt(v_hat) + eps).

    v = b2 * v + (1 - b2) * |g|^2, with v = 0 at the start, and v_hat = v / (1 - b2^t).

    Deviations: those of `schedule_free_sgd`; the bias correction is made in v_hat, where the paper multiplies
    the rate by sqrt(1 - b2^t), and with it eps, the weight decay and the weights w. b2^t is the product of
    the decays so far where b2 is a schedule.
    """
    gradients, parameters = double_precision(gradients, parameters)
    directions = _adam_directions(gradients, b2, eps)
    return _schedule_free(directions, parameters, learning_rate, warmup_steps, b1, weight_decay, weight_lr_power)[0]


def schedule_free_adamw_average(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 0.0025,
    warmup_steps: int | None = None,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    weight_lr_power: Number = 2.0,
) -> np.ndarray:
    """Returns the averaged parameters x of `schedule_free_adamw` after each step, of shape (steps, n)."""
    gradients, parameters = double_precision(gradients, parameters)
    directions = _adam_directions(gradients, b2, eps)
    return _schedule_free(directions, parameters, learning_rate, warmup_steps, b1, weight_decay, weight_lr_power)[1]


def dpsgd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    l2_norm_clip: Number,
    momentum: Number | None = None,
    nesterov: bool = False,
) -> np.ndarray:
    """Differentially private SGD (Abadi et al. 2016, Algorithm 1), without its noise.

    The gradients are of shape (steps, batch, n), one for each example. With m = 0 at the start:

        g = mean over the batch of g_i / max(1, |g_i| / l2_norm_clip)
        m = momentum * m + g
        update = -learning_rate * m
        update = -learning_rate * (g + momentum * m), with the new m, if nesterov

    and update = -learning_rate * g without momentum.

    Deviations: the noise, which is left out, and the momentum, which the paper does not have.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients[:, 0])
    m = np.zeros_like(parameters)
    for step, examples in enumerate(gradients):
        clipped = []
        for example in examples:
            norm = np.sqrt(np.sum(abs_squared(example)))
            clipped.append(example / max(1.0, norm / at(l2_norm_clip, step)))
        direction = g = sum(clipped) / len(clipped)
        if momentum is not None:
            mu = at(momentum, step)
            m = mu * m + g
            direction = g + mu * m if nesterov else m
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates
