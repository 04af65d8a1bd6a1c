"""More methods that divide by a running root mean square: RMSProp with corrections, RAdam, AdaBelief and others.

Deviations of all: b^t is the product of the decays so far where b is a schedule, and eps_root is added under the root.
"""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def rmsprop_corrected(
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
    """RMSProp (Tieleman & Hinton 2012; centered, Graves 2013) with the bias corrections of Adam (Kingma & Ba 2015).

    With v = mean = m = 0 at the start:

        v = decay * v + (1 - decay) * |g|^2                 v_hat = v / (1 - decay^t)
        mean = decay * mean + (1 - decay) * g               mean_hat = mean / (1 - decay^t)
        variance = max(v_hat - |mean_hat|^2, 0) if centered, else v_hat
        direction = g / (sqrt(variance + eps_root) + eps)
        m = momentum * m + direction
        update = -learning_rate * m
        update = -learning_rate * (direction + momentum * m), with the new m, if nesterov

    and update = -learning_rate * direction without momentum.

    Deviations: the corrections, which neither source of RMSProp has; a variance made negative by rounding counts
    as 0; momentum is not corrected. The variance of the first step is 0 but for rounding, so that the centered
    update is then g / eps without eps_root, and follows the rounding where eps is small as well.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    v = np.zeros(parameters.shape)
    mean = np.zeros_like(parameters)
    m = np.zeros_like(parameters)
    power = 1.0
    for step, g in enumerate(gradients):
        d = at(decay, step)
        power = power * d
        v = d * v + (1 - d) * abs_squared(g)
        mean = d * mean + (1 - d) * g
        variance = divide(v, 1 - power)
        if centered:
            variance = np.maximum(variance - abs_squared(divide(mean, 1 - power)), 0.0)
        direction = divide(g, np.sqrt(variance + at(eps_root, step)) + at(eps, step))
        if momentum is not None:
            mu = at(momentum, step)
            m = mu * m + direction
            direction = direction + mu * m if nesterov else m
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def radam(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
    threshold: float = 5.0,
) -> np.ndarray:
    """Rectified Adam (Liu et al. 2020, Algorithm 2).

    With m_hat and v_hat as in `adam`, and t = 1 at the first step:

        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 * t * b2^t / (1 - b2^t)
        r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        update = -learning_rate * r * m_hat / (sqrt(v_hat + eps_root) + eps) if rho >= threshold
        update = -learning_rate * m_hat otherwise

    Deviations: eps; the paper rectifies where rho > 4. Where b2 is a schedule, rho_inf takes the current one.
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
        direction = divide(m, 1 - b1_power)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * (step + 1) * b2_power / (1 - b2_power)
        if rho >= threshold:
            r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            v_hat = divide(v, 1 - b2_power)
            direction = r * divide(direction, np.sqrt(v_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def adabelief(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-16,
    eps_root: Number = 1e-16,
) -> np.ndarray:
    """AdaBelief (Zhuang et al. 2020, Algorithm 2).

    With m = s = 0 at the start:

        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * |g - m|^2, with the new m
        m_hat = m / (1 - b1^t)
        s_hat = s / (1 - b2^t)
        update = -learning_rate * m_hat / (sqrt(s_hat + eps_root) + eps)

    Deviations: eps_root is added under the root alone, where the paper adds its eps to s at every step, and so
    accumulates it; both constants are 1e-16, where the paper's is 1e-8.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    s = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * abs_squared(g - m)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        m_hat = divide(m, 1 - b1_power)
        s_hat = divide(s, 1 - b2_power)
        direction = divide(m_hat, np.sqrt(s_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def adan(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.98,
    b2: Number = 0.92,
    b3: Number = 0.99,
    eps: Number = 1e-8,
    eps_root: Number = 1e-8,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """Adan (Xie et al. 2022, Algorithm 1), every b being 1 minus the paper's beta.

    With m = v = n = 0 at the start, and difference = g - (the gradient before), 0 at the first step:

        m = b1 * m + (1 - b1) * g                                       m_hat = m / (1 - b1^t)
        v = b2 * v + (1 - b2) * difference                              v_hat = v / (1 - b2^t)
        n = b3 * n + (1 - b3) * |g + b2 * difference|^2                 n_hat = n / (1 - b3^t)
        direction = (m_hat + b2 * v_hat) / (sqrt(n_hat + eps_root) + eps)
        update = -learning_rate * (direction + weight_decay * parameter)

    with the parameter before the update.

    Deviations: the bias corrections, in place of the paper's m_0 = g_0, v_1 = g_1 - g_0 and n_0 = |g_0|^2; eps_root;
    the weight decay is that of AdamW, where the paper divides the parameter by 1 + weight_decay * learning_rate.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    n = np.zeros(parameters.shape)
    b1_power = b2_power = b3_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2, beta3 = at(b1, step), at(b2, step), at(b3, step)
        difference = g - gradients[step - 1] if step > 0 else np.zeros_like(g)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * difference
        n = beta3 * n + (1 - beta3) * abs_squared(g + beta2 * difference)
        b1_power, b2_power, b3_power = b1_power * beta1, b2_power * beta2, b3_power * beta3
        numerator = divide(m, 1 - b1_power) + beta2 * divide(v, 1 - b2_power)
        n_hat = divide(n, 1 - b3_power)
        direction = divide(numerator, np.sqrt(n_hat + at(eps_root, step)) + at(eps, step))
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def adabound(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    final_lr: Number = 0.1,
    gamma: Number = 1e-3,
) -> np.ndarray:
    """AdaBound (Luo et al. 2019, Algorithm 2).

    With m_hat and v_hat as in `adam`, and t = 1 at the first step:

        lower = final_lr * (1 - 1 / (gamma * t + 1))
        upper = final_lr * (1 + 1 / (gamma * t))
        update = -clip(learning_rate / (sqrt(v_hat) + eps), lower, upper) * m_hat

    Deviations: eps and the bias corrections, which the paper does not have; no division by sqrt(t); gamma stands for
    the paper's 1 - b2. The bounds do not follow a schedule of the learning rate.
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
        speed = at(gamma, step) * (step + 1)
        lower = at(final_lr, step) * (1 - 1 / (speed + 1))
        upper = at(final_lr, step) * (1 + 1 / speed)
        rate = np.clip(at(learning_rate, step) / (np.sqrt(v_hat) + at(eps, step)), lower, upper)
        updates[step] = -rate * m_hat
        parameters = parameters + updates[step]
    return updates


def optimistic_adam(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    alpha: Number = 1.0,
    beta: Number = 1.0,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    eps_root: Number = 0.0,
) -> np.ndarray:
    """Optimistic Adam (Daskalakis et al. 2018, Algorithm 1).

    With m_hat and v_hat as in `adam`, and previous = 0 at the start:

        direction = m_hat / (sqrt(v_hat + eps_root) + eps)
        update = -learning_rate * ((alpha + beta) * direction - beta * previous)
        previous = direction

    Deviations: alpha and beta, which are 1 in the paper.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m, previous = np.zeros_like(parameters), np.zeros_like(parameters)
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
        a, b = at(alpha, step), at(beta, step)
        updates[step] = -at(learning_rate, step) * ((a + b) * direction - b * previous)
        previous = direction
        parameters = parameters + updates[step]
    return updates
