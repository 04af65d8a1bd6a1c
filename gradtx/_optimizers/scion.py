"""Scion: steps of a norm's linear minimization oracle."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.partition import partition
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw
from gradtx._preconditioners.orthogonalize import lmo
from gradtx._primitives.accumulate import scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative

_BY_NAME = matrices_by_name()


@transformation
def scion(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    radius: NonNegative = 50.0,
    *,
    norm: str = "spectral",
    constrained: bool = True,
    method: Any = "polynomials",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""Scion: the averaged gradient of each hidden matrix, replaced by the most aligned matrix of a norm's ball.

    .. math:: m_t = decay \cdot m_{t-1} + (1 - decay) g_t, \quad
        u_t = -learning\_rate \left(radius \cdot \operatorname{lmo}(m_t) + p_t\right)

    with the parameter only if the step is `constrained`: then the matrices stay in the ball of that radius.

    Args:
        learning_rate: the step size, at most 1 for a constrained step.
        decay: decay rate of the average, in [0, 1).
        radius: of the ball.
        norm: that of `lmo`.
        constrained: whether the parameters are drawn into the ball.
        method: of the polar factor; see `orthogonalize`.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`; the paper has other norms there.

    State: a dict of the two groups: one array for each matrix; that of `rest`.

    Reference: Pethick et al., "Training Deep Learning Models with Norm-Constrained LMOs", 2025, algorithms 1 and 2. The
    average starts from 0, and not from the first gradient.
    """
    return partition(
        {
            "matrices": chain(
                scale_by_ema(decay),
                as_matrices(lmo(norm, method), axes),
                scale(radius),
                add_decayed_weights(1.0) if constrained else identity(),
                scale_by_learning_rate(learning_rate),
            ),
            "rest": adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest,
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )
