"""SOAP: Adam in Shampoo's eigenbasis, and what else works there."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.condition import conditional
from gradtx._combinators.let import let, use
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.parallel import ratio
from gradtx._combinators.partition import partition
from gradtx._core.identity import set_to_zero
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw
from gradtx._preconditioners.eigenbasis import in_eigenbasis
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.elementwise import sqrt, square
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative, UnitInterval

_BY_NAME = matrices_by_name()


@transformation
def scale_by_soap(
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    factor_decay: UnitInterval = 0.95,
    every: int = 10,
    *,
    max_dim: int = 8192,
    sides: str = "both",
    first: str = "eigh",
):
    r"""SOAP direction: Adam in the eigenbasis of Shampoo's factors, for matrices.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |Q_L^H g_t Q_R|^2, \quad
        u_t = Q_L \frac{Q_L^H \hat m_t Q_R}{\sqrt{\hat v_t} + eps} Q_R^H

    Args:
        b1: decay rate of the first moment, in [0, 1), kept unrotated.
        b2: decay rate of the second moment, in [0, 1).
        eps: added to the root of the second moment.
        factor_decay: decay rate of the factors, as for `in_eigenbasis`.
        every: the number of steps between two refreshments of the bases, as there.
        max_dim: sides that are longer get no basis.
        sides: "both" or "smaller", as there.
        first: "eigh" or "skip", as there.

    State: two arrays for each matrix, and two of side times side for each side that has a basis.

    Reference: see `soap`.
    """
    momentum = chain(scale_by_ema(b1), bias_correction(b1))
    if first == "skip":
        momentum = conditional(momentum, _after_the_first, set_to_zero())
    adam = ratio(use("momentum"), chain(square(), scale_by_ema(b2), bias_correction(b2), sqrt()), eps)
    return let("momentum", momentum, in_eigenbasis(adam, factor_decay, every, max_dim, sides, first))


@transformation
def soap(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    weight_decay: NonNegative = 0.01,
    eps: NonNegative = 1e-8,
    *,
    factor_decay: UnitInterval = 0.95,
    every: int = 10,
    max_dim: int = 8192,
    sides: str = "both",
    first: str = "eigh",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""SOAP: Adam in the eigenbasis of Shampoo's factors for each hidden matrix; AdamW for everything else.

    .. math:: u_t = -learning\_rate (d_t + weight\_decay \cdot p_t)

    where d is the direction of `scale_by_soap`.

    Args:
        learning_rate: the step size; rates are those of AdamW.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        eps: added to the root of the second moment.
        factor_decay: decay rate of the factors, as for `in_eigenbasis`.
        every: the number of steps between two refreshments of the bases, as there.
        max_dim: sides that are longer get no basis.
        sides: "both" or "smaller", as there.
        first: "eigh" or "skip", as there.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: two arrays for each matrix, and two of side times side for each side that has a
    basis; that of `rest`.

    Reference: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, algorithm 3. Differs from the
    authors' code, where eps is added before the bias correction and the decay follows the step.

    On a CPU set `OPENBLAS_NUM_THREADS=1`: threads of the QR decompositions wait for those of XLA.
    """
    direction = scale_by_soap(b1, b2, eps, factor_decay, every, max_dim=max_dim, sides=sides, first=first)
    decay = add_decayed_weights(weight_decay)
    hidden = chain(
        as_matrices(direction, axes),
        conditional(decay, _after_the_first) if first == "skip" else decay,
        scale_by_learning_rate(learning_rate),
    )
    others = adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest
    return partition({"matrices": hidden, "rest": others}, matrix_or_rest(axes), allow_unused=True)


def _after_the_first(count: Any) -> Any:
    return count > 0
