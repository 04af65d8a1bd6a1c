"""Measurements of updates on their way, kept in the state; see `gradtx.record` and `gradtx.let`."""

from collections.abc import Callable
from typing import Any

from gradtx._base.typing import Params, State, Updates
from gradtx.optax import _states as states
from gradtx.optax._combining import chain
from gradtx.optax._moments import ema
from gradtx.optax._scaling import stateless
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import with_extra_args_support


def snapshot(measure_name: str, measure: Callable[[Updates], Any]) -> Pair:
    """Keeps the measurement of the latest updates under a name."""

    def init(params: Params) -> State:
        return states.SnapshotState({measure_name: measure(params)})

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        return updates, states.SnapshotState({measure_name: measure(updates)})

    return Pair(init, update)


def monitor(measures: dict[str, Any]) -> Pair:
    """Keeps measurements by name: functions of the updates, or transforms whose output is one."""

    def as_pair(measure: Any) -> Pair:
        return with_extra_args_support(stateless(lambda u, p: measure(u)) if callable(measure) else measure)

    pairs = {name: as_pair(measure) for name, measure in measures.items()}

    def init(params: Params) -> State:
        return states.MonitorState({}, tuple(tx.init(params) for tx in pairs.values()))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        results = {
            name: tx.update(updates, own, params, **extra)
            for (name, tx), own in zip(pairs.items(), state.measure_states, strict=True)
        }
        measured = {name: value for name, (value, _) in results.items()}
        return updates, states.MonitorState(measured, tuple(own for _, own in results.values()))

    return Pair(init, update)


def measure_with_ema(
    measure: Callable[[Updates], Any], decay: Any, debias: bool = True, accumulator_dtype: Any = None
) -> Pair:
    """The moving average of a measurement, for `monitor`."""
    mean = ema(decay, debias, accumulator_dtype)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        return mean.update(updates, state)  # the measurement is not like the parameters

    of_measured = Pair(lambda params: mean.init(measure(params)), update)
    return chain(stateless(lambda updates, params: measure(updates)), of_measured)
