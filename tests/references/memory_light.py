"""Methods that keep less than one number per coordinate for the squared gradients: SM3 and Adafactor."""

from functools import reduce

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision


def sm3(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.9,
    eps: Number = 1e-8,
) -> np.ndarray:
    """SM3 (Anil et al. 2019, Algorithm SM3-II), where the sets of the cover are the slices along each axis.

    With m = 0 and one vector of accumulators for each axis, which are 0 at the start:

        nu = (the least of the accumulators whose slices the coordinate is in) + |g|^2
        accumulator of a slice = the largest nu in the slice
        direction = g / sqrt(nu + eps), and 0 where nu is 0
        m = momentum * m + (1 - momentum) * direction
        update = -learning_rate * m

    An array of one axis has one accumulator per coordinate, an array without axes one in all.

    Deviations: eps; the momentum, which is not part of the algorithm.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    shape = parameters.shape or (1,)
    axes = range(len(shape))
    accumulators = [np.zeros([n if axis == other else 1 for other, n in enumerate(shape)]) for axis in axes]
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        nu = reduce(np.minimum, accumulators) + abs_squared(g.reshape(shape))
        accumulators = [nu.max(axis=tuple(other for other in axes if other != axis), keepdims=True) for axis in axes]
        nu = nu.reshape(parameters.shape)
        direction = np.where(nu == 0, 0.0, g / np.sqrt(np.where(nu == 0, 1.0, nu + at(eps, step))))
        m = mu * m + (1 - mu) * direction
        updates[step] = -at(learning_rate, step) * m
    return updates


def _root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(abs_squared(x))))


def _factored_axes(shape: tuple[int, ...], min_dim_size_to_factor: int) -> tuple[int, int] | None:
    """Returns the two longest axes, the later ones among equals, or None where one of them is too short."""
    if len(shape) < 2:
        return None
    row, column = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))[-2:]
    return (row, column) if shape[row] >= min_dim_size_to_factor else None


def adafactor(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: Number | None = None,
    weight_decay_rate: Number | None = None,
    eps: float = 1e-30,
) -> np.ndarray:
    """Adafactor (Shazeer & Stern 2018, Algorithms 4 and 5).

    With v = r = c = m = 0 at the start, and t = 1 at the first step:

        beta = 1 - (t - decay_offset)^(-decay_rate)
        v = beta * v + (1 - beta) * (|g|^2 + eps)
        d = g / sqrt(v)
        d = d / max(1, rms(d) / clipping_threshold)   unless the threshold is None
        d = learning_rate * d                         unless the learning rate is None
        d = max(rms(parameter), 1e-3) * d             if multiply_by_parameter_scale
        m = momentum * m + (1 - momentum) * d, d = m  unless the momentum is None
        d = d + weight_decay_rate * parameter         unless the rate is None
        update = -d

    where rms is the root of the mean square over the array, and the parameter is the one before the
    update. An array of two axes or more whose two longest axes are at least min_dim_size_to_factor
    long is factored over them, each pair of the other indices by itself: instead of v it has

        r = beta * r + (1 - beta) * (the mean of |g|^2 + eps over the one axis)
        c = beta * c + (1 - beta) * (the mean of |g|^2 + eps over the other)
        v = r * c / (the mean of r over the other)

    Deviations: the learning rate, which the paper sets to min(1e-2, 1 / sqrt(t)), and which is 1 where
    it is None; means in the place of the paper's sums, which is the same v; the decay offset (at most
    0, as the steps are counted from the first), the momentum (without bias correction) and the weight
    decay, which the learning rate does not multiply.
    """
    if decay_offset > 0:
        raise ValueError(f"decay_offset is at most 0 where the steps are counted from the first, not {decay_offset}")
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    axes = _factored_axes(parameters.shape, min_dim_size_to_factor)
    m = np.zeros_like(parameters)
    v, rows, columns = np.zeros(parameters.shape), 0.0, 0.0
    for step, g in enumerate(gradients):
        beta = 1 - (step + 1 - decay_offset) ** (-decay_rate)
        squares = abs_squared(g) + eps
        if axes is None:
            v = beta * v + (1 - beta) * squares
        else:
            row, column = axes
            rows = beta * rows + (1 - beta) * squares.mean(axis=column, keepdims=True)
            columns = beta * columns + (1 - beta) * squares.mean(axis=row, keepdims=True)
            v = divide(rows, rows.mean(axis=row, keepdims=True)) * columns
        d = divide(g, np.sqrt(v))
        if clipping_threshold is not None:
            d = d / max(1.0, _root_mean_square(d) / clipping_threshold)
        if learning_rate is not None:
            d = at(learning_rate, step) * d
        if multiply_by_parameter_scale:
            d = max(_root_mean_square(parameters), 1e-3) * d
        if momentum is not None:
            m = at(momentum, step) * m + (1 - at(momentum, step)) * d
            d = m
        if weight_decay_rate is not None:
            d = d + at(weight_decay_rate, step) * parameters
        updates[step] = -d
        parameters = parameters + updates[step]
    return updates
