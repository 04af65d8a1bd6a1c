"""Sophia and AdaHessian: momentum divided by an estimate of the diagonal of the Hessian."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import bias_correction, scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip
from gradtx._primitives.curvature import hutchinson
from gradtx._primitives.elementwise import clip_min, power, square
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Positive, UnitInterval
from gradtx.schedules import every as every_steps


@transformation
def sophia(
    learning_rate: NonNegative,
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    mask: Any = None,
    gamma: NonNegative = 0.01,
    clip_threshold: Positive = 1.0,
    update_interval: int = 10,
):
    r"""Sophia: divides the first moment by an estimate of the diagonal of the Hessian, and clips the result.

    .. math:: m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad h_t = b_2 h_{t-k} + (1 - b_2) \hat h_t, \quad
        u_t = -learning\_rate \left(\mathrm{clip}\left(\frac{m_t}{\max(gamma \cdot h_t, eps)}, clip\_threshold\right)
        + weight\_decay \cdot p_t\right)

    with the estimate :math:`\hat h_t` from `hutchinson`, computed at every k-th step.

    Args:
        learning_rate: the step size; also the largest step per coordinate where `clip_threshold` is 1.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the curvature, in [0, 1).
        eps: lower bound of the denominator.
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.
        gamma: weight of the curvature; smaller values clip more coordinates.
        clip_threshold: the largest magnitude of an element of the direction.
        update_interval: k, the number of steps between estimates.

    State: two arrays per parameter. Needs the parameters, and the extra arguments `value_fn` and `key`.

    Reference: Liu, Li, Hall, Liang and Ma, "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model
    Pre-training", 2023, algorithm 3, with algorithm 1 for its estimate.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda p: jnp.sum(jnp.asarray([1.0, 100.0]) * p**2)
        >>> tx, params = sophia(0.02), jnp.ones(2)
        >>> step, state = make_train_step(loss, tx), tx.init(params)
        >>> for key in jax.random.split(jax.random.key(0), 200):
        ...     params, state, value = step(params, state, key=key)
        >>> print(f"{loss(jnp.ones(2)):.0f} {value:.3f}")
        101 0.752
    """
    curvature = chain(
        hutchinson(update_interval),
        scale_by_ema(every_steps(update_interval, b2, 1.0)),
        scale(gamma),
        clip_min(eps),
    )
    return chain(
        ratio(scale_by_ema(b1), curvature),
        clip(clip_threshold),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def adahessian(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    hessian_power: UnitInterval = 1.0,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""AdaHessian: Adam with the squared diagonal of the Hessian as its second moment.

    .. math:: v_t = b_2 v_{t-1} + (1 - b_2) \hat h_t^2, \quad
        u_t = -learning\_rate \left(\frac{\hat m_t}{\hat v_t^{hessian\_power / 2} + eps}
        + weight\_decay \cdot p_t\right)

    with the estimate :math:`\hat h_t` from `hutchinson`.

    Args:
        learning_rate: the step size.
        b1: decay rate of the first moment, in [0, 1).
        b2: decay rate of the second moment, in [0, 1).
        eps: added outside the power.
        hessian_power: exponent of the curvature, in [0, 1].
        weight_decay: coefficient of decoupled weight decay, scaled by the learning rate.
        mask: which parameters decay; see `add_decayed_weights`.

    State: two arrays per parameter. Needs the parameters, and the extra arguments `value_fn` and `key`.

    Reference: Yao et al., "ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning", 2021, algorithm 1,
    without its spatial averaging over blocks of the diagonal.
    """
    how_far = chain(scale_by_ema(b1), bias_correction(b1))
    curvature = chain(hutchinson(), square(), scale_by_ema(b2), bias_correction(b2), power(0.5 * hessian_power))
    return chain(
        ratio(how_far, curvature, eps), add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)
    )
