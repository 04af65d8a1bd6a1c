"""PSGD-Kron, GaLore, Dion2, the parts of quasi-Newton methods, and classic test problems for minimizers.

Shapes and signs are those of `matrices`: gradients of shape (steps, m, n), rows are the m inputs, columns the n
outputs, |x| is the Frobenius norm, x^H the conjugate transpose, 0/0 is 0. Schedules are called with the step, from 0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision, inner
from .adam import adam
from .matrices import adjoint, norm, polar, shape_factor
from .matrices_more import matrix_power

Factors = list[np.ndarray]
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


def norm_lower_bound(a: np.ndarray) -> float:
    """A lower bound of the spectral norm of a Hermitian matrix: |A^3 e| / |A^2 e|, and 0 for 0.

    e is the unit vector of the row with the largest Euclidean norm, the first of equal ones. Source: psgd_torch (Li, in
    May 2025), kron_torch; both divide by the largest |entry| first, as here. Decision: not the later bound of
    psgd_torch (October 2025), two power steps each way of 32 random rows that are turned towards that row.
    """
    largest = np.max(np.abs(a), initial=0.0)
    a = divide(a, largest)
    x = a @ np.conj(a[np.argmax(np.sum(abs_squared(a), axis=1))])
    return float(largest * norm(a @ divide(x, norm(x))))


def psgd_start(shape: tuple[int, ...], scale: float, max_size: int = 8192) -> Factors:
    """Q of each side: scale^(1 / sides) times the identity, or a vector of it where the side is diagonal.

    Diagonal are a side longer than max_size and the side of a vector (kron_torch). Decision: no limit to the ratio of
    the sides, where psgd_torch, with max_skew=1, makes the longer side of every matrix that is not square diagonal.
    """
    root = scale ** (1 / len(shape))
    return [root * (np.ones(n) if len(shape) == 1 or n > max_size else np.eye(n)) for n in shape]


def psgd_precondition(factors: Factors, g: np.ndarray) -> np.ndarray:
    """Applies P = Q^H Q of each side to that side: P_1 g P_2^T for a matrix; P = |q|^2 where Q is a diagonal q."""
    for side, q in enumerate(factors):
        p = np.diag(abs_squared(q)) if q.ndim == 1 else adjoint(q) @ q
        g = np.moveaxis(np.tensordot(p, g, axes=(1, side)), 0, side)
    return g


def psgd_fit(factors: Factors, smoothness: list[float], g: np.ndarray, rate: float) -> tuple[Factors, list[float]]:
    """One QUAD step of the Q and the L of all sides (psgd_torch, Li 2025; theory: Li 2024, arXiv 2402.11858).

    With X = P g, by the old Q of all sides, unfolded so that the rows are the n_i entries of the side:

        E = X X^H - size / n_i * I
        l = norm_lower_bound(X X^H) + size / n_i
        L = max(0.9 L + 0.1 l, l)
        Q = (I - rate / (2 L) * E) Q (I - rate / (2 L) * E), and then (Q + Q^H) / 2

    A diagonal side takes the diagonal of X X^H, and its largest entry for the bound. At rest the mean of E / L is 0:
    P g is white, with a mean square of 1, or some per cent above it, since L grows with the draws that are large.
    """
    white = psgd_precondition(factors, g)
    new_factors, new_smoothness = [], []
    for side, (q, old) in enumerate(zip(factors, smoothness, strict=True)):
        x = np.moveaxis(white, side, 0).reshape(len(q), -1)
        wanted = x.shape[1]
        seen = np.sum(abs_squared(x), axis=1) if q.ndim == 1 else x @ adjoint(x)
        now = (float(np.max(seen)) if q.ndim == 1 else norm_lower_bound(seen)) + wanted
        new_smoothness.append(max(0.9 * old + 0.1 * now, now))
        half = rate / (2 * new_smoothness[-1])
        if q.ndim == 1:
            q = q * (1 - half * (seen - wanted)) ** 2
        else:
            q = q - half * (seen @ q - wanted * q)
            q = q - half * (q @ seen - wanted * q)
            q = (q + adjoint(q)) / 2
        new_factors.append(q)
    return new_factors, new_smoothness


def psgd_balance(factors: Factors) -> Factors:
    """Scales each Q so that its largest |entry| is the geometric mean of those of all sides (psgd_torch, kron_torch).

    P stays as a whole, and so do all updates, now and later: QUAD commutes with numbers c_i whose product is 1. So
    `psgd_kron` leaves it out, where the codes do it with a probability of 0.01 at each fit.
    """
    largest = [np.max(np.abs(q)) for q in factors]
    mean = np.prod(largest) ** (1 / len(factors))
    return [q * (mean / size) for q, size in zip(factors, largest, strict=True)]


def psgd_kron(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    rate: Number = 0.1,
    every: int = 1,
    fit: str = "momentum",
    fit_first: bool = True,
    scale: float | None = None,
    max_size: int = 8192,
    damping: float = 0.0,
    relative_damping: float = 0.0,
    noise: np.ndarray | None = None,
    clip: float | None = 1.1,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """PSGD-Kron that whitens, with QUAD (Li 2024, 2402.11858; psgd_torch 2025 for QUAD, kron_torch for the rest).

    For a matrix, a vector or more axes. With m = 0, Q as in `psgd_start` and L = 0 at the start:

        m = b1 * m + (1 - b1) * g,  m_hat = m / (1 - b1^t)
        x = m_hat if fit == "momentum" (kron_torch), g if "gradient" (psgd_torch)
        at the steps 0, every, 2 * every, ...: `psgd_fit` to x + (damping + relative_damping * |x|) * noise
        u = P m_hat, with the new Q (with the old one if not fit_first)
        u = u * min(1, clip / rms(u)), the root mean square of this array
        update = -learning_rate * (u + weight_decay * parameter), the parameter before the update

    scale=None is (mean |g|^4 + damping^4)^(-1/8) of the first gradient (psgd_torch): of P g the mean 4th power is 1.
    Decisions: b1^t is the product of the decays (psgd_torch averages plainly until t / (1 + t) reaches b1); a scale for
    each array (psgd_torch lately has one for all, by the largest mean), and 1 if it is infinite (a first gradient of 0
    without damping); fits at fixed steps, which the codes draw; no damping (psgd_torch: 1e-9, relative: the dtype's
    eps), whose noise is an argument of the shape of gradients; no 1e-12 in the clip; vectors decay too, where
    kron_torch decays two axes and more.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates, m = np.zeros_like(gradients), np.zeros_like(parameters)
    b1_power = 1.0
    fourth = float(np.mean(abs_squared(gradients[0]) ** 2)) + damping**4
    scale = (fourth ** (-1 / 8) if fourth > 0 else 1.0) if scale is None else scale
    factors = psgd_start(parameters.shape, scale, max_size)
    smoothness = [0.0] * len(factors)
    for step, g in enumerate(gradients):
        m = at(b1, step) * m + (1 - at(b1, step)) * g
        b1_power *= at(b1, step)
        m_hat = m / (1 - b1_power)
        u = psgd_precondition(factors, m_hat)
        if step % every == 0:
            x = m_hat if fit == "momentum" else g
            x = x if noise is None else x + (damping + relative_damping * np.abs(x)) * noise[step]
            factors, smoothness = psgd_fit(factors, smoothness, x, at(rate, step))
        u = psgd_precondition(factors, m_hat) if fit_first else u
        rms = float(np.sqrt(np.mean(abs_squared(u))))
        u = u if clip is None or rms <= clip else u * (clip / rms)
        updates[step] = -at(learning_rate, step) * (u + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def largest_positive(basis: np.ndarray) -> np.ndarray:
    """Turns each column so that its entry of largest magnitude, the first of equal ones, is real and positive."""
    entry = np.take_along_axis(basis, np.argmax(np.abs(basis), axis=0)[None], axis=0)
    return basis * np.conj(divide(entry, np.abs(entry)))


def galore_adamw(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    rank: int,
    every: int = 200,
    scale: float = 0.25,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: float = 1e-6,
    weight_decay: Number = 0.0,
    side: str | None = None,
    orient: Callable[[np.ndarray], np.ndarray] = largest_positive,
    as_code: bool = False,
) -> np.ndarray:
    """GaLore with AdamW (Zhao et al. 2024, arXiv 2403.03507, Algorithms 1 and 2, and the authors' code).

    For the side of the inputs:

        P = the first `rank` left singular vectors of g, taken anew at the steps 0, every, 2 * every, ...
        r = P^H g                                                                               (rank x outputs)
        direction = scale * P a, with `adam`'s direction a for the gradients r
        update = -learning_rate * (direction + weight_decay * parameter)

    For the outputs' side P has the right singular vectors, r = g P and the direction a P^H. side=None is the shorter
    side, of equal ones the inputs: the code's choice, whose matrices are (outputs, inputs), where the paper's formula
    for m <= n is the left side of its own. m and v of Adam stay when P changes, as in the code, though they are those
    of other vectors then. A rank above the shorter side is that side.

    The sign (phase) of a singular vector does not matter while P stands, but at a change it does, since m stays: orient
    sets it, called with each new P. Vectors of equal singular values are not determined.
    Decisions: `largest_positive`, where the authors have the signs of their SVD; eps after the bias correction and the
    decay of the parameter before the update, but as_code=True is the authors' AdamW, with eps added to the uncorrected
    sqrt(v), and the decay of parameter - learning_rate * direction. The defaults are those of the code and its README;
    scale, the paper's alpha, does not touch the decay.
    """
    gradients, parameters = double_precision(gradients, parameters)
    of_inputs = parameters.shape[0] <= parameters.shape[1] if side is None else side == "inputs"
    if not of_inputs:
        gradients, parameters = adjoint(gradients), adjoint(parameters)
    updates = np.zeros_like(gradients)
    bases: list[np.ndarray] = []
    for step, g in enumerate(gradients):
        bases.append(bases[-1] if step % every else orient(np.linalg.svd(g, full_matrices=False)[0][:, :rank]))
    r = np.stack([adjoint(p) @ g for p, g in zip(bases, gradients, strict=True)])
    corrections = np.sqrt(1 - np.cumprod([at(b2, step) for step in range(len(r))])) if as_code else np.ones(len(r))
    inside = -adam(r, r[0], learning_rate=1.0, b1=b1, b2=b2, eps=lambda step: eps / corrections[step])
    for step, p in enumerate(bases):
        direction, eta = scale * p @ inside[step], at(learning_rate, step)
        decayed = parameters - eta * direction if as_code else parameters
        updates[step] = -eta * (direction + at(weight_decay, step) * decayed)
        parameters = parameters + updates[step]
    return updates if of_inputs else adjoint(updates)


def dion2(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    fraction: float = 0.25,
    decay: Number = 0.95,
    weight_decay: Number = 0.0,
    rule: str = "spectral",
    side: str | None = None,
) -> np.ndarray:
    """Dion2 (Ahn, Amsel & Langford 2025, arXiv 2512.16928): the polar factor of the largest rows or columns alone.

    With M = 0 at the start, and a side of length n:

        M = M + g
        K = the max(1, ceil(fraction * n)) rows of M with the largest sum of |entries|
        O = 0, but for the rows K, which are the polar factor of M[K]
        M[K] = decay * M[K]
        update = -learning_rate * (shape_factor * O + weight_decay * parameter)

    with the parameter before the update, all rows of it. The shape factor is that of the whole matrix, and "spectral",
    sqrt(outputs / inputs), the default of the authors' code; its other one is "match_rms_adamw".
    Decisions, after the authors' code (of the paper only the abstract, with its "rows or columns", could be read):
    side=None is the shorter side, of equal ones the outputs, which are the rows of the code's matrices and the columns
    here (another state of the code always takes the outputs); of equal sums the lower index; the exact polar factor.
    """
    gradients, parameters = double_precision(gradients, parameters)
    factor = shape_factor(parameters.shape, rule)
    of_inputs = parameters.shape[0] < parameters.shape[1] if side is None else side == "inputs"
    if not of_inputs:
        gradients, parameters = adjoint(gradients), adjoint(parameters)
    updates, m = np.zeros_like(gradients), np.zeros_like(parameters)
    count = max(1, int(np.ceil(fraction * len(m))))
    for step, g in enumerate(gradients):
        m = m + g
        chosen = np.argsort(-np.sum(np.abs(m), axis=1), kind="stable")[:count]
        o = np.zeros_like(m)
        o[chosen] = polar(m[chosen])
        m[chosen] *= at(decay, step)
        updates[step] = -at(learning_rate, step) * (factor * o + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates if of_inputs else adjoint(updates)


def _usable(pairs: Pairs) -> tuple[Pairs, float]:
    """Returns the pairs with s'y > 0, and gamma = s'y / y'y of the last of them (1 if there is none)."""
    pairs = [(s, y) for s, y in pairs if inner(s, y) > 0]
    return pairs, inner(*pairs[-1]) / inner(pairs[-1][1], pairs[-1][1]) if pairs else 1.0


def lbfgs_direction(pairs: Pairs, gradient: np.ndarray) -> np.ndarray:
    """-H g by the two loops (Nocedal & Wright 2006, Algorithm 7.4), oldest pair (s, y) first; H0 = gamma * I (7.20).

    Decisions: pairs with s'y <= 0 are passed by, for gamma too; gamma = 1 without pairs; the minus is included.
    """
    pairs, gamma = _usable(pairs)
    q = np.array(gradient, np.float64)
    alphas = []
    for s, y in reversed(pairs):
        alphas.append(inner(s, q) / inner(s, y))
        q = q - alphas[-1] * y
    r = gamma * q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - inner(y, r) / inner(s, y))
    return -r


def lbfgs_direction_dense(pairs: Pairs, gradient: np.ndarray) -> np.ndarray:
    """The same by the matrix H = (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y (Nocedal & Wright 6.17), for vectors."""
    pairs, gamma = _usable(pairs)
    h = gamma * np.eye(len(gradient))
    for s, y in pairs:
        left = np.eye(len(s)) - np.outer(s, y) / inner(s, y)
        h = left @ h @ left.T + np.outer(s, s) / inner(s, y)
    return -h @ gradient


def wolfe_holds(f0: float, slope0: float, f1: float, slope1: float, t: float, c1: float, c2: float) -> bool:
    """The strong Wolfe conditions (Nocedal & Wright 3.7): f1 <= f0 + c1 t slope0 and |slope1| <= c2 |slope0|."""
    return bool(f1 <= f0 + c1 * t * slope0 and abs(slope1) <= c2 * abs(slope0))


def approximate_wolfe_holds(
    f0: float, slope0: float, f1: float, slope1: float, delta: float = 0.1, sigma: float = 0.9, epsilon: float = 1e-6
) -> bool:
    """(2 delta - 1) slope0 >= slope1 >= sigma slope0 and f1 <= f0 + epsilon |f0| (Hager & Zhang 2005, T2).
    For values near rounding; 0 < delta < min(1/2, sigma). Decision: |f0|, where CG_DESCENT later has an average.
    """
    return bool((2 * delta - 1) * slope0 >= slope1 >= sigma * slope0 and f1 <= f0 + epsilon * abs(f0))


def newton_cg_direction(
    hessian: np.ndarray, gradient: np.ndarray, damping: float = 0.0, max_steps: int = 100, rtol: float | None = None
) -> np.ndarray:
    """Line-search Newton-CG (Nocedal & Wright 2006, Algorithm 7.1), with B = hessian + damping * I.

    Conjugate gradients for B z = -g from z = 0. They end when |B z + g| <= rtol * |g|, after max_steps, or at a d with
    d'B d <= 0: with z, but with -g if that is the first d. rtol=None is the book's min(1/2, sqrt|g|). Decisions:
    damping, max_steps and a constant rtol, which the book does not have; <= where it has <, so 0 for a gradient of 0.
    """
    g = np.array(gradient, np.float64)
    b = hessian + damping * np.eye(len(g))
    limit = norm(g) * (min(0.5, np.sqrt(norm(g))) if rtol is None else rtol)
    z, r, d = np.zeros_like(g), g, -g
    for step in range(max_steps):
        if norm(r) <= limit:
            break
        curvature = inner(d, b @ d)
        if curvature <= 0:
            return -g if step == 0 else z
        alpha = inner(r, r) / curvature
        z, before, r = z + alpha * d, r, r + alpha * b @ d
        d = -r + inner(r, r) / inner(before, before) * d
    return z


def inverse_root(matrix: np.ndarray, p: float, ridge: float = 0.0) -> np.ndarray:
    """(A + ridge * |A| * I)^(-1/p) of a Hermitian matrix, by its eigenvectors in float64, as `matrix_power`.

    Decisions: negative eigenvalues count as 0, before the ridge; without a ridge, that of the pseudo-inverse; 0 for 0.
    """
    a = np.asarray(matrix, np.complex128 if np.iscomplexobj(matrix) else np.float64)
    return matrix_power((a + adjoint(a)) / 2, -1 / p, ridge)


def rosenbrock(x: Any, xp: Any = np) -> tuple[Any, Any]:
    """Sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 over all i < n - 1: the chained form, as in SciPy; 0 at ones.

    From n = 4 on it has a second minimum near (-1, 1, ..., 1). Like all below, it returns the value and the gradient.
    """
    a, b, zero = x[1:] - x[:-1] ** 2, 1 - x[:-1], xp.zeros_like(x[:1])
    gradient = xp.concatenate([-400 * a * x[:-1] - 2 * b, zero]) + xp.concatenate([zero, 200 * a])
    return xp.sum(100 * a**2 + b**2), gradient


def beale(x: Any, xp: Any = np) -> tuple[Any, Any]:
    """Sum of (c_k - x (1 - y^k))^2 for c = 1.5, 2.25, 2.625 (Moré, Garbow & Hillstrom 1981, 5); 0 at (3, 1/2)."""
    p, q = x
    terms = [(c - p * (1 - q**k), q**k - 1, k * p * q ** (k - 1)) for k, c in enumerate((1.5, 2.25, 2.625), 1)]
    gradient = xp.stack([sum(2 * e * by_p for e, by_p, _ in terms), sum(2 * e * by_q for e, _, by_q in terms)])
    return sum(e**2 for e, _, _ in terms), gradient


def himmelblau(x: Any, xp: Any = np) -> tuple[Any, Any]:
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2 (Himmelblau 1972): 0 at (3, 2) and at three more points."""
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return a**2 + b**2, xp.stack([4 * a * x[0] + 2 * b, 2 * a + 4 * b * x[1]])


def powell_singular(x: Any, xp: Any = np) -> tuple[Any, Any]:
    """(x1 + 10 x2)^2 + 5 (x3 - x4)^2 + (x2 - 2 x3)^4 + 10 (x1 - x4)^4 (Moré et al., 13); 0 at 0, singular there."""
    a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
    parts = [2 * a + 40 * d**3, 20 * a + 4 * c**3, 10 * b - 8 * c**3, -10 * b - 40 * d**3]
    return a**2 + 5 * b**2 + c**4 + 10 * d**4, xp.stack(parts)


def wood(x: Any, xp: Any = np) -> tuple[Any, Any]:
    """100 (x2 - x1^2)^2 + (1 - x1)^2 + 90 (x4 - x3^2)^2 + (1 - x3)^2 + 10 (x2 + x4 - 2)^2 + (x2 - x4)^2 / 10.

    Moré et al., 14; 0 at ones.
    """
    a, b, c, d, e, f = x[1] - x[0] ** 2, 1 - x[0], x[3] - x[2] ** 2, 1 - x[2], x[1] + x[3] - 2, x[1] - x[3]
    parts = [-400 * a * x[0] - 2 * b, 200 * a + 20 * e + f / 5, -360 * c * x[2] - 2 * d, 180 * c + 20 * e - f / 5]
    return 100 * a**2 + b**2 + 90 * c**2 + d**2 + 10 * e**2 + f**2 / 10, xp.stack(parts)


def quadratic(x: Any, xp: Any = np, condition: float = 1e4, seed: int = 0) -> tuple[Any, Any]:
    """x'A x / 2, A with the eigenvalues 1 to condition, log-spaced, in a random basis by the seed; 0 at 0."""
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(x), len(x))))[0]
    gradient = xp.asarray((basis * np.geomspace(1, condition, len(x))) @ basis.T) @ x
    return xp.sum(x * gradient) / 2, gradient


# Name: objective, start and least value. The starts are those of Moré, Garbow & Hillstrom, but for (0, 0) and the last.
PROBLEMS: dict[str, tuple[Callable[..., tuple[Any, Any]], np.ndarray, float]] = {
    **{f"rosenbrock {n}": (rosenbrock, np.tile([-1.2, 1.0], n // 2), 0.0) for n in (2, 10, 100)},
    "beale": (beale, np.array([1.0, 1.0]), 0.0),
    "himmelblau": (himmelblau, np.array([0.0, 0.0]), 0.0),
    "powell": (powell_singular, np.array([3.0, -1.0, 0.0, 1.0]), 0.0),
    "wood": (wood, np.array([-3.0, -1.0, -3.0, -1.0]), 0.0),
    "quadratic": (quadratic, np.ones(100), 0.0),
}
