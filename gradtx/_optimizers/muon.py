"""Muon and what was made of it: orthogonal updates for the hidden matrices, AdamW for the rest."""

from typing import Any

from gradtx._base.typing import Transform
from gradtx._combinators.chain import chain
from gradtx._combinators.graft import keep_norm, scale_by_dual_norm
from gradtx._combinators.matrices import as_matrices
from gradtx._combinators.parallel import add, ratio
from gradtx._combinators.partition import partition
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import adamw
from gradtx._preconditioners.orthogonalize import orthogonalize, scale_by_row_ema, scale_by_shape
from gradtx._primitives.accumulate import add_momentum, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip_by_block_norm
from gradtx._primitives.elementwise import sign, sqrt, square
from gradtx._primitives.lag import gradient_difference
from gradtx._primitives.normalize import normalize_by_block_norm, scale_by_param_norm
from gradtx._primitives.project import project_sphere
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.matrices import matrices_by_name, matrix_or_rest
from gradtx._values.schedule import Decay, NonNegative

_BY_NAME = matrices_by_name()


@transformation
def muon(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    weight_decay: NonNegative = 0.1,
    *,
    nesterov: bool = True,
    rule: str = "match_rms_adamw",
    steps: int = 5,
    lowest: float = 1e-3,
    method: Any = "polynomials",
    precision: str | None = None,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""Muon: the momentum of each hidden matrix, orthogonalized; AdamW for everything else.

    .. math:: m_t = momentum \cdot m_{t-1} + g_t, \quad
        u_t = -learning\_rate \left(f \cdot \operatorname{orthogonalize}(g_t + momentum \cdot m_t)
        + weight\_decay \cdot p_t\right)

    where f depends on the shape, by `scale_by_shape(rule)`. `summary(tx, params)` says what it takes for a matrix.

    Args:
        learning_rate: the step size. With the rule "match_rms_adamw", rates are those of AdamW.
        momentum: decay rate of the momentum, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        nesterov: whether the momentum is looked at one step ahead.
        rule: that of `scale_by_shape`.
        steps: how many polynomials, as for `orthogonalize`.
        lowest: the smallest singular value that is brought near 1, as there.
        method: how it is computed, as there.
        precision: that of the products, as there.
        axes: which parameters are matrices, and which of their axes are inputs and outputs: a `matrix(...)` or "rest"
            for each, as a tree, a prefix tree, `by_path`, or a function of the parameters. By default
            `matrices_by_name()`.
        rest: the optimizer of the rest, by default `adamw(learning_rate, 0.9, 0.95, weight_decay=0)`.

    State: a dict of the two groups: one array for each matrix; that of `rest`.

    Reference: Jordan et al., "Muon: An Optimizer for Hidden Layers in Neural Networks", 2024; Liu et al., "Muon is
    Scalable for LLM Training", 2025, for the decay and the rule. Differs from Jordan's code: the polynomials have a
    narrower band; the momentum is a sum, which has the same direction.

    Example:
        >>> import jax.numpy as jnp
        >>> axes = by_path({"embedding": "rest", "**/kernel": matrix(), "**": "rest"})
        >>> tx = muon(1e-3, axes=axes, rest=sgd(0.1, momentum=0.9))
        >>> dense = {"kernel": jnp.zeros((4, 8)), "bias": jnp.zeros(8)}
        >>> print(*state_dict(tx, tx.init({"embedding": jnp.zeros((9, 4)), "dense": dense})), sep="\n")
        muon/matrices/add_momentum/dense/kernel
        muon/rest/sgd/add_momentum/dense/bias
        muon/rest/sgd/add_momentum/embedding
    """
    direction = chain(orthogonalize(steps, lowest, method, precision), scale_by_shape(rule))
    return _with_momentum(direction, momentum, nesterov, weight_decay, learning_rate, axes, rest)


@transformation
def normuon(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    b2: Decay = 0.95,
    weight_decay: NonNegative = 0.1,
    eps: NonNegative = 1e-8,
    *,
    rule: str = "match_rms_adamw",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""NorMuon: Muon with the outputs of each matrix brought to one size, by a second moment for each.

    .. math:: o_t = \operatorname{orthogonalize}(g_t + momentum \cdot m_t), \quad
        v_t = b_2 v_{t-1} + (1 - b_2) \operatorname{mean}_{inputs} o_t^2, \quad
        d_t = \frac{o_t}{\sqrt{v_t} + eps}, \quad
        u_t = -learning\_rate \left(f \frac{\lVert o_t \rVert}{\lVert d_t \rVert} d_t
        + weight\_decay \cdot p_t\right)

    Args:
        learning_rate: the step size, as for `muon`.
        momentum: decay rate of the momentum, in [0, 1).
        b2: decay rate of the second moments, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        eps: added to the root of the second moment.
        rule: that of `scale_by_shape`.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: one array for each matrix, and one number for each output of it; that of `rest`.

    Reference: Li et al., "NorMuon: Making Muon More Efficient and Scalable", 2025, algorithm 1. Differs from it:
    Nesterov's look ahead, as in its code; the rule of `muon`.
    """
    second = chain(square(), scale_by_row_ema(b2), sqrt())
    direction = chain(orthogonalize(), keep_norm(ratio(identity(), second, eps)), scale_by_shape(rule))
    return _with_momentum(direction, momentum, True, weight_decay, learning_rate, axes, rest)


@transformation
def adamuon(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    b2: Decay = 0.95,
    weight_decay: NonNegative = 0.1,
    eps: NonNegative = 1e-8,
    *,
    rule: str = "match_rms_adamw",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""AdaMuon: Muon of the sign of the momentum, divided by an elementwise second moment of what comes out.

    .. math:: o_t = \operatorname{orthogonalize}(\operatorname{sign}(g_t + momentum \cdot m_t)), \quad
        v_t = b_2 v_{t-1} + (1 - b_2) o_t^2, \quad
        d_t = \frac{o_t}{\sqrt{v_t} + eps}, \quad
        u_t = -learning\_rate \left(f \frac{\lVert o_t \rVert}{\lVert d_t \rVert} d_t
        + weight\_decay \cdot p_t\right)

    Args:
        learning_rate: the step size, as for `muon`.
        momentum: decay rate of the momentum, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        eps: added to the root of the second moment.
        rule: that of `scale_by_shape`.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: two arrays for each matrix; that of `rest`.

    Reference: Si, Zhang and Shen, "AdaMuon: Adaptive Muon Optimizer", 2025, algorithm 1.
    """
    second = chain(square(), scale_by_ema(b2), sqrt())
    direction = chain(sign(), orthogonalize(), keep_norm(ratio(identity(), second, eps)), scale_by_shape(rule))
    return _with_momentum(direction, momentum, True, weight_decay, learning_rate, axes, rest)


@transformation
def mars_muon(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    weight_decay: NonNegative = 0.1,
    gamma: NonNegative = 0.025,
    *,
    nesterov: bool = True,
    rule: str = "match_rms_adamw",
    method: Any = "polynomials",
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""MARS-Muon: Muon of gradients from which a part of their change is extrapolated.

    .. math:: c_t = g_t + gamma \frac{momentum}{1 - momentum} (g_t - g_{t-1}), \quad
        \hat c_t = \frac{c_t}{\max(1, \lVert c_t \rVert)}

    and then as `muon` with :math:`\hat c_t` for the gradient.

    Args:
        learning_rate: the step size, as for `muon`.
        momentum: decay rate of the momentum, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        gamma: weight of the change.
        nesterov: whether the momentum is looked at one step ahead.
        rule: that of `scale_by_shape`.
        method: of the polar factor; see `orthogonalize`.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: two arrays for each matrix; that of `rest`.

    Reference: Yuan et al., "MARS: Unleashing the Power of Variance Reduction for Training Large Models", 2024, in its
    approximate form, algorithm 2.
    """
    variance_reduced = chain(
        add(identity(), chain(gradient_difference(), scale(gamma * momentum / (1 - momentum)))), clip_by_block_norm(1.0)
    )
    direction = chain(
        variance_reduced, add_momentum(momentum, nesterov), orthogonalize(method=method), scale_by_shape(rule)
    )
    return partition(
        {
            "matrices": chain(
                as_matrices(direction, axes), add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate)
            ),
            "rest": _or_adamw(rest, learning_rate),
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )


@transformation
def polargrad(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    weight_decay: NonNegative = 0.0,
    *,
    nesterov: bool = True,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""PolarGrad: the orthogonalized momentum times the sum of its singular values.

    .. math:: d_t = g_t + momentum \cdot m_t, \quad o_t = \operatorname{orthogonalize}(d_t), \quad
        u_t = -learning\_rate \left(\langle d_t, o_t \rangle o_t + weight\_decay \cdot p_t\right)

    The update is proportional to the gradient, and vanishes with it; Muon's is not.

    Args:
        learning_rate: the step size.
        momentum: decay rate of the momentum, in [0, 1).
        weight_decay: the decoupled weight decay of the matrices.
        nesterov: whether the momentum is looked at one step ahead.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: one array for each matrix; that of `rest`.

    Reference: Lau, Long and Su, "PolarGrad: A Class of Matrix-Gradient Optimizers from a Unifying Preconditioning
    Perspective", 2025, section 3.
    """
    return _with_momentum(
        scale_by_dual_norm(orthogonalize()), momentum, nesterov, weight_decay, learning_rate, axes, rest
    )


@transformation
def muon_hyperball(
    learning_rate: NonNegative,
    momentum: Decay = 0.95,
    *,
    nesterov: bool = True,
    axes: Any = _BY_NAME,
    rest: Transform | None = None,
):
    r"""Muon on spheres: matrices keep the norms that they had at first, and turn by an angle at each step.

    .. math:: o_t = \operatorname{orthogonalize}(g_t + momentum \cdot m_t), \quad
        p_{t+1} = r \frac{q_t}{\lVert q_t \rVert}, \quad
        q_t = p_t - learning\_rate \lVert p_t \rVert \frac{o_t}{\lVert o_t \rVert}, \quad
        r = \lVert p_0 \rVert

    There is no weight decay.

    Args:
        learning_rate: the step size, as a part of the norm.
        momentum: decay rate of the momentum, in [0, 1).
        nesterov: whether the momentum is looked at one step ahead.
        axes: which parameters are matrices, as for `muon`.
        rest: the optimizer of the rest, as for `muon`.

    State: a dict of the two groups: one array and one number for each matrix; that of `rest`.

    Reference: Wen, Dang, Lyu, Ma and Liang, "Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball
    Optimization", 2026.
    """
    direction = chain(
        orthogonalize(),
        normalize_by_block_norm(),
        scale_by_param_norm(0.0),
        scale_by_learning_rate(learning_rate),
        project_sphere(),
    )
    hidden = chain(add_momentum(momentum, nesterov=nesterov), as_matrices(direction, axes))
    return partition(
        {"matrices": hidden, "rest": _or_adamw(rest, learning_rate)}, matrix_or_rest(axes), allow_unused=True
    )


def _with_momentum(
    direction: Any, momentum: Any, nesterov: bool, weight_decay: Any, learning_rate: Any, axes: Any, rest: Any
) -> Any:
    """A direction of the momentum of each matrix, decoupled weight decay, and another optimizer for the rest."""
    return partition(
        {
            "matrices": chain(
                add_momentum(momentum, nesterov),
                as_matrices(direction, axes),
                add_decayed_weights(weight_decay),
                scale_by_learning_rate(learning_rate),
            ),
            "rest": _or_adamw(rest, learning_rate),
        },
        matrix_or_rest(axes),
        allow_unused=True,
    )


def _or_adamw(rest: Any, learning_rate: Any) -> Any:
    """The optimizer of the rest."""
    return adamw(learning_rate, 0.9, 0.95, weight_decay=0.0) if rest is None else rest
