"""Later relatives of Adam: AdEMAMix, ADOPT, ACProp, MARS and AdamP.

Deviations of all: b^t is the product of the decays so far where b is a schedule; the weight decay takes the parameter
before the update and is multiplied by the learning rate.
"""

import math

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def ademamix(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    b3: Number = 0.9999,
    alpha: Number = 5.0,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """AdEMAMix (Pagliardini, Ablin & Grangier 2024, Algorithm 1).

    With m1 = m2 = v = 0 at the start:

        m1 = b1 * m1 + (1 - b1) * g                 m1_hat = m1 / (1 - b1^t)
        m2 = b3 * m2 + (1 - b3) * g
        v = b2 * v + (1 - b2) * |g|^2               v_hat = v / (1 - b2^t)
        direction = (m1_hat + alpha * m2) / (sqrt(v_hat + eps_root) + eps)
        update = -learning_rate * (direction + weight_decay * parameter)

    Deviations: eps_root; alpha and b3 are constants unless schedules are given, where the paper always warms them up.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m1, m2 = np.zeros_like(parameters), np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2, beta3 = at(b1, step), at(b2, step), at(b3, step)
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = beta3 * m2 + (1 - beta3) * g
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        mixed = divide(m1, 1 - b1_power) + at(alpha, step) * m2
        v_hat = divide(v, 1 - b2_power)
        direction = divide(mixed, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def simplified_ademamix(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.99,
    b2: Number = 0.95,
    alpha: Number = 0.0,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """Simplified AdEMAMix (Morwani et al. 2025).

    With m = v = 0 at the start:

        m = b1 * m + g
        v = b2 * v + (1 - b2) * |g|^2               v_hat = v / (1 - b2^t)
        direction = (m + alpha * g) / (sqrt(v_hat + eps_root) + eps)
        update = -learning_rate * (direction + weight_decay * parameter)

    Deviations: eps_root.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + g
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        b2_power = b2_power * beta2
        v_hat = divide(v, 1 - b2_power)
        mixed = m + at(alpha, step) * g
        direction = divide(mixed, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def adopt(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.9999,
    eps: Number = 1e-6,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """ADOPT (Taniguchi et al. 2024, Algorithm 2).

    At the first step, t = 0, v = |g|^2 and update = -learning_rate * weight_decay * parameter. Then, with m = 0 at the
    start and v before its own change:

        normed = clip(g / max(sqrt(v), eps), -t^0.25, t^0.25)
        m = b1 * m + (1 - b1) * normed
        update = -learning_rate * (m + weight_decay * parameter)
        v = b2 * v + (1 - b2) * |g|^2

    Deviations: the weight decay, which is not in the algorithm; of a complex number, the absolute value is clipped.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        if step == 0:
            v = abs_squared(g)
        else:
            normed = divide(g, np.maximum(np.sqrt(v), at(eps, step)))
            clipped = normed / np.maximum(np.abs(normed) / step**0.25, 1.0)
            m = beta1 * m + (1 - beta1) * clipped
            v = beta2 * v + (1 - beta2) * abs_squared(g)
        updates[step] = -at(learning_rate, step) * (m + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def acprop(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-16,
    eps_root: Number = 1e-16,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """ACProp (Zhuang et al. 2021).

    With m = s = 0 at the start, and s before its own change:

        denominator = sqrt(s / (1 - b2^(t-1)) + eps_root) + eps, and 1 at the first step, t = 1
        update = -learning_rate * (g / denominator + weight_decay * parameter)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * |g - m|^2, with the new m

    The first step, where s is still 0, and the bias correction of s are as in common implementations. Deviations:
    eps_root is added under the root alone and is not accumulated in s; the weight decay.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    s = np.zeros(parameters.shape)
    b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        denominator = np.ones(parameters.shape)
        if step > 0:
            denominator = np.sqrt(divide(s, 1 - b2_power) + at(eps_root, step)) + at(eps, step)
        direction = divide(g, denominator)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * abs_squared(g - m)
        b2_power = b2_power * beta2
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def mars(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.95,
    b2: Number = 0.99,
    eps: Number = 1e-8,
    gamma: Number = 0.025,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """MARS-AdamW (Yuan et al. 2024) in its approximate form, which takes the last gradient for the last batch's.

    With m = v = 0 at the start, and difference = g - (the gradient before), 0 at the first step:

        c = g + gamma * b1 / (1 - b1) * difference
        c = c / max(norm(c), 1), with the norm of the whole array
        m = b1 * m + (1 - b1) * c                   m_hat = m / (1 - b1^t)
        v = b2 * v + (1 - b2) * |c|^2               v_hat = v / (1 - b2^t)
        update = -learning_rate * (m_hat / (sqrt(v_hat) + eps) + weight_decay * parameter)
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        difference = g - gradients[step - 1] if step > 0 else np.zeros_like(g)
        c = g + at(gamma, step) * beta1 / (1 - beta1) * difference
        c = c / max(math.sqrt(np.sum(abs_squared(c))), 1.0)
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * abs_squared(c)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        m_hat = divide(m, 1 - b1_power)
        v_hat = divide(v, 1 - b2_power)
        direction = divide(m_hat, np.sqrt(v_hat) + at(eps, step))
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def _dot(x: np.ndarray, y: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Returns the dot products over the axes, which are kept; a complex number counts as two real ones."""
    return np.sum(x.real * y.real + x.imag * y.imag, axis=axes, keepdims=True)


def _without_radial_part(
    direction: np.ndarray, g: np.ndarray, parameters: np.ndarray, delta: float
) -> tuple[np.ndarray, bool]:
    """Returns the direction that AdamP follows, and whether it has been projected."""
    all_axes = tuple(range(parameters.ndim))
    if parameters.ndim < 2:
        return direction, False
    for axes in (all_axes[:-1], all_axes):
        squares = _dot(parameters, parameters, axes)
        cosines = divide(np.abs(_dot(g, parameters, axes)), np.sqrt(_dot(g, g, axes) * squares))
        size = math.prod(parameters.shape[axis] for axis in axes)
        if np.max(cosines) < delta / math.sqrt(size):
            radial = divide(_dot(direction, parameters, axes), squares) * parameters
            return direction - radial, True
    return direction, False


def adamp(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
    delta: Number = 0.1,
    wd_ratio: Number = 0.1,
) -> np.ndarray:
    """AdamP (Heo et al. 2021, Algorithm 2), for arrays of any shape.

    With m_hat and v_hat as in `adam`, and direction = m_hat / (sqrt(v_hat) + eps), an array of two axes or more is
    seen first as one vector for each index of its last axis, then as a single vector. In the first of these views in
    which, for every vector, the cosine c of gradient g and parameter p is small,

        c = |g . p| / (norm(g) * norm(p)) < delta / sqrt(the number of entries of the vector)

    every vector of the direction loses its radial part, and the weight decay is reduced:

        direction = direction - (direction . p) / (p . p) * p
        weight_decay = weight_decay * wd_ratio

    In neither view, and for arrays of fewer axes, both stay as they are. Then

        update = -learning_rate * (direction + weight_decay * parameter)

    Deviations: a channel is an index of the last axis, where the authors take the first; the reduced weight decay
    follows the authors' code. eps stands in the Adam direction alone, and a cosine with a vector of zeros is 0.
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
        direction, projected = _without_radial_part(direction, g, parameters, at(delta, step))
        decay = at(weight_decay, step) * (at(wd_ratio, step) if projected else 1.0)
        updates[step] = -at(learning_rate, step) * (direction + decay * parameters)
        parameters = parameters + updates[step]
    return updates
