"""Optimizers that estimate their own learning rate.

x0 stands for the initial parameters, x for the parameters before the update, |.| for the Euclidean norm
of the whole array and <., .> for the inner product over it (its real part, where the arrays are complex).
"""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision, inner, squared_norm


def dog(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    init_step: tuple[str, float] = ("heuristic", 1e-6),
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """DoG, distance over gradients (Ivgi, Hinder & Carmon 2023).

    With G = 0 and r = r_eps at the start:

        r = max(r, |x - x0|)
        G = G + |g|^2
        eta = r / sqrt(G + eps)
        update = -learning_rate * eta * g

    with g + weight_decay * x for g, where init_step is ("heuristic", a): r_eps = a * (1 + |x0|), or ("distance", a):
    r_eps = a, or ("learning_rate", a): r_eps = 0, and eta = a at the first step.

    Deviations: the weight decay, which is not part of the paper's update.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    start = parameters
    kind, amount = init_step
    r = {"heuristic": amount * (1 + np.sqrt(squared_norm(start))), "distance": amount, "learning_rate": 0.0}[kind]
    sum_of_squares = 0.0
    for step, g in enumerate(gradients):
        g = g + at(weight_decay, step) * parameters
        r = max(r, np.sqrt(squared_norm(parameters - start)))
        sum_of_squares += squared_norm(g)
        direction = divide(r * g, np.sqrt(sum_of_squares + at(eps, step)))
        if kind == "learning_rate" and step == 0:
            direction = amount * g
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def dowg(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    init_estim_sq_dist: float | None = None,
    eps: Number = 1e-4,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """DoWG, distance over weighted gradients (Khaled, Mishchenko & Jin 2023, Algorithm 1).

    With v = 0 and r2 = init_estim_sq_dist (eps where that is None) at the start:

        r2 = max(r2, |x - x0|^2)
        v = v + r2 * |g|^2
        eta = r2 / (sqrt(v) + eps)
        update = -learning_rate * eta * g

    with g + weight_decay * x for g.

    Deviations: eps in the denominator, and the weight decay, which the paper does not have; the initial
    estimate is of the squared distance.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    start = parameters
    r2 = at(eps, 0) if init_estim_sq_dist is None else init_estim_sq_dist
    v = 0.0
    for step, g in enumerate(gradients):
        g = g + at(weight_decay, step) * parameters
        r2 = max(r2, squared_norm(parameters - start))
        v += r2 * squared_norm(g)
        direction = divide(r2 * g, np.sqrt(v) + at(eps, step))
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates


def dadapt_adamw(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """D-Adaptation for Adam (Defazio & Mishchenko 2023).

    With m = v = s = 0, r = 0 and d = estim_lr0 at the start, and b3 = sqrt(b2):

        rate = learning_rate * d * sqrt(1 - b2^t) / (1 - b1^t)
        r = b3 * r + (1 - b3) * rate * <g, s / (sqrt(v) + eps)>, with the s and v before this step
        m = b1 * m + (1 - b1) * rate * g
        v = b2 * v + (1 - b2) * |g|^2
        s = b3 * s + (1 - b3) * rate * g
        d = max(d, r / ((1 - b3) * sum |s|)), used from the next step on
        update = -m / (sqrt(v) + eps) - rate * weight_decay * x

    Deviations: the bias corrections in the rate (eps is not scaled with them); the inner product in r takes
    the v before this step; the weight decay is multiplied by the whole rate.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m, s = np.zeros_like(parameters), np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    r, d = 0.0, estim_lr0
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2, epsilon = at(b1, step), at(b2, step), at(eps, step)
        beta3 = np.sqrt(beta2)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        rate = at(learning_rate, step) * d * np.sqrt(1 - b2_power) / (1 - b1_power)
        r = beta3 * r + (1 - beta3) * rate * inner(g, divide(s, np.sqrt(v) + epsilon))
        m = beta1 * m + (1 - beta1) * rate * g
        v = beta2 * v + (1 - beta2) * abs_squared(g)
        s = beta3 * s + (1 - beta3) * rate * g
        d = max(d, float(divide(r, (1 - beta3) * np.sum(np.abs(s)))))
        updates[step] = -divide(m, np.sqrt(v) + epsilon) - rate * at(weight_decay, step) * parameters
        parameters = parameters + updates[step]
    return updates


def prodigy(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    b1: Number = 0.9,
    b2: Number = 0.999,
    beta3: Number | None = None,
    eps: Number = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: Number = 1.0,
    weight_decay: Number = 0.0,
    safeguard_warmup: bool = False,
) -> np.ndarray:
    """Prodigy for Adam (Mishchenko & Defazio 2023).

    With m = v = s = 0, r = 0 and d = estim_lr0 at the start, and beta3 = sqrt(b2) where it is None:

        rate = learning_rate * d * sqrt(1 - b2^t) / (1 - b1^t)
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * d^2 * |g|^2
        r = beta3 * r + rate * d * <g, x0 - x>
        s = beta3 * s + rate * d * g, with d in place of the rate if safeguard_warmup
        d_new = max(d, estim_lr_coef * r / sum |s|), used as d from the next step on
        update = -rate * (m / (sqrt(v) + d_new * eps) + weight_decay * x)

    Deviations: the bias corrections in the rate; eps is multiplied by d_new, where the paper has d; beta3,
    estim_lr_coef and safeguard_warmup. The paper's factors 1 - beta3 in r and s cancel.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    start = parameters
    m, s = np.zeros_like(parameters), np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    r, d = 0.0, estim_lr0
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        beta1, beta2 = at(b1, step), at(b2, step)
        decay = np.sqrt(beta2) if beta3 is None else at(beta3, step)
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        rate = at(learning_rate, step) * d * np.sqrt(1 - b2_power) / (1 - b1_power)
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d**2 * abs_squared(g)
        r = decay * r + rate * d * inner(g, start - parameters)
        s = decay * s + (d if safeguard_warmup else rate) * d * g
        d = max(d, float(divide(at(estim_lr_coef, step) * r, np.sum(np.abs(s)))))
        direction = divide(m, np.sqrt(v) + d * at(eps, step))
        updates[step] = -rate * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def cocob(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    alpha: Number = 100.0,
    eps: float = 1e-8,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """COCOB-Backprop (Orabona & Tommasi 2017, Algorithm 2), for real arrays, element by element.

    With G = R = theta = 0 and L = eps at the start:

        L = max(L, |g|)
        G = G + |g|
        R = max(R - g * (x - x0), 0)
        theta = theta - g
        bet = theta / (L * max(G + L, alpha * L)) * (L + R)
        update = x0 + bet - x

    with learning_rate * (g + weight_decay * x) for g.

    Deviations: the learning rate and the weight decay, which the paper does not have; eps, where it has L = 0.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    start = parameters
    largest = np.full(parameters.shape, eps)
    total, reward, theta = (np.zeros_like(parameters) for _ in range(3))
    for step, g in enumerate(gradients):
        g = at(learning_rate, step) * (g + at(weight_decay, step) * parameters)
        largest = np.maximum(largest, np.abs(g))
        total = total + np.abs(g)
        reward = np.maximum(reward - g * (parameters - start), 0.0)
        theta = theta - g
        scale = largest * np.maximum(total + largest, at(alpha, step) * largest)
        bet = divide(theta, scale) * (largest + reward)
        updates[step] = start + bet - parameters
        parameters = parameters + updates[step]
    return updates


def mechanize_sgd(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number = 1.0,
    s_init: float = 1e-6,
    num_betas: int = 6,
    weight_decay: Number = 0.01,
    eps: Number = 1e-8,
) -> np.ndarray:
    """Mechanic (Cutkosky, Defazio & Mehta 2023, Algorithm 1) around gradient descent.

    m, v, r and s are vectors, with one element for each of the decays b = 1 - 0.1^i, i = 1 .. num_betas.
    With m = v = r = 0 and s = s_init at the start, S = sum of s, and the update u = -learning_rate * g within:

        offset = (x - x0) / (S + eps)
        h = -<offset, g + weight_decay * S * |g| / (|x| + eps) * x>
        r = b * r + s * clip(h, -m, m), with the s and m before this step
        m = max(b * m, |h| + eps)
        v = b^2 * v + h^2
        s = (s_init / num_betas * m + max(r, 0)) / (sqrt(v) + eps)
        x = x0 + S * (offset + u), with the new S

    Deviations: the offset, the sum of the u so far, is recovered from x, which makes it smaller by the factor
    S / (S + eps) at every step; eps in the offset, in h and in m; h is clipped by the m before this step, and
    r is not kept above 0, only what is taken of it is.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    start = parameters
    b = 1 - 0.1 ** np.arange(1, num_betas + 1)
    m, v, r = np.zeros(num_betas), np.zeros(num_betas), np.zeros(num_betas)
    s = np.full(num_betas, s_init)
    for step, g in enumerate(gradients):
        epsilon, total = at(eps, step), np.sum(s)
        offset = divide(parameters - start, total + epsilon)
        unit = divide(parameters, np.sqrt(squared_norm(parameters)) + epsilon)
        h = -inner(offset, g + at(weight_decay, step) * total * np.sqrt(squared_norm(g)) * unit)
        r = b * r + s * np.clip(h, -m, m)
        m = np.maximum(b * m, abs(h) + epsilon)
        v = b**2 * v + h**2
        s = divide(s_init / num_betas * m + np.maximum(r, 0.0), np.sqrt(v) + epsilon)
        updates[step] = start + np.sum(s) * (offset - at(learning_rate, step) * g) - parameters
        parameters = parameters + updates[step]
    return updates
