"""Methods that take a whole matrix as one thing, by its singular vectors: Muon with its variants, and Scion.

Every reference here takes `gradients` of shape (steps, m, n) and `parameters` of shape (m, n), and returns the updates
of shape (steps, m, n). The rows are the m inputs and the columns the n outputs (x @ W), where the papers and their code
have W of shape (outputs, inputs). |x| is the Frobenius norm, x^H the conjugate transpose, sign(z) = z / |z|, and 0/0 is
0 everywhere. Each decayed parameter is the one before the update, and the decay is multiplied by the learning rate.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision, inner, squared_norm

Rows = Sequence[tuple[float, float, float]]

KELLER: Rows = ((3.4445, -4.7750, 2.0315),) * 5


def adjoint(x: np.ndarray) -> np.ndarray:
    """Returns the conjugate transpose of the last two axes."""
    return np.conj(np.swapaxes(x, -1, -2))


def norm(x: np.ndarray) -> float:
    """Returns the Frobenius norm."""
    return float(np.sqrt(squared_norm(x)))


def with_norm_of(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns x scaled to the Frobenius norm of the other; 0 if x is 0."""
    return divide(x, norm(x)) * norm(other)


def polar(x: np.ndarray) -> np.ndarray:
    """Returns U V^H of the singular value decomposition x = U S V^H, without the singular values that are 0.

    A singular value below eps * max(m, n) times the largest is only rounding, and counts as 0. It makes the polar
    factor of a matrix without full rank a partial isometry, and that of 0 equal to 0.
    """
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    kept = s > np.finfo(np.float64).eps * max(x.shape) * np.max(s, initial=0.0)
    return (u * kept) @ vh


def newton_schulz(x: np.ndarray, rows: Rows) -> np.ndarray:
    """Returns the matrix after one odd polynomial for each row (a, b, c), which acts on its singular values.

    X = x / |x|, then for each row, with A = X X^H:

        X = a * X + (b * A + c * A^2) X
    """
    x = divide(x, norm(x))
    for a, b, c in rows:
        gram = x @ adjoint(x)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def orthogonalized(x: np.ndarray, rows: Rows | None) -> np.ndarray:
    """Returns the exact polar factor, or the Newton-Schulz iteration with these rows."""
    return polar(x) if rows is None else newton_schulz(x, rows)


def shape_factor(shape: tuple[int, int], rule: str) -> float:
    """Returns the number that an orthogonal matrix of this shape, (inputs, outputs), is multiplied with.

    "match_rms_adamw" (Moonlight, Liu et al. 2025): 0.2 * sqrt(max(inputs, outputs)), for a root mean square of 0.2.
    "original" (Muon's code, Jordan et al. 2024): sqrt(max(1, outputs / inputs)).
    "spectral" (Scion and Dion, after Yang, Simon & Bernstein 2023): sqrt(outputs / inputs).
    """
    inputs, outputs = shape
    if rule == "match_rms_adamw":
        return 0.2 * float(np.sqrt(max(inputs, outputs)))
    if rule == "original":
        return float(np.sqrt(max(1.0, outputs / inputs)))
    if rule == "spectral":
        return float(np.sqrt(outputs / inputs))
    raise ValueError(f"unknown rule: {rule}")


