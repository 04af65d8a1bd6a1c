"""SM3 and Adafactor: adaptive step sizes with second-moment state much smaller than the parameters."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.parallel import ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._preconditioners.factored import running_sum_by_axis, scale_by_factored_ema
from gradtx._primitives.accumulate import scale_by_ema
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.clip import clip_by_block_rms
from gradtx._primitives.elementwise import add_constant, sqrt, square
from gradtx._primitives.normalize import scale_by_param_rms
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import Decay, NonNegative, Positive, Scalar
from gradtx.schedules import constant, inverse_sqrt, join
from gradtx.schedules import power as power_of_step

_RELATIVE_STEP = join([constant(1e-2), inverse_sqrt(1e-2, 10_000)], [9_999])  # min(1e-2, 1 / sqrt(t))


@transformation
def sm3(learning_rate: NonNegative, momentum: Decay = 0.9, eps: NonNegative = 1e-8):
    r"""SM3: AdaGrad with the sum of squares stored as one vector per axis.

    .. math:: n_t = \min_i a^i_{t-1} + |g_t|^2, \quad a^i_t = \max_{j \ne i} n_t, \quad
        m_t = momentum \cdot m_{t-1} + (1 - momentum) \frac{g_t}{\sqrt{n_t + eps}}, \quad
        u_t = -learning\_rate \cdot m_t

    Args:
        learning_rate: the step size.
        momentum: decay rate of the averaged direction, in [0, 1).
        eps: added inside the square root.

    State: one array per parameter, and one vector for each axis.

    Reference: Anil, Gupta, Koren and Singer, "Memory-Efficient Adaptive Optimization", 2019, algorithm SM3-II, which
    has no eps.
    """
    sum_of_squares = chain(square(), running_sum_by_axis(), sqrt())
    direction = ratio(identity(), sum_of_squares, eps_root=eps)
    return chain(direction, scale_by_ema(momentum), scale_by_learning_rate(learning_rate))


@transformation
def scale_by_factored_rms(
    decay_rate: Scalar = 0.8,
    decay_offset: Scalar = 0.0,
    min_dim_size_to_factor: int = 128,
    eps: NonNegative = 1e-30,
):
    r"""Adafactor direction: divides the gradient by a root mean square factored into rows and columns.

    .. math:: b_t = 1 - (t - decay\_offset)^{-decay\_rate}, \quad
        v_t = \mathrm{factored}(b_t v_{t-1} + (1 - b_t) (|g_t|^2 + eps)), \quad u_t = g_t / \sqrt{v_t}

    with t from 1; see `scale_by_factored_ema`.

    Args:
        decay_rate: exponent of the decay schedule; larger values approach 1 faster.
        decay_offset: the step at which a resumed run starts; not positive for a new run.
        min_dim_size_to_factor: minimum size of the second longest axis for factoring.
        eps: added to the squares.

    State: m + n numbers for an m by n matrix; one array where it is not factored.

    Reference: see `adafactor`.
    """
    decay = 1 - power_of_step(1.0, -decay_rate, offset=1 - decay_offset)
    second = chain(square(), add_constant(eps), scale_by_factored_ema(decay, min_dim_size_to_factor), sqrt())
    return ratio(identity(), second)


@transformation
def adafactor(
    learning_rate: NonNegative | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Scalar = 0.8,
    decay_offset: Scalar = 0.0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Positive | None = 1.0,
    momentum: Decay | None = None,
    weight_decay_rate: NonNegative | None = None,
    eps: NonNegative = 1e-30,
    mask: Any = None,
):
    r"""Adafactor: divides the gradient by a factored second moment, with steps relative to the size of the parameters.

    .. math:: d_t = g_t / \sqrt{v_t}, \quad
        c_t = \frac{d_t}{\max(1, \mathrm{rms}(d_t) / clipping\_threshold)}, \quad
        u_t = -learning\_rate \cdot \max(\mathrm{rms}(p_t), 10^{-3}) \cdot c_t

    with :math:`v_t` of `scale_by_factored_rms`.

    Args:
        learning_rate: the step size, relative to the size of the parameters; None is the paper's relative step,
            :math:`\min(10^{-2}, 1 / \sqrt t)` with t from 1, and 1 in Optax.
        min_dim_size_to_factor: minimum size of the second longest axis of an array for factoring.
        decay_rate: exponent of the decay schedule of the second moment; larger values approach 1 faster.
        decay_offset: the step at which a resumed run starts; see `scale_by_factored_rms`.
        multiply_by_parameter_scale: whether steps are relative to the root mean square of each array.
        clipping_threshold: the largest root mean square of an array's direction; None disables clipping.
        momentum: decay rate of the averaged update, after the learning rate; None disables momentum.
        weight_decay_rate: the fraction of the parameter subtracted per step, independent of the learning rate; None
            disables weight decay.
        eps: added to the squares.
        mask: which parameters decay; see `add_decayed_weights`.

    State: for an m by n matrix m + n numbers, one array where it is not factored, and one more with momentum. Needs the
    parameters.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, algorithms 4
    and 5; `weight_decay_rate` is from the authors' code.
    """
    parts = [scale_by_factored_rms(decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    parts.append(scale(_RELATIVE_STEP if learning_rate is None else learning_rate))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_rms(1e-3))
    if momentum is not None:
        parts.append(scale_by_ema(momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, mask))
    return chain(*parts, scale_by_learning_rate(1.0))
