"""Variants of Adam: the directions at all steps at once, then the descent along them.

Arrays are of shape (steps, n), numbers of shape (steps, 1). Unless a docstring says otherwise,
    m = b1 * m + (1 - b1) * g          m_hat = m / (1 - b1^t)
    v = b2 * v + (1 - b2) * |g|^2      v_hat = v / (1 - b2^t)
with m = v = 0 at the start. Deviations of all: eps_root is added under the root; b^t is the product
of the decays so far where b is a schedule; the weight decay, where the mask is True (everywhere
without a mask), takes the parameter before the update and is multiplied by the learning rate.
"""

import numpy as np

from ._common import abs_squared, at, divide, double_precision


def _values(number, gradients):
    return np.reshape([at(number, step) for step in range(len(gradients))], (-1, 1))


def _average(values, decay):
    averages, average = np.zeros_like(values), np.zeros_like(values[0])
    for step, beta in enumerate(_values(decay, values)):
        average = beta * average + (1 - beta) * values[step]
        averages[step] = average
    return averages


def _corrected(averages, decay):
    return divide(averages, 1 - np.cumprod(_values(decay, averages), axis=0))


def _scaled(numerator, squares, eps, eps_root=0.0):
    return divide(numerator, np.sqrt(squares + _values(eps_root, squares)) + _values(eps, squares))


def _descend(parameters, directions, learning_rate, weight_decay=0.0, mask=None):
    updates = np.zeros_like(directions)
    decayed = np.ones(parameters.shape, bool) if mask is None else np.asarray(mask, bool)
    for step, direction in enumerate(directions):
        decay = np.where(decayed, at(weight_decay, step) * parameters, 0.0)
        updates[step] = -at(learning_rate, step) * (direction + decay)
        parameters = parameters + updates[step]
    return updates


def nadam(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0):
    """NAdam (Dozat 2016): `nadamw` without weight decay."""
    numbers = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return nadamw(gradients, parameters, **numbers, weight_decay=0.0)


def nadamw(
    gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=1e-4, mask=None
):
    """NAdam (Dozat 2016) with the weight decay of AdamW (Loshchilov & Hutter 2019).

    m_hat = b1 * m / (1 - b1^(t+1)) + (1 - b1) * g / (1 - b1^t)
    update = -learning_rate * (m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay * parameter)
    Deviations: b1 does not follow Dozat's schedule; where it is one, the next b1 is the current one.
    """
    g, parameters = double_precision(gradients, parameters)
    beta1, power = _values(b1, g), np.cumprod(_values(b1, g), axis=0)
    m_hat = beta1 * divide(_average(g, b1), 1 - power * beta1) + divide((1 - beta1) * g, 1 - power)
    v_hat = _corrected(_average(abs_squared(g), b2), b2)
    return _descend(parameters, _scaled(m_hat, v_hat, eps, eps_root), learning_rate, weight_decay, mask)


def amsgrad(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, corrected=True):
    """AMSGrad (Reddi, Kale & Kumar 2018, Algorithm 2): -learning_rate * m_hat / (sqrt(w + eps_root) + eps).

    w = max of v_hat so far, if corrected; else w = (max of v so far) / (1 - b2^t).
    Deviations: eps and the bias corrections, which the paper does not have.
    """
    g, parameters = double_precision(gradients, parameters)
    v = _average(abs_squared(g), b2)
    largest = np.maximum.accumulate(_corrected(v, b2)) if corrected else _corrected(np.maximum.accumulate(v), b2)
    return _descend(parameters, _scaled(_corrected(_average(g, b1), b1), largest, eps, eps_root), learning_rate)


def yogi(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-3, initial_accumulator_value=1e-6):
    """Yogi (Zaheer et al. 2018, Algorithm 2): -learning_rate * m_hat / (sqrt(v_hat) + eps).

    v = v - (1 - b2) * sign(v - |g|^2) * |g|^2, with v = initial_accumulator_value at the start.
    Deviations: the bias corrections, which the paper does not have.
    """
    g, parameters = double_precision(gradients, parameters)
    squares, v = abs_squared(g), np.zeros(g.shape)
    last = np.full(parameters.shape, at(initial_accumulator_value, 0))
    for step, beta2 in enumerate(_values(b2, g)):
        last = v[step] = last - (1 - beta2) * np.sign(last - squares[step]) * squares[step]
    return _descend(parameters, _scaled(_corrected(_average(g, b1), b1), _corrected(v, b2), eps), learning_rate)


def adamaxw(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=1e-4, mask=None):
    """AdaMaxW, AdaMax (Kingma & Ba 2015, Algorithm 2): -learning_rate * (m_hat / (u + eps) + weight_decay * parameter).

    u = max(b2 * u, |g|), with u = 0 at the start; the decay is that of AdamW (Loshchilov & Hutter 2019).
    Deviations: eps, which the paper does not have.
    """
    g, parameters = double_precision(gradients, parameters)
    u, last = np.zeros(g.shape), np.zeros(parameters.shape)
    for step, beta2 in enumerate(_values(b2, g)):
        last = u[step] = np.maximum(beta2 * last, np.abs(g[step]))
    directions = divide(_corrected(_average(g, b1), b1), u + _values(eps, g))
    return _descend(parameters, directions, learning_rate, weight_decay, mask)


def laprop(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-15, eps_root=0.0):
    """LaProp (Ziyin, Wang & Ueda 2020): -learning_rate * m_hat.

    m = b1 * m + (1 - b1) * g / (sqrt(v_hat + eps_root) + eps), so that the momentum follows the scaling.
    """
    g, parameters = double_precision(gradients, parameters)
    m = _average(_scaled(g, _corrected(_average(abs_squared(g), b2), b2), eps, eps_root), b1)
    return _descend(parameters, _corrected(m, b1), learning_rate)


def padam(gradients, parameters, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, partial=0.25):
    """Padam (Chen et al. 2018, Algorithm 1): -learning_rate * m / (w^partial + eps), w = max of v so far.

    There are no bias corrections; partial is the paper's p. Deviations: eps, outside the power.
    """
    g, parameters = double_precision(gradients, parameters)
    largest = np.maximum.accumulate(_average(abs_squared(g), b2))
    directions = divide(_average(g, b1), largest ** _values(partial, g) + _values(eps, g))
    return _descend(parameters, directions, learning_rate)


def qhadam(gradients, parameters, *, learning_rate, b1=0.995, b2=0.999, nu1=0.7, nu2=1.0, eps=1e-8):
    """QHAdam (Ma & Yarats 2019):
    -learning_rate * ((1 - nu1) * g + nu1 * m_hat) / (sqrt((1 - nu2) * |g|^2 + nu2 * v_hat) + eps).
    """
    g, parameters = double_precision(gradients, parameters)
    nu1, nu2 = _values(nu1, g), _values(nu2, g)
    numerator = (1 - nu1) * g + nu1 * _corrected(_average(g, b1), b1)
    squares = (1 - nu2) * abs_squared(g) + nu2 * _corrected(_average(abs_squared(g), b2), b2)
    return _descend(parameters, _scaled(numerator, squares, eps), learning_rate)
