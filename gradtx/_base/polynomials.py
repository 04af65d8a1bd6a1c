"""Polynomials that bring the singular values of a matrix to 1: tables of coefficients, computed in float64."""

import functools
from typing import NamedTuple

import numpy as np

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError, short


class Polynomials(NamedTuple):
    """Odd polynomials of degree 5, applied one after the other: `x -> a x + b x^3 + c x^5`.

    Attributes:
        coefficients: `(a, b, c)` for each.
        band: the least and the largest value to which numbers between `lowest` and 1 are brought.
    """

    coefficients: tuple[tuple[float, float, float], ...]
    band: tuple[float, float]


@explains_calls("linalg.minimax_polynomials")
@functools.lru_cache
def minimax_polynomials(steps: int, lowest: float = 1e-3, cushion: float = 0.0, safety: float = 0.0) -> Polynomials:
    r"""The odd polynomials of degree 5 that bring the numbers between `lowest` and 1 nearest to 1, one after the other.

    Each is the best for what those before it leave: of all :math:`p(x) = ax + bx^3 + cx^5` it has the least
    :math:`\max |1 - p(x)|` on the interval, which is then the next one's.

    Args:
        steps: how many polynomials.
        lowest: the least number that has to come into the band, in (0, 1].
        cushion: each polynomial is computed for an interval that begins at this fraction of its end at least. Without
            it the first ones are steep at their ends, which half precision does not survive.
        safety: the numbers may exceed the intervals by this fraction, by rounding.

    References: Amsel, Persson, Musco and Gower, "The Polar Express: Optimal Matrix Sign Methods and Their Application
    to the Muon Algorithm", 2025, algorithm 1 and section 4.4, whose table is that of a cushion of 0.02407; Grishina,
    Smirnov and Rakhuba, "Accelerating Newton-Schulz Iteration for Orthogonalization via Chebyshev-type Polynomials",
    2025, without a cushion.
    """
    if not 0 < lowest <= 1:
        raise GradtxValueError(f"lowest: expected a number above 0 and at most 1, got {short(lowest)}")
    low, high, rows = float(lowest), 1.0, []
    for _ in range(steps):
        start = max(low, cushion * high)
        row = _best_on(start, high)
        if start > low:  # centred around 1 again
            row = row * 2.0 / (_value(row, low) + _value(row, high))
        row = row / (1.0 + safety) ** np.array([1.0, 3.0, 5.0])
        low, high = _image(row, low, high)
        rows.append(tuple(map(float, row)))
    return Polynomials(tuple(rows), (float(low), float(high)))


def band_of(coefficients: tuple[tuple[float, float, float], ...], lowest: float) -> tuple[float, float]:
    """Where these polynomials bring the numbers between `lowest` and 1."""
    low, high = lowest, 1.0
    for row in coefficients:
        low, high = _image(np.array(row, float), low, high)
    return float(low), float(high)


def _best_on(low: float, high: float) -> np.ndarray:
    """The best polynomial on an interval, by Remez' exchange: it alternates between 1 - e and 1 + e at four points."""
    low = low / high
    if low > 1 - 5e-6:  # the points fall together, and the best polynomial touches 1 there
        return np.array([15.0, -10.0, 3.0]) / 8.0 / high ** np.array([1.0, 3.0, 5.0])
    inner, error = np.array([(3 * low + 1) / 4, (low + 3) / 4]), np.inf
    signs = np.array([1.0, -1.0, 1.0, -1.0])
    while True:
        points = np.array([low, *inner, 1.0])
        *row, now = np.linalg.solve(np.stack([points, points**3, points**5, signs], axis=1), np.ones(4))
        if abs(now - error) < 1e-15:
            return np.array(row) / high ** np.array([1.0, 3.0, 5.0])
        error, inner = now, _extremes(np.array(row))


def _value(row: np.ndarray, x: float) -> float:
    return float(row @ np.array([x, x**3, x**5]))


def _extremes(row: np.ndarray) -> np.ndarray:
    """Where the derivative is 0: the roots of `a + 3 b y + 5 c y^2`, whose `y` is the square, that are positive."""
    a, b, c = row
    discriminant = 9 * b * b - 20 * a * c
    if c == 0:
        return np.sqrt(np.array([-a / (3 * b)])) if a * b < 0 else np.array([])
    if discriminant < 0:
        return np.array([])
    squares = (-3 * b + np.array([-1.0, 1.0]) * np.sqrt(discriminant)) / (10 * c)
    return np.sort(np.sqrt(squares[squares > 0]))


def _image(row: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The least and the largest value of the polynomial on an interval."""
    points = [low, high, *(x for x in _extremes(row) if low < x < high)]
    values = [_value(row, x) for x in points]
    return min(values), max(values)