def _follow(
    gradients: np.ndarray,
    parameters: np.ndarray,
    direction: Callable[[np.ndarray, int], np.ndarray],
    learning_rate: Number,
    momentum: Number,
    nesterov: bool,
    weight_decay: Number,
) -> np.ndarray:
    """Returns the updates -learning_rate * (direction(d, step) + weight_decay * parameter), with Muon's momentum d."""
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        m = mu * m + g
        d = g + mu * m if nesterov else m
        updates[step] = -at(learning_rate, step) * (direction(d, step) + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def muon(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    nesterov: bool = True,
    weight_decay: Number = 0.0,
    rule: str = "match_rms_adamw",
    rows: Rows | None = None,
) -> np.ndarray:
    """Muon (Jordan et al. 2024), with the decay and the default shape factor of Moonlight (Liu et al. 2025).

    With m = 0 at the start:

        m = momentum * m + g
        d = g + momentum * m, with the new m, if nesterov, else m
        o = the polar factor of d
        update = -learning_rate * (shape_factor * o + weight_decay * parameter)

    Deviations: the polar factor is exact unless rows are given (`KELLER` is the authors' iteration, which also adds
    1e-7 to the norm and works in bfloat16). m is a sum, as in Moonlight, where Muon's code has an average: o is the
    same, since it does not depend on the scale of d.
    """
    gradients, parameters = double_precision(gradients, parameters)
    factor = shape_factor(parameters.shape, rule)

    def direction(d: np.ndarray, step: int) -> np.ndarray:
        return factor * orthogonalized(d, rows)

    return _follow(gradients, parameters, direction, learning_rate, momentum, nesterov, weight_decay)


def normuon(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    nesterov: bool = True,
    weight_decay: Number = 0.0,
    rule: str = "match_rms_adamw",
    rows: Rows | None = None,
    b2: Number = 0.95,
    eps: Number = 1e-8,
) -> np.ndarray:
    """NorMuon (Li et al. 2025, Algorithm 1), which evens out the output neurons.

    With d and o as in `muon`, and v = 0 at the start, one number for each output (a column here):

        v = b2 * v + (1 - b2) * mean(|o|^2), over the inputs
        scaled = o / (sqrt(v) + eps)
        direction = shape_factor * scaled * |o| / |scaled|
        update = -learning_rate * (direction + weight_decay * parameter)

    v has no bias correction: the norm of `scaled` does not matter.

    Deviations: nesterov, as in the authors' code, where the paper has plain momentum; the exact polar factor; the norm
    of o and a shape factor, where the paper has the norm 0.2 * sqrt(inputs * outputs): that is "match_rms_adamw" for a
    full rank.
    """
    gradients, parameters = double_precision(gradients, parameters)
    factor = shape_factor(parameters.shape, rule)
    v = np.zeros(parameters.shape[1])

    def direction(d: np.ndarray, step: int) -> np.ndarray:
        nonlocal v
        o = orthogonalized(d, rows)
        beta2 = at(b2, step)
        v = beta2 * v + (1 - beta2) * np.mean(abs_squared(o), axis=0)
        return factor * with_norm_of(divide(o, np.sqrt(v) + at(eps, step)), o)

    return _follow(gradients, parameters, direction, learning_rate, momentum, nesterov, weight_decay)


def adamuon(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    nesterov: bool = True,
    weight_decay: Number = 0.0,
    rule: str = "match_rms_adamw",
    rows: Rows | None = None,
    b2: Number = 0.95,
    eps: Number = 1e-8,
) -> np.ndarray:
    """AdaMuon (Si, Zhang & Shen 2025, Algorithm 1): the signs of the momentum, orthogonalized and then as in Adam.

    With d as in `muon`, and v = 0 at the start, one number for each element:

        o = the polar factor of sign(d)
        v = b2 * v + (1 - b2) * |o|^2
        scaled = o / (sqrt(v) + eps)
        direction = shape_factor * scaled * |o| / |scaled|
        update = -learning_rate * (direction + weight_decay * parameter)

    v has no bias correction: the norm of `scaled` does not matter.

    Deviations: nesterov; the exact polar factor; the norm of o and a shape factor, where the paper has the norm
    0.2 * sqrt(inputs * outputs): that is "match_rms_adamw" for a full rank.
    """
    gradients, parameters = double_precision(gradients, parameters)
    factor = shape_factor(parameters.shape, rule)
    v = np.zeros(parameters.shape)

    def direction(d: np.ndarray, step: int) -> np.ndarray:
        nonlocal v
        o = orthogonalized(np.sign(d), rows)
        beta2 = at(b2, step)
        v = beta2 * v + (1 - beta2) * abs_squared(o)
        return factor * with_norm_of(divide(o, np.sqrt(v) + at(eps, step)), o)

    return _follow(gradients, parameters, direction, learning_rate, momentum, nesterov, weight_decay)


def polargrad(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    nesterov: bool = True,
    weight_decay: Number = 0.0,
    rows: Rows | None = None,
) -> np.ndarray:
    """PolarGrad with momentum (Lau, Long & Su 2025): Muon times the nuclear norm of what is orthogonalized.

    With d and o as in `muon`:

        update = -learning_rate * (<d, o> * o + weight_decay * parameter)

    <d, o> is the real part of the inner product, the sum of the singular values of d where o is exact. There is no
    shape factor.

    Deviations: m is a sum, where the paper has an average, so that the rate here is 1 - momentum of the paper's;
    nesterov.
    """
    gradients, parameters = double_precision(gradients, parameters)

    def direction(d: np.ndarray, step: int) -> np.ndarray:
        o = orthogonalized(d, rows)
        return inner(d, o) * o

    return _follow(gradients, parameters, direction, learning_rate, momentum, nesterov, weight_decay)


def mars_muon(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    gamma: Number = 0.025,
    nesterov: bool = True,
    weight_decay: Number = 0.0,
    rule: str = "match_rms_adamw",
    rows: Rows | None = None,
) -> np.ndarray:
    """MARS (Yuan et al. 2024) in its approximate form, in front of Muon.

    With difference = g - (the gradient before), 0 at the first step:

        c = g + gamma * momentum / (1 - momentum) * difference
        c = c / max(|c|, 1)

    and then `muon` with c for the gradient.

    Deviations: a sum for the momentum, and nesterov, as in `muon`.
    """
    gradients, parameters = double_precision(gradients, parameters)
    corrected = np.zeros_like(gradients)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        difference = g - gradients[step - 1] if step > 0 else np.zeros_like(g)
        c = g + at(gamma, step) * mu / (1 - mu) * difference
        corrected[step] = c / max(norm(c), 1.0)
    return muon(
        corrected,
        parameters,
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        rule=rule,
        rows=rows,
    )


def muon_hyperball(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    momentum: Number = 0.95,
    nesterov: bool = True,
    rows: Rows | None = None,
) -> np.ndarray:
    """Muon on the sphere of the initial norm ("MuonH", from modded-nanogpt): no decay, and a rate that is an angle.

    With d and o as in `muon`, and R = |parameter at the start|:

        moved = parameter - learning_rate * R * o / |o|
        update = R * moved / |moved| - parameter

    There is no shape factor: the norm of o does not matter.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    radius = norm(parameters)
    for step, g in enumerate(gradients):
        mu = at(momentum, step)
        m = mu * m + g
        o = orthogonalized(g + mu * m if nesterov else m, rows)
        moved = parameters - at(learning_rate, step) * radius * divide(o, norm(o))
        updates[step] = radius * divide(moved, norm(moved)) - parameters
        parameters = parameters + updates[step]
    return updates


def _lmo(m: np.ndarray, norm_name: str) -> np.ndarray:
    """Returns the matrix of norm 1 that has the largest inner product with m, as in Scion's code, without its eps."""
    inputs = m.shape[0]
    if norm_name == "spectral":
        return shape_factor(m.shape, "spectral") * polar(m)
    if norm_name == "sign":
        return np.sign(m) / inputs
    if norm_name == "columns":
        return divide(m, np.sqrt(np.mean(abs_squared(m), axis=1, keepdims=True)))
    if norm_name == "rows":
        return divide(m, np.sqrt(inputs * np.sum(abs_squared(m), axis=0, keepdims=True)))
    if norm_name == "rms":
        return divide(m, np.sqrt(np.mean(abs_squared(m))))
    raise ValueError(f"unknown norm: {norm_name}")


def scion(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    decay: Number = 0.9,
    norm: str = "spectral",
    radius: Number = 50.0,
    constrained: bool = True,
) -> np.ndarray:
    """Scion (Pethick et al. 2025, Algorithms 1 and 2), by the linear minimization oracle of a norm.

    With m = 0 at the start, and without a bias correction:

        m = decay * m + (1 - decay) * g
        update = -learning_rate * (radius * lmo(m) + (parameter if constrained else 0))

    where lmo is, with the names that the authors have for W of shape (outputs, inputs):

        "spectral": sqrt(outputs / inputs) * the polar factor of m
        "sign": sign(m) / inputs
        "columns" (ColNorm): each input's vector over the outputs, which is a ROW here, over its root mean square
        "rows" (RowNorm): each output's vector over the inputs, which is a COLUMN here, over sqrt(inputs) times its norm
        "rms" (BiasRMS): m over the root mean square of the whole array

    Deviations: the exact polar factor; no 1e-8 in the denominators; decay is 1 - the paper's alpha.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        beta = at(decay, step)
        m = beta * m + (1 - beta) * g
        direction = at(radius, step) * _lmo(m, norm)
        if constrained:
            direction = direction + parameters
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return updates
