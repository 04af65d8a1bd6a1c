"""Methods that keep a basis or a factor for each side of a matrix: Dion, SOAP, Shampoo and KL-Shampoo.

Shapes and signs are those of `matrices`: rows are the m inputs, columns the n outputs, |x| is the Frobenius norm, x^H
the conjugate transpose, and 0/0 is 0 everywhere. L (m x m) belongs to the inputs and R (n x n) to the outputs, where
the papers, with W of shape (outputs, inputs), have them the other way round: nothing else changes by it.
"""

import numpy as np

from ._common import Number, abs_squared, at, divide, double_precision
from .matrices import adjoint, shape_factor, with_norm_of


def dion(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    rank: int,
    momentum: Number = 0.95,
    first_basis: np.ndarray,
    weight_decay: Number = 0.0,
    basis_of: str = "inputs",
) -> np.ndarray:
    """Dion (Ahn et al. 2025, Algorithm 1): one power step towards the largest singular vectors, with error feedback.

    With M = 0 (inputs x outputs) and Q = the first `rank` columns of first_basis at the start:

        M = M + g
        P = the orthonormal factor of M^H Q, by QR                          (outputs x rank)
        S = M P                                                             (inputs x rank)
        M = M - (1 - momentum) * S P^H
        Q = S with each column divided by its Euclidean norm
        update = -learning_rate * (sqrt(outputs / inputs) * Q P^H + weight_decay * parameter)

    with the parameter before the update. The paper's and the code's Q spans the inputs too; with basis_of="outputs",
    first_basis and Q have one row for each output, and the method is that of the transposed matrix, with the same
    factor.

    Deviations: no 1e-8 in the denominator (a column of S that is 0 gives a column of Q that is 0, and stays so); QR
    in double precision.
    """
    gradients, parameters = double_precision(gradients, parameters)
    factor = shape_factor(parameters.shape, "spectral")
    if basis_of == "outputs":
        gradients, parameters = adjoint(gradients), adjoint(parameters)
    updates = np.zeros_like(gradients)
    m = np.zeros_like(parameters)
    q = np.array(first_basis, m.dtype)[:, :rank]
    for step, g in enumerate(gradients):
        m = m + g
        p = np.linalg.qr(adjoint(m) @ q)[0]
        s = m @ p
        m = m - (1 - at(momentum, step)) * s @ adjoint(p)
        q = divide(s, np.sqrt(np.sum(abs_squared(s), axis=0)))
        direction = factor * q @ adjoint(p) + at(weight_decay, step) * parameters
        updates[step] = -at(learning_rate, step) * direction
        parameters = parameters + updates[step]
    return adjoint(updates) if basis_of == "outputs" else updates


def _eigenvectors(factor: np.ndarray) -> np.ndarray:
    """Returns the eigenvectors as columns, the one of the largest eigenvalue first."""
    return np.linalg.eigh(factor)[1][:, ::-1]


