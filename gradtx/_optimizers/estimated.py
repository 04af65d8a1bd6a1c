"""Adam with an estimated learning rate."""

from gradtx._core.protocol import transformation
from gradtx._primitives.estimate import scale_by_dadapt, scale_by_prodigy
from gradtx._values.schedule import Decay, NonNegative, Positive


@transformation
def dadapt_adamw(
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
):
    r"""D-Adaptation for AdamW: estimates the distance to the minimum from how gradients agree, and steps by it.

    .. math:: u_t = -\frac{m_t}{\sqrt{v_t} + eps} - a_t \cdot weight\_decay \cdot p_t

    with moments and rate of `scale_by_dadapt`.

    Args:
        learning_rate: a factor of the estimate; 1 needs no tuning, a schedule is welcome.
        b1: decay of the first moment, in [0, 1); Optax has `betas=(b1, b2)`.
        b2: decay of the second moment, in [0, 1).
        eps: added outside the root.
        estim_lr0: the estimate before the first step.
        weight_decay: how much of the parameter is taken away per unit of the rate.

    State: three arrays per parameter, and four numbers. Needs the parameters.

    Reference: Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023, algorithm 5, with bias
    corrections in the rate.
    """
    return scale_by_dadapt(b1, b2, eps, estim_lr0, learning_rate, weight_decay)


@transformation
def prodigy(
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    beta3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    estim_lr_coef: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    safeguard_warmup: bool = False,
):
    r"""Prodigy: estimates the distance to the minimum from gradients and the way so far, and steps by it.

    .. math:: u_t = -a_t \left(\frac{m_t}{\sqrt{v_t} + d_t \cdot eps} + weight\_decay \cdot p_t\right)

    with moments and rate of `scale_by_prodigy`.

    Args:
        learning_rate: a factor of the estimate; 1 needs no tuning, a schedule is welcome.
        b1: decay of the first moment, in [0, 1); Optax has `betas=(b1, b2)`.
        b2: decay of the second moment, in [0, 1).
        beta3: decay of the evidence, in [0, 1); None is the root of `b2`.
        eps: added outside the root, in units of the estimate.
        estim_lr0: the estimate before the first step.
        estim_lr_coef: a factor of the evidence; below 1 for a smaller estimate.
        weight_decay: how much of the parameter is taken away per unit of the rate.
        safeguard_warmup: set it where the learning rate warms up.

    State: four arrays per parameter, and four numbers. Needs the parameters; half-precision ones want
    `master_weights` around it, or the first steps are rounded away, and with them all others.

    Reference: Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2023, algorithm 4,
    with bias corrections in the rate, and the new estimate in the constant.
    """
    return scale_by_prodigy(b1, b2, beta3, eps, estim_lr0, estim_lr_coef, learning_rate, weight_decay, safeguard_warmup)
