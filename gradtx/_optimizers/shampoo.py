"""Shampoo and KL-Shampoo: both sides of the momentum multiplied by inverse roots of factors of the gradient."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.graft import graft
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.partition import partition
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw, scale_by_adam
from gradtx._preconditioners.kronecker import precondition_by_kl_kronecker, precondition_by_kronecker
from gradtx._primitives.accumulate import scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative, Positive, UnitInterval

_BY_NAME = matrices_by_name()


@transformation
def shampoo(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    factor_decay: UnitInterval = 0.999,
    every: int = 1,
    power: float | None = None,
    ridge: float = 1e-6,
    max_dim: int = 8192,
    sides: str = "both",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""Shampoo: the momentum between inverse roots of the gradient's factors, with the size of Adam's step.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad d_t = L_t^{power} m_t R_t^{power}, \quad
        u_t = -learning\_rate \left(\frac{\lVert a_t \rVert}{\lVert d_t \rVert} d_t + weight\_decay \cdot p_t\right)

    with the factors of `precondition_by_kronecker`, and Adam's direction a.

    Args:
        learning_rate: the step size, that of Adam.
        b1: decay rate of the momentum, and of Adam's first moment, in [0, 1).
        b2: decay rate of Adam's second moment, in [0, 1).
        eps: added to the root of Adam's second moment.
        weight_decay: the decoupled weight decay of the matrices.
        factor_decay: decay rate of the factors, in [0, 1]; 1 for sums, as in the first paper.
        every: the number of steps between two computations of the roots.
        power: of the factors; see `precondition_by_kronecker`.
        ridge: as there.
        max_dim: as there.
        sides: as there.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: for each matrix three arrays, and two of side times side for each side; that of
    `rest`.

    Reference: Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization", 2018, algorithm 1;
    Anil et al., "Scalable Second Order Optimization for Deep Learning", 2020, for the graft.
    """
    direction = precondition_by_kronecker(scale_by_ema(b1), factor_decay, every, power, ridge, max_dim, sides)
    return partition(
        {
            "matrices": chain(
                as_matrices(graft(direction, scale_by_adam(b1, b2, eps)), axes),
                add_decayed_weights(weight_decay),
                scale_by_learning_rate(learning_rate),
            ),
            "rest": adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest,
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )


@transformation
def kl_shampoo(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    factor_decay: Decay = 0.98,
    weight_decay: NonNegative = 0.0,
    *,
    every: int = 1,
    initial: Positive = 0.1,
    ridge: float = 1e-6,
    max_dim: int = 8192,
    sides: str = "both",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""KL-Shampoo: the momentum between inverse roots of factors that fit the covariance of the gradient.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        u_t = -learning\_rate \left(L_t^{-1/2} m_t R_t^{-1/2} + weight\_decay \cdot p_t\right)

    with the factors of `precondition_by_kl_kronecker`. There is no graft, and no second moment.

    Args:
        learning_rate: the step size.
        b1: decay rate of the momentum, in [0, 1).
        factor_decay: decay rate of the factors, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        every: the number of steps between two computations of the roots; see `precondition_by_kl_kronecker`.
        initial: the factors before the first step; see `precondition_by_kl_kronecker`.
        ridge: as there.
        max_dim: as there.
        sides: as there.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: for each matrix one array, and two of side times side for each side; that of
    `rest`.

    Reference: Lin et al., "Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization", 2025.
    """
    direction = precondition_by_kl_kronecker(scale_by_ema(b1), factor_decay, every, initial, ridge, max_dim, sides)
    return partition(
        {
            "matrices": chain(
                as_matrices(direction, axes), add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate)
            ),
            "rest": adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest,
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )
