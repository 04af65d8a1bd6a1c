"""States with Optax's names and fields; where Optax is installed, its own classes."""

from typing import Any, NamedTuple

from gradtx.optax._installed import as_in_optax


@as_in_optax
class EmptyState(NamedTuple):
    """The state of what has none."""


@as_in_optax
class MaskedNode(NamedTuple):
    """In the place of a leaf that a mask leaves out."""


@as_in_optax
class ScaleByScheduleState(NamedTuple):
    count: Any


@as_in_optax
class WeightDecaySchedule(NamedTuple):
    count: Any


@as_in_optax
class ScaleByAdamState(NamedTuple):
    count: Any
    mu: Any
    nu: Any


@as_in_optax
class ScaleByAmsgradState(NamedTuple):
    count: Any
    mu: Any
    nu: Any
    nu_max: Any


@as_in_optax
class ScaleByAdanState(NamedTuple):
    m: Any
    v: Any
    n: Any
    g: Any
    t: Any


@as_in_optax
class ScaleByBeliefState(NamedTuple):
    count: Any
    mu: Any
    nu: Any


@as_in_optax
class ScaleByLionState(NamedTuple):
    count: Any
    mu: Any


@as_in_optax
class ScaleByNovogradState(NamedTuple):
    count: Any
    mu: Any
    nu: Any


@as_in_optax
class ScaleByRmsState(NamedTuple):
    nu: Any


@as_in_optax
class ScaleByRmsWithCountState(NamedTuple):
    count: Any
    nu: Any


@as_in_optax
class ScaleByRStdDevState(NamedTuple):
    mu: Any
    nu: Any


@as_in_optax
class ScaleByRStdDevWithCountState(NamedTuple):
    count: Any
    mu: Any
    nu: Any


@as_in_optax
class ScaleByRssState(NamedTuple):
    sum_of_squares: Any


@as_in_optax
class ScaleByAdaDeltaState(NamedTuple):
    e_g: Any
    e_x: Any


@as_in_optax
class ScaleByRpropState(NamedTuple):
    step_sizes: Any
    prev_updates: Any


@as_in_optax
class ScaleBySM3State(NamedTuple):
    mu: Any
    nu: Any


@as_in_optax
class ScaleByOptimisticGradientState(NamedTuple):
    is_initial_step: Any
    previous_gradient: Any


@as_in_optax
class ScaleByDistanceOverGradientsState(NamedTuple):
    max_dist: Any
    grad_sum_of_squares: Any
    init_params: Any


@as_in_optax
class FactoredState(NamedTuple):
    count: Any
    v_row: Any
    v_col: Any
    v: Any


@as_in_optax
class TraceState(NamedTuple):
    trace: Any


@as_in_optax
class EmaState(NamedTuple):
    count: Any
    ema: Any


@as_in_optax
class ApplyEvery(NamedTuple):
    count: Any
    grad_acc: Any


@as_in_optax
class AddNoiseState(NamedTuple):
    count: Any
    rng_key: Any


@as_in_optax
class ZeroNansState(NamedTuple):
    found_nan: Any


@as_in_optax
class MultiStepsState(NamedTuple):
    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any
    skip_state: Any = ()


@as_in_optax
class ApplyIfFiniteState(NamedTuple):
    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


@as_in_optax
class ConditionallyTransformState(NamedTuple):
    inner_state: Any
    step: Any


@as_in_optax
class ConditionallyMaskState(NamedTuple):
    step: Any
    inner_state: Any


@as_in_optax
class MaskedState(NamedTuple):
    inner_state: Any


@as_in_optax
class PartitionState(NamedTuple):
    inner_states: Any


@as_in_optax
class InjectHyperparamsState(NamedTuple):
    count: Any
    hyperparams: Any
    inner_state: Any


@as_in_optax
class InjectStatefulHyperparamsState(NamedTuple):
    count: Any
    hyperparams: Any
    hyperparams_states: Any
    inner_state: Any


@as_in_optax
class WrappedScheduleState(NamedTuple):
    count: Any


@as_in_optax
class SnapshotState(NamedTuple):
    measurement: Any


@as_in_optax
class MonitorState(NamedTuple):
    measurements: Any
    measure_states: Any


@as_in_optax
class LookaheadState(NamedTuple):
    fast_state: Any
    steps_since_sync: Any


@as_in_optax
class LookaheadParams(NamedTuple):
    """The two sets of parameters of `lookahead`."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> "LookaheadParams":
        """Both sets the same."""
        return cls(slow=params, fast=params)


AdaptiveGradClipState = ClipByGlobalNormState = ClipState = NonNegativeParamsState = EmptyState
AddDecayedWeightsState = ScaleState = ScaleByTrustRatioState = EmptyState
