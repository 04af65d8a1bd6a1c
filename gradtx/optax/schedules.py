"""Schedules under Optax's names; see `gradtx.optax`."""

from typing import TYPE_CHECKING

from gradtx.optax._handed_on import surface as _surface
from gradtx.optax._inject import WrappedSchedule as WrappedSchedule
from gradtx.optax._inject import inject_hyperparams as inject_hyperparams
from gradtx.optax._inject import inject_stateful_hyperparams as inject_stateful_hyperparams
from gradtx.optax._schedules import constant_schedule as constant_schedule
from gradtx.optax._schedules import cosine_decay_schedule as cosine_decay_schedule
from gradtx.optax._schedules import cosine_onecycle_schedule as cosine_onecycle_schedule
from gradtx.optax._schedules import exponential_decay as exponential_decay
from gradtx.optax._schedules import join_schedules as join_schedules
from gradtx.optax._schedules import linear_onecycle_schedule as linear_onecycle_schedule
from gradtx.optax._schedules import linear_schedule as linear_schedule
from gradtx.optax._schedules import piecewise_constant_schedule as piecewise_constant_schedule
from gradtx.optax._schedules import piecewise_interpolate_schedule as piecewise_interpolate_schedule
from gradtx.optax._schedules import polynomial_schedule as polynomial_schedule
from gradtx.optax._schedules import sgdr_schedule as sgdr_schedule
from gradtx.optax._schedules import warmup_constant_schedule as warmup_constant_schedule
from gradtx.optax._schedules import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from gradtx.optax._schedules import warmup_exponential_decay_schedule as warmup_exponential_decay_schedule
from gradtx.optax._states import InjectHyperparamsState as InjectHyperparamsState
from gradtx.optax._states import InjectStatefulHyperparamsState as InjectStatefulHyperparamsState
from gradtx.optax._types import Schedule as Schedule
from gradtx.optax._types import StatefulSchedule as StatefulSchedule

if not TYPE_CHECKING:  # a type checker reads the exports above
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
