"""Dion and GaLore: steps of a low rank, for the hidden matrices."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.partition import partition
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw, scale_by_adam
from gradtx._preconditioners.low_rank import low_rank, scale_by_dion
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative

_BY_NAME = matrices_by_name()


@transformation
def dion(
    learning_rate: NonNegative,
    rank: int,
    momentum: Decay = 0.95,
    weight_decay: NonNegative = 0.01,
    *,
    seed: int = 0,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""Dion: orthonormal steps of a low rank, and a momentum that keeps what they leave out.

    .. math:: u_t = -learning\_rate \left(\operatorname{dion}(g_t) + weight\_decay \cdot p_t\right)

    with the direction of `scale_by_dion`.

    Args:
        learning_rate: the step size, as for `muon` with the rule "spectral".
        rank: the number of singular vectors in a step.
        momentum: what stays of the part of the momentum that was used, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        seed: from which the first directions are made.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: for each matrix one array, and `rank` numbers for each input; that of `rest`.

    Reference: Ahn et al., "Dion: Distributed Orthonormalized Updates", 2025, algorithm 1.
    """
    return partition(
        {
            "matrices": chain(
                as_matrices(scale_by_dion(rank, momentum, seed), axes),
                add_decayed_weights(weight_decay),
                scale_by_learning_rate(learning_rate),
            ),
            "rest": adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest,
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )


@transformation
def galore_adamw(
    learning_rate: NonNegative,
    rank: int = 128,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    every: int = 200,
    factor: NonNegative = 0.25,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""GaLore: Adam of the gradient's projection onto its largest singular vectors.

    .. math:: u_t = -learning\_rate \left(factor \cdot P \operatorname{adam}(P^H g_t) + weight\_decay \cdot p_t\right)

    with the projection P of `low_rank`.

    Args:
        learning_rate: the step size.
        rank: the number of singular vectors.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added to the root of the second moment.
        weight_decay: the decoupled weight decay of the matrices.
        every: the number of steps between two projections.
        factor: multiplies the update.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: for each matrix `rank` numbers for each element of the shorter side, and twice as
    many for each of the longer one; that of `rest`.

    Reference: Zhao et al., "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection", 2024, algorithm 2.
    """
    direction = low_rank(scale_by_adam(b1, b2, eps), rank, every, factor)
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
