"""The table of gradtx factories and their Optax states."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from gradtx._optimizers.adabelief import scale_by_belief
from gradtx._optimizers.adagrad import adadelta, scale_by_rss
from gradtx._optimizers.adam import scale_by_adam, scale_by_adamax
from gradtx._optimizers.amsgrad import scale_by_amsgrad, scale_by_yogi
from gradtx._optimizers.nadam import scale_by_nadam
from gradtx._optimizers.radam import scale_by_radam
from gradtx._optimizers.rmsprop import rmsprop, scale_by_rms, scale_by_stddev
from gradtx._optimizers.sign import scale_by_lion
from gradtx._primitives.accumulate import add_momentum, scale_by_ema
from gradtx._values.registry import Spec
from gradtx.interop._specs import spec_of


class Stage(NamedTuple):
    """The Optax counterpart of a gradtx transform.

    Attributes:
        kind: the type name of the Optax state.
        places: for each field of the Optax state, the path of the same arrays within the gradtx transform, as
            `state_dict` names it.
        only: the argument values, by name, that Optax supports.
        centred: whether the second field is a mean square in Optax and a mean squared deviation in gradtx.
    """

    kind: str
    places: dict[str, str]
    only: Mapping[str, Any] = MappingProxyType({})
    centred: bool = False


_FIRST, _SECOND = "numerator/scale_by_ema", "denominator/scale_by_ema"

STAGES: dict[Spec, Stage] = {
    spec_of(scale_by_adam): Stage("ScaleByAdamState", {"mu": _FIRST, "nu": _SECOND}),
    spec_of(scale_by_adamax): Stage("ScaleByAdamState", {"mu": _FIRST, "nu": "denominator/running_max"}),
    spec_of(scale_by_nadam): Stage(
        "ScaleByAdamState", {"mu": "numerator/interpolate/first/scale_by_ema", "nu": _SECOND}
    ),
    spec_of(scale_by_radam): Stage("ScaleByAdamState", {"mu": _FIRST, "nu": _SECOND}),
    spec_of(scale_by_yogi): Stage("ScaleByAdamState", {"mu": _FIRST, "nu": "denominator/scale_by_additive_ema"}),
    spec_of(scale_by_amsgrad): Stage(
        "ScaleByAmsgradState",
        {"mu": _FIRST, "nu": _SECOND, "nu_max": "denominator/running_max"},
        only={"corrected": True},
    ),
    spec_of(scale_by_belief): Stage("ScaleByBeliefState", {"mu": "value/scale_by_ema", "nu": f"body/ratio/{_SECOND}"}),
    spec_of(scale_by_lion): Stage("ScaleByLionState", {"mu": "interpolate/first/scale_by_ema"}),
    spec_of(scale_by_rms): Stage("ScaleByRmsState", {"nu": _SECOND}),
    spec_of(scale_by_stddev): Stage(
        "ScaleByRStdDevState", {"mu": "denominator/difference/subtrahend/scale_by_ema", "nu": _SECOND}, centred=True
    ),
    spec_of(scale_by_rss): Stage("ScaleByRssState", {"sum_of_squares": "denominator/running_sum"}),
    spec_of(adadelta): Stage(
        "ScaleByAdaDeltaState", {"e_g": "ratio/denominator/scale_by_ema", "e_x": "scale_by_update_rms"}
    ),
    spec_of(scale_by_ema): Stage("EmaState", {"ema": ""}),
    spec_of(add_momentum): Stage("TraceState", {"trace": ""}),
}

RATE_BEFORE_MOMENTUM = {spec_of(rmsprop)}
"""Optimizers that multiply by the learning rate before the momentum in Optax, and after it in gradtx."""
