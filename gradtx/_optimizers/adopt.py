"""ADOPT and ACProp: division by a second moment that does not include the current gradient."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import difference, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip
from gradtx._primitives.elementwise import clip_min, sqrt, square
from gradtx._primitives.lag import scale_by_previous_ema
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative
from gradtx.schedules import power


@transformation
def adopt(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""ADOPT: divides the gradient by the root of the previous second moment, and so converges for every `b2`.

    .. math:: n_t = \mathrm{clip}\left(\frac{g_t}{\max(\sqrt{v_{t-1}}, eps)}, t^{1/4}\right), \quad
        m_t = b_1 m_{t-1} + (1 - b_1) n_t, \quad
        u_t = -learning\_rate (m_t + weight\_decay \cdot p_t), \quad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2

    with t from 0; the first step initializes :math:`v_0 = |g_0|^2`, and its :math:`n_0` is 0.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: lower bound of the root of the second moment.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: Taniguchi et al., "ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate", 2024,
    algorithm 2, with the clipping of the paper's experiments and decoupled weight decay.
    """
    noise_before = chain(square(), scale_by_previous_ema(b2, corrected=False), sqrt(), clip_min(eps))
    return chain(
        ratio(identity(), noise_before),
        clip(power(1.0, 0.25)),
        scale_by_ema(b1),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def acprop(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""ACProp: divides the gradient by its root mean square deviation from its average, as of the previous step.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2, \quad
        u_t = -learning\_rate \left(\frac{g_t}{\sqrt{s_{t-1} / (1 - b_2^{t-1}) + eps\_root} + eps}
        + weight\_decay \cdot p_t\right)

    At the first step, which has no previous deviation, the divisor is 1.

    Args:
        learning_rate: the step size; also multiplies the weight decay.
        b1: decay rate of the averaged gradient, in [0, 1).
        b2: decay rate of the mean squared deviation, in [0, 1).
        eps: added outside the square root.
        eps_root: added inside the square root.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters.

    Reference: Zhuang et al., "Momentum Centering and Asynchronous Update for Adaptive Gradient Methods", 2021,
    algorithm 1, with bias-corrected deviations. Differs from Optax: Optax takes deviations from the average of the
    previous step, and accumulates `eps_root`.
    """
    deviation = difference(identity(), scale_by_ema(b1))
    noise_before = chain(deviation, square(), scale_by_previous_ema(b2, initial_value=1.0), sqrt())
    return chain(
        ratio(identity(), noise_before, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
