"""Contributed optimizers under Optax's names; see `gradtx.optax`."""

from typing import TYPE_CHECKING

from gradtx.optax._handed_on import surface as _surface
from gradtx.optax.contrib._matrices import GaLoreDimensionNumbers as GaLoreDimensionNumbers
from gradtx.optax.contrib._matrices import GaLoreState as GaLoreState
from gradtx.optax.contrib._matrices import MuonDimensionNumbers as MuonDimensionNumbers
from gradtx.optax.contrib._matrices import MuonState as MuonState
from gradtx.optax.contrib._matrices import galore as galore
from gradtx.optax.contrib._matrices import muon as muon
from gradtx.optax.contrib._matrices import scale_by_galore as scale_by_galore
from gradtx.optax.contrib._matrices import scale_by_muon as scale_by_muon
from gradtx.optax.contrib._optimizers import COCOBState as COCOBState
from gradtx.optax.contrib._optimizers import DAdaptAdamWState as DAdaptAdamWState
from gradtx.optax.contrib._optimizers import DoGState as DoGState
from gradtx.optax.contrib._optimizers import DoWGState as DoWGState
from gradtx.optax.contrib._optimizers import MadgradState as MadgradState
from gradtx.optax.contrib._optimizers import MechanicState as MechanicState
from gradtx.optax.contrib._optimizers import MomoAdamState as MomoAdamState
from gradtx.optax.contrib._optimizers import MomoState as MomoState
from gradtx.optax.contrib._optimizers import ProdigyState as ProdigyState
from gradtx.optax.contrib._optimizers import ScaleByAdemamixState as ScaleByAdemamixState
from gradtx.optax.contrib._optimizers import ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState
from gradtx.optax.contrib._optimizers import acprop as acprop
from gradtx.optax.contrib._optimizers import ademamix as ademamix
from gradtx.optax.contrib._optimizers import adopt as adopt
from gradtx.optax.contrib._optimizers import cocob as cocob
from gradtx.optax.contrib._optimizers import dadapt_adamw as dadapt_adamw
from gradtx.optax.contrib._optimizers import dog as dog
from gradtx.optax.contrib._optimizers import dowg as dowg
from gradtx.optax.contrib._optimizers import madgrad as madgrad
from gradtx.optax.contrib._optimizers import mechanize as mechanize
from gradtx.optax.contrib._optimizers import momo as momo
from gradtx.optax.contrib._optimizers import momo_adam as momo_adam
from gradtx.optax.contrib._optimizers import prodigy as prodigy
from gradtx.optax.contrib._optimizers import scale_by_acprop as scale_by_acprop
from gradtx.optax.contrib._optimizers import scale_by_ademamix as scale_by_ademamix
from gradtx.optax.contrib._optimizers import scale_by_adopt as scale_by_adopt
from gradtx.optax.contrib._optimizers import scale_by_cocob as scale_by_cocob
from gradtx.optax.contrib._optimizers import scale_by_madgrad as scale_by_madgrad
from gradtx.optax.contrib._optimizers import scale_by_simplified_ademamix as scale_by_simplified_ademamix
from gradtx.optax.contrib._optimizers import simplified_ademamix as simplified_ademamix
from gradtx.optax.contrib._privacy import DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState
from gradtx.optax.contrib._privacy import differentially_private_aggregate as differentially_private_aggregate
from gradtx.optax.contrib._privacy import dpsgd as dpsgd
from gradtx.optax.contrib._sophia import HutchinsonState as HutchinsonState
from gradtx.optax.contrib._sophia import SophiaState as SophiaState
from gradtx.optax.contrib._sophia import hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian
from gradtx.optax.contrib._sophia import sophia as sophia
from gradtx.optax.contrib._wrappers import NormalizeState as NormalizeState
from gradtx.optax.contrib._wrappers import ReduceLROnPlateauState as ReduceLROnPlateauState
from gradtx.optax.contrib._wrappers import SAMState as SAMState
from gradtx.optax.contrib._wrappers import ScheduleFreeState as ScheduleFreeState
from gradtx.optax.contrib._wrappers import SplitRealAndImaginaryState as SplitRealAndImaginaryState
from gradtx.optax.contrib._wrappers import normalize as normalize
from gradtx.optax.contrib._wrappers import reduce_on_plateau as reduce_on_plateau
from gradtx.optax.contrib._wrappers import sam as sam
from gradtx.optax.contrib._wrappers import schedule_free as schedule_free
from gradtx.optax.contrib._wrappers import schedule_free_adamw as schedule_free_adamw
from gradtx.optax.contrib._wrappers import schedule_free_eval_params as schedule_free_eval_params
from gradtx.optax.contrib._wrappers import schedule_free_sgd as schedule_free_sgd
from gradtx.optax.contrib._wrappers import split_real_and_imaginary as split_real_and_imaginary

if not TYPE_CHECKING:  # a type checker reads the exports above
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
