"""D-Adaptation and Prodigy: Adam with an estimated learning rate."""

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
    r"""D-Adaptation for AdamW: scales the steps by an estimate of the distance to the minimum.

    .. math:: u_t = -\frac{m_t}{\sqrt{v_t} + eps} - a_t \cdot weight\_decay \cdot p_t

    with the moments and the rate from `scale_by_dadapt`, which estimates the distance from inner products of gradients.

    Args:
        learning_rate: multiplies the estimate; 1 needs no tuning, schedules are supported.
        b1: decay rate of the first moment, in [0, 1); in Optax `betas=(b1, b2)`.
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the square root.
        estim_lr0: the initial estimate.
        weight_decay: coefficient of decoupled weight decay, scaled by the estimated rate.

    State: three arrays per parameter, and four scalars. Needs the parameters.

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
    r"""Prodigy: Adam that scales the steps by an estimate of the distance to the minimum.

    .. math:: u_t = -a_t \left(\frac{m_t}{\sqrt{v_t} + d_t \cdot eps} + weight\_decay \cdot p_t\right)

    with the moments and the rate from `scale_by_prodigy`, which estimates the distance from gradients and the
    displacement so far.

    Args:
        learning_rate: multiplies the estimate; 1 needs no tuning, schedules are supported.
        b1: decay rate of the first moment, in [0, 1); in Optax `betas=(b1, b2)`.
        b2: decay rate of the second moment, in [0, 1).
        beta3: decay rate of the estimate's accumulators, in [0, 1); None is the square root of `b2`.
        eps: added outside the square root, after multiplication by the estimate.
        estim_lr0: the initial estimate.
        estim_lr_coef: multiplies each new estimate; below 1 for a smaller one.
        weight_decay: coefficient of decoupled weight decay, scaled by the estimated rate.
        safeguard_warmup: set it if the learning rate has a warmup.

    State: four arrays per parameter, and four scalars. Needs the parameters. With half-precision parameters wrap it in
    `master_weights`; otherwise rounding loses the first steps, and with them all later ones.

    Reference: Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2023, algorithm 4,
    with bias corrections in the rate, and the new estimate :math:`d_t` as the factor of eps.
    """
    return scale_by_prodigy(b1, b2, beta3, eps, estim_lr0, estim_lr_coef, learning_rate, weight_decay, safeguard_warmup)
