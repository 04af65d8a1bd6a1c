"""Layer-wise optimizers: the step size of an array depends on its norm. For arrays of stacked layers: `over_layers`."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.partition import masked
from gradtx._core.protocol import transformation
from gradtx._optimizers.adam import scale_by_adam
from gradtx._primitives.accumulate import add_momentum
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.normalize import scale_by_norm_ema, scale_by_trust_ratio
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative


@transformation
def lars(
    learning_rate: NonNegative,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
    trust_coefficient: NonNegative = 0.001,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Any = None,
    momentum: Decay = 0.9,
    nesterov: bool = False,
):
    r"""LARS: gradient descent with momentum, with steps proportional to the norm of each array.

    .. math:: d_t = g_t + weight\_decay \cdot p_t, \quad
        m_t = momentum \cdot m_{t-1} + learning\_rate \cdot trust\_coefficient
        \frac{\lVert p_t \rVert}{\lVert d_t \rVert + eps} d_t, \quad u_t = -m_t

    If either norm is 0, d is not scaled.

    Args:
        learning_rate: the step size; applied before the momentum.
        weight_decay: coefficient of L2 weight decay, added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.
        trust_coefficient: ratio of the norms of step and array, per unit of the learning rate.
        eps: added to the norm of d.
        trust_ratio_mask: which arrays are scaled, all by default: a tree or prefix tree of booleans, or a function of
            the parameters that returns one. Biases and normalization scales are often excluded from both masks.
        momentum: momentum coefficient, in [0, 1).
        nesterov: whether to use Nesterov momentum.

    State: one array per parameter. Needs the parameters.

    Reference: You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017, algorithm 1, whose
    denominator has the sum of the norms of the two terms of d in place of the norm of d.
    """
    ratio = scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps)
    return chain(
        add_decayed_weights(weight_decay, mask),
        ratio if trust_ratio_mask is None else masked(ratio, trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        add_momentum(momentum, nesterov),
    )


@transformation
def lamb(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""LAMB: scales the AdamW direction of each array to the array's norm times the learning rate.

    .. math:: d_t = \frac{\hat m_t}{\sqrt{\hat v_t + eps\_root} + eps} + weight\_decay \cdot p_t, \quad
        u_t = -learning\_rate \frac{\lVert p_t \rVert}{\lVert d_t \rVert} d_t

    with the bias-corrected moments of `scale_by_adam`. If either norm is 0, their ratio is 1.

    Args:
        learning_rate: the step size, relative to each array's norm.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of weight decay, added to the Adam direction.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", 2020,
    algorithm 2, with the identity as its function :math:`\phi` of the norm.
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def novograd(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
):
    r"""NovoGrad: momentum of gradients divided by their average norm, with one second moment per array.

    .. math:: v_t = b_2 v_{t-1} + (1 - b_2) \lVert g_t \rVert^2, \quad v_1 = \lVert g_1 \rVert^2, \quad
        m_t = b_1 m_{t-1} + \frac{g_t}{\sqrt{v_t + eps\_root} + eps} + weight\_decay \cdot p_t, \quad
        u_t = -learning\_rate \cdot m_t

    Args:
        learning_rate: the step size.
        b1: momentum coefficient, in [0, 1).
        b2: decay rate of the mean squared norm, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of weight decay, added before the momentum.

    State: one array per parameter, and one scalar per array. Needs the parameters.

    Reference: Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep
    Networks", 2019, algorithm 1; `eps_root` is not in the paper.
    """
    return chain(
        scale_by_norm_ema(b2, eps, eps_root),
        add_decayed_weights(weight_decay),
        add_momentum(b1),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def fromage(learning_rate: NonNegative, min_norm: NonNegative = 1e-6):
    r"""Fromage: steps proportional to each array's norm, followed by a division that keeps the norm from growing.

    .. math:: p_{t+1} = \frac{1}{\sqrt{1 + learning\_rate^2}} \left(p_t - learning\_rate
        \frac{\max(\lVert p_t \rVert, min\_norm)}{\max(\lVert g_t \rVert, min\_norm)} g_t\right)

    Args:
        learning_rate: the step size, relative to each array's norm.
        min_norm: lower bound of both norms; if it is 0 and a norm is 0, their ratio is 1.

    State: none. Needs the parameters.

    Reference: Bernstein, Vahdat, Yue and Liu, "On the distance between two neural networks and the stability of
    learning", 2020, algorithm 1, which has no minimum norm.
    """
    length = (1 + learning_rate**2) ** 0.5
    # The division subtracts 1 - 1 / length of the parameter; this form of it has no cancellation.
    return chain(
        scale_by_trust_ratio(min_norm),
        add_decayed_weights(learning_rate / (1 + length)),
        scale_by_learning_rate(learning_rate / length),
    )