def _rotated(x: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns x in the bases of both sides."""
    return adjoint(left) @ x @ right


def _refreshed(factor: np.ndarray, basis: np.ndarray, refresh: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the next basis, and the order of the old columns by their Rayleigh quotients, the largest first."""
    product = factor @ basis
    order = np.argsort(-np.sum(np.conj(basis) * product, axis=0).real, kind="stable")
    return _eigenvectors(factor) if refresh == "eigh" else np.linalg.qr(product[:, order])[0], order


def soap(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.95,
    b2: Number = 0.95,
    factor_decay: Number = 0.95,
    eps: Number = 1e-8,
    weight_decay: Number = 0.01,
    every: int = 10,
    first: str = "skip",
    carry: str = "permute",
    refresh: str = "qr",
    one_sided: bool = False,
    eps_corrected: bool | None = None,
    decay_after: bool | None = None,
) -> np.ndarray:
    """SOAP (Vyas et al. 2024): Adam in the eigenbasis of Shampoo's factors.

    The first gradient fills the factors, L = (1 - factor_decay) * g g^H and R = (1 - factor_decay) * g^H g, and gives
    the bases QL and QR, their eigenvectors in descending order. With first="skip", as in the authors' code, that is
    all of the first step: its update is 0, without decay, and neither m, v nor t see its gradient. With first="eigh"
    the step goes on in the new bases. With m = v = 0 and t = 0 before:

        t = t + 1
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * |QL^H g QR|^2
        m_hat = m / (1 - b1^t)                      v_hat = v / (1 - b2^t)
        direction = QL (QL^H m_hat QR / (sqrt(v_hat) + eps)) QR^H
        update = -learning_rate * (direction + weight_decay * parameter)

    and after it, except at the first step, whose gradient the factors have seen:

        L = factor_decay * L + (1 - factor_decay) * g g^H, and R with g^H g
        if t is divisible by every: each side's columns of Q are sorted by diag(Q^H L Q), the largest first,
            Q = the orthonormal factor of L Q, by QR, and v is carried into the new bases

    So no gradient is rotated by a basis that has seen it, except the first of first="eigh". carry="permute" (the
    authors) sorts v as the columns; carry="squares" (HeavyBall) takes (A o A)^T v (B o B), where A = QL_old^H QL_new,
    B = QR_old^H QR_new and A o A has the squared absolute values. one_sided=True has no basis (the identity) for the
    larger side; of two equal sides the inputs have one.

    In the authors' code eps is added to sqrt(v) before the bias correction, and the decay takes the parameter after
    the step, parameter - learning_rate * direction. eps_corrected=False and decay_after=True are these two, and the
    default (None) for first="skip"; for first="eigh" the default is what is written above.

    Deviations: m is kept unrotated, as in the paper, where the code rotates it back and forth; b^t is the product of
    the decays so far where b is a schedule; refresh="eigh" takes the eigenvectors instead of the QR step; first="eigh",
    carry="squares". The vectors of an eigenvalue that occurs twice (0, for a factor that has not its full rank yet) are
    not determined, and neither is what Adam makes of later gradients there.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    eps_corrected = first != "skip" if eps_corrected is None else eps_corrected
    decay_after = first == "skip" if decay_after is None else decay_after
    rows, columns = parameters.shape
    has_left, has_right = not one_sided or rows <= columns, not one_sided or columns < rows
    left, right = np.zeros((rows, rows), gradients.dtype), np.zeros((columns, columns), gradients.dtype)
    q_left, q_right = np.eye(rows, dtype=gradients.dtype), np.eye(columns, dtype=gradients.dtype)
    m = np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    t = 0
    for step, g in enumerate(gradients):
        next_left = left + (1 - at(factor_decay, step)) * (g @ adjoint(g) - left)
        next_right = right + (1 - at(factor_decay, step)) * (adjoint(g) @ g - right)
        if step == 0:
            left, right = next_left, next_right
            q_left = _eigenvectors(left) if has_left else q_left
            q_right = _eigenvectors(right) if has_right else q_right
            if first == "skip":
                continue
        t += 1
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * abs_squared(_rotated(g, q_left, q_right))
        b1_power, b2_power = b1_power * beta1, b2_power * beta2
        correction = np.sqrt(1 - b2_power)
        denominator = np.sqrt(v) / correction + at(eps, step) / (1.0 if eps_corrected else correction)
        inside = divide(_rotated(m, q_left, q_right) / (1 - b1_power), denominator)
        direction = _rotated(inside, adjoint(q_left), adjoint(q_right))
        eta = at(learning_rate, step)
        decayed = parameters - eta * direction if decay_after else parameters
        updates[step] = -eta * (direction + at(weight_decay, step) * decayed)
        parameters = parameters + updates[step]
        if step > 0:
            left, right = next_left, next_right
            if t % every == 0:
                old_left, old_right = q_left, q_right
                order_left, order_right = np.arange(rows), np.arange(columns)
                if has_left:
                    q_left, order_left = _refreshed(left, q_left, refresh)
                if has_right:
                    q_right, order_right = _refreshed(right, q_right, refresh)
                if carry == "permute":
                    v = v[order_left][:, order_right]
                else:
                    turn_left, turn_right = adjoint(old_left) @ q_left, adjoint(old_right) @ q_right
                    v = abs_squared(turn_left).T @ v @ abs_squared(turn_right)
    return updates


def matrix_power(factor: np.ndarray, power: float, ridge: float = 0.0) -> np.ndarray:
    """Returns (factor + ridge * |factor| * I)^power of a Hermitian matrix without negative eigenvalues.

    The powers of eigenvalues that are only rounding, below 10 * eps * size times the largest, count as 0: without a
    ridge it is the power of the pseudo-inverse, and that of 0 is 0.
    """
    eigenvalues, vectors = np.linalg.eigh(factor)
    largest = np.max(eigenvalues, initial=0.0)
    eigenvalues = np.maximum(eigenvalues, 0.0) + ridge * np.linalg.norm(factor)
    kept = eigenvalues > 10 * np.finfo(np.float64).eps * len(factor) * largest
    return (vectors * np.where(kept, np.where(kept, eigenvalues, 1.0) ** power, 0.0)) @ adjoint(vectors)


def shampoo(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    decay: Number | None = None,
    ridge: Number = 1e-6,
    power: float = -0.25,
    every: int = 1,
    b1: Number = 0.9,
    graft: bool = True,
    graft_b1: Number | None = None,
    b2: Number = 0.999,
    eps: Number = 1e-8,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """Shampoo (Gupta, Koren & Singer 2018, Algorithm 1), with the sizes of Adam's steps (Anil et al. 2020).

    With L = R = m = 0 at the start:

        L = L + g g^H                               L = decay * L + (1 - decay) * g g^H, if there is a decay
        R = R + g^H g                               R likewise
        m = b1 * m + (1 - b1) * g
        direction = L^power m R^power
        direction = |adam| / |direction| * direction, if graft
        update = -learning_rate * (direction + weight_decay * parameter)

    with the parameter before the update. The powers are those of L + ridge * |L| * I, and are
    taken anew at the steps 0, every, 2 * every, ..., with that step's gradient in the factors. adam is the direction
    of `adam` for the same gradients, with graft_b1 (or b1, if that is None), b2 and eps.

    Neither the factors nor m have a bias correction: with the graft, their scale does not matter.

    Deviations: the decay, the moving average m, the decoupled weight decay and the graft are later than the paper, as
    is a ridge relative to the norm, where the paper starts from L = R = epsilon * I; without a ridge,
    the power of the pseudo-inverse.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    left = np.zeros((parameters.shape[0],) * 2, gradients.dtype)
    right = np.zeros((parameters.shape[1],) * 2, gradients.dtype)
    m, adam_m = np.zeros_like(parameters), np.zeros_like(parameters)
    v = np.zeros(parameters.shape)
    b1_power = b2_power = 1.0
    for step, g in enumerate(gradients):
        kept, added = (1.0, 1.0) if decay is None else (at(decay, step), 1 - at(decay, step))
        left = kept * left + added * g @ adjoint(g)
        right = kept * right + added * adjoint(g) @ g
        if step % every == 0:
            root_left = matrix_power(left, power, at(ridge, step))
            root_right = matrix_power(right, power, at(ridge, step))
        beta1, beta2 = at(b1, step), at(b2, step)
        m = beta1 * m + (1 - beta1) * g
        direction = root_left @ m @ root_right
        if graft:
            beta1 = beta1 if graft_b1 is None else at(graft_b1, step)
            adam_m = beta1 * adam_m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * abs_squared(g)
            b1_power, b2_power = b1_power * beta1, b2_power * beta2
            adam = divide(adam_m / (1 - b1_power), np.sqrt(v / (1 - b2_power)) + at(eps, step))
            direction = with_norm_of(direction, adam)
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates


def kl_shampoo(
    gradients: np.ndarray,
    parameters: np.ndarray,
    *,
    learning_rate: Number,
    b1: Number = 0.9,
    decay: Number = 0.98,
    initial: float = 0.1,
    ridge: Number = 0.0,
    every: int = 1,
    before: bool = False,
    weight_decay: Number = 0.0,
) -> np.ndarray:
    """KL-Shampoo (Lin et al. 2025): factors that fit the covariance in the Kullback-Leibler divergence.

    With m = 0, L = initial * I and R = initial * I at the start:

        L = decay * L + (1 - decay) / outputs * g R^-1 g^H
        R = decay * R + (1 - decay) / inputs * g^H L^-1 g, with the L before
        m = b1 * m + (1 - b1) * g
        direction = L^-1/2 m R^-1/2
        update = -learning_rate * (direction + weight_decay * parameter)

    with the parameter before the update. There is neither a graft nor a bias correction. The inverses and the roots are
    those of L + ridge * |L| * I, and are taken anew at the steps 0, every, 2 * every, and so on:
    between them L and R move on with the inverses of then. before=True takes the roots for the direction from before
    this step's gradient, as the authors' code does.

    Deviations: exact inverses and roots by eigenvectors, where the code follows the eigenvalues in a basis of QR steps,
    starts its factors from 0 with `initial` only for the eigenvalues, makes no first step, and bounds the roots;
    without a ridge, the powers of the pseudo-inverse.
    """
    gradients, parameters = double_precision(gradients, parameters)
    updates = np.zeros_like(gradients)
    inputs, outputs = parameters.shape
    left, right = initial * np.eye(inputs, dtype=gradients.dtype), initial * np.eye(outputs, dtype=gradients.dtype)
    inverse_left, inverse_right = (matrix_power(x, -1.0, at(ridge, 0)) for x in (left, right))
    root_left, root_right = (matrix_power(x, -0.5, at(ridge, 0)) for x in (left, right))
    m = np.zeros_like(parameters)
    for step, g in enumerate(gradients):
        beta, kept = at(b1, step), at(decay, step)
        m = beta * m + (1 - beta) * g
        old = root_left @ m @ root_right
        left = kept * left + (1 - kept) / outputs * g @ inverse_right @ adjoint(g)
        right = kept * right + (1 - kept) / inputs * adjoint(g) @ inverse_left @ g
        if step % every == 0:
            inverse_left, inverse_right = (matrix_power(x, -1.0, at(ridge, step)) for x in (left, right))
            root_left, root_right = (matrix_power(x, -0.5, at(ridge, step)) for x in (left, right))
        direction = old if before else root_left @ m @ root_right
        updates[step] = -at(learning_rate, step) * (direction + at(weight_decay, step) * parameters)
        parameters = parameters + updates[step]
    return updates
