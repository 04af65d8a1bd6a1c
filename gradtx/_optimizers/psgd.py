"""PSGD: a momentum whitened by Kronecker factors that are fitted."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.partition import partition
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw
from gradtx._preconditioners.whitening import precondition_by_whitening
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip_by_block_rms
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative, Positive

_BY_NAME = matrices_by_name()


@transformation
def psgd_kron(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
    *,
    rate: NonNegative = 0.1,
    every: int = 1,
    clip_threshold: Positive = 1.1,
    max_dim: int = 8192,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""PSGD-Kron: the bias-corrected momentum, whitened by fitted factors for each side, and clipped.

    .. math:: \hat m_t = \frac{m_t}{1 - b_1^t}, \quad x_t = P_L \hat m_t P_R, \quad
        u_t = -learning\_rate \left(\min\left(1, \frac{clip\_threshold}{\operatorname{rms}(x_t)}\right) x_t
        + weight\_decay \cdot p_t\right)

    with the factors of `precondition_by_whitening`, which are fitted to the momentum.

    Args:
        learning_rate: the step size, a third to a fifth of Adam's.
        b1: decay rate of the momentum, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        rate: the step of the fit; see `precondition_by_whitening`.
        every: the number of steps between two steps of the fit.
        clip_threshold: the largest root mean square of a matrix of the direction.
        max_dim: sides that are longer get a diagonal.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: for each matrix one array, and one of side times side for each side; that of
    `rest`.

    Reference: Li, "Preconditioned Stochastic Gradient Descent", 2018, with the rule QUAD and the defaults of psgd_torch
    and kron_torch (2025), which fit at random steps.
    """
    direction = chain(precondition_by_whitening(rate, every, max_dim), clip_by_block_rms(clip_threshold))
    return partition(
        {
            "matrices": chain(
                scale_by_ema(b1),
                bias_correction(b1),
                as_matrices(direction, axes),
                add_decayed_weights(weight_decay),
                scale_by_learning_rate(learning_rate),
            ),
            "rest": adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest,
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )
