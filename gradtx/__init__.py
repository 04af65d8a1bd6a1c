"""gradtx: composable gradient transformations for JAX."""

import importlib as _importlib
from typing import TYPE_CHECKING, Any as _Any

# The protocol, and what transforms are made with.
from gradtx import codecs as codecs
from gradtx import problems as problems
from gradtx import schedules as schedules
from gradtx import tree as tree
from gradtx import linalg as linalg
from gradtx._core.averages import eval_params as eval_params
from gradtx._values.config import from_config as from_config
from gradtx._values.config import to_config as to_config
from gradtx._core.constructors import clocked as clocked
from gradtx._core.constructors import clocked_memory as clocked_memory
from gradtx._core.constructors import combinator as combinator
from gradtx._core.constructors import elementwise as elementwise
from gradtx._core.constructors import memory as memory
from gradtx._core.constructors import treewise as treewise
from gradtx._core.protocol import GradientTransformation as GradientTransformation
from gradtx._core.updates import apply_updates as apply_updates
from gradtx._core.matrixwise import matrixwise as matrixwise
from gradtx._core.protocol import transformation as transformation
from gradtx._base.counterparts import no_attribute as _no_attribute
from gradtx._base.typing import Params as Params
from gradtx._base.typing import State as OptState
from gradtx._base.typing import Transform as Transform
from gradtx._base.typing import Updates as Updates
from gradtx._base.errors import GradtxError as GradtxError
from gradtx._base.errors import GradtxTypeError as GradtxTypeError
from gradtx._base.errors import GradtxValueError as GradtxValueError
from gradtx._values.factory import schedule as schedule
from gradtx._values.labels import by_path as by_path
from gradtx._values.labels import where as where
from gradtx._values.matrices import matrices_by_name as matrices_by_name
from gradtx._values.matrices import matrix as matrix
from gradtx._values.matrices import matrix_or_rest as matrix_or_rest
from gradtx._values.annotations import Decay as Decay
from gradtx._values.annotations import UnitInterval as UnitInterval
from gradtx._values.annotations import NonNegative as NonNegative
from gradtx._values.annotations import Positive as Positive
from gradtx._values.annotations import PositiveDecay as PositiveDecay
from gradtx._values.annotations import Scalar as Scalar
from gradtx._values.schedule import Schedule as Schedule
from gradtx._cpu.single_pass import single_pass_cpu as single_pass_cpu

# Layers 3 and 4: the parts.
from gradtx.transforms import *
from gradtx._combinators.accumulation import has_updated as has_updated
from gradtx._combinators.condition import has_nonfinite as has_nonfinite
from gradtx._combinators.inject import get_hyperparams as get_hyperparams
from gradtx._combinators.inject import set_hyperparams as set_hyperparams
from gradtx._combinators.master import master_params as master_params
from gradtx._combinators.record import logs as logs

# Named optimizers, and their directions.
from gradtx._optimizers.adabelief import adabelief as adabelief
from gradtx._optimizers.adabelief import scale_by_belief as scale_by_belief
from gradtx._optimizers.adagrad import adadelta as adadelta
from gradtx._optimizers.adagrad import adagrad as adagrad
from gradtx._optimizers.adagrad import scale_by_rss as scale_by_rss
from gradtx._optimizers.adam import adam as adam
from gradtx._optimizers.adam import adamax as adamax
from gradtx._optimizers.adam import adamaxw as adamaxw
from gradtx._optimizers.adam import adamw as adamw
from gradtx._optimizers.adam import scale_by_adam as scale_by_adam
from gradtx._optimizers.adam import scale_by_adamax as scale_by_adamax
from gradtx._optimizers.adan import adan as adan
from gradtx._optimizers.adan import mars as mars
from gradtx._optimizers.adan import scale_by_adan as scale_by_adan
from gradtx._optimizers.ademamix import ademamix as ademamix
from gradtx._optimizers.ademamix import scale_by_ademamix as scale_by_ademamix
from gradtx._optimizers.ademamix import simplified_ademamix as simplified_ademamix
from gradtx._optimizers.adamp import adamp as adamp
from gradtx._optimizers.adopt import acprop as acprop
from gradtx._optimizers.adopt import adopt as adopt
from gradtx._optimizers.amsgrad import amsgrad as amsgrad
from gradtx._optimizers.amsgrad import padam as padam
from gradtx._optimizers.amsgrad import scale_by_amsgrad as scale_by_amsgrad
from gradtx._optimizers.amsgrad import scale_by_yogi as scale_by_yogi
from gradtx._optimizers.amsgrad import yogi as yogi
from gradtx._optimizers.curvature import adahessian as adahessian
from gradtx._optimizers.curvature import sophia as sophia
from gradtx._optimizers.distance import cocob as cocob
from gradtx._optimizers.distance import dog as dog
from gradtx._optimizers.distance import dowg as dowg
from gradtx._optimizers.estimated import dadapt_adamw as dadapt_adamw
from gradtx._optimizers.estimated import prodigy as prodigy
from gradtx._optimizers.gradient_descent import aggmo as aggmo
from gradtx._optimizers.gradient_descent import nesterov as nesterov
from gradtx._optimizers.gradient_descent import nesterov_lookahead as nesterov_lookahead
from gradtx._optimizers.gradient_descent import noisy_sgd as noisy_sgd
from gradtx._optimizers.gradient_descent import qhm as qhm
from gradtx._optimizers.gradient_descent import sgd as sgd
from gradtx._optimizers.laprop import laprop as laprop
from gradtx._optimizers.laprop import qhadam as qhadam
from gradtx._optimizers.layerwise import fromage as fromage
from gradtx._optimizers.layerwise import lamb as lamb
from gradtx._optimizers.layerwise import lars as lars
from gradtx._optimizers.layerwise import novograd as novograd
from gradtx._optimizers.madgrad import madgrad as madgrad
from gradtx._optimizers.memory_light import adafactor as adafactor
from gradtx._optimizers.memory_light import scale_by_factored_rms as scale_by_factored_rms
from gradtx._optimizers.memory_light import sm3 as sm3
from gradtx._optimizers.low_rank import dion as dion
from gradtx._optimizers.low_rank import galore_adamw as galore_adamw
from gradtx._optimizers.momo import momo as momo
from gradtx._optimizers.momo import momo_adam as momo_adam
from gradtx._optimizers.muon import adamuon as adamuon
from gradtx._optimizers.muon import mars_muon as mars_muon
from gradtx._optimizers.muon import muon as muon
from gradtx._optimizers.muon import muon_hyperball as muon_hyperball
from gradtx._optimizers.muon import normuon as normuon
from gradtx._optimizers.muon import polargrad as polargrad
from gradtx._optimizers.nadam import nadam as nadam
from gradtx._optimizers.nadam import nadamw as nadamw
from gradtx._optimizers.nadam import scale_by_nadam as scale_by_nadam
from gradtx._optimizers.optimistic import optimistic_adam as optimistic_adam
from gradtx._optimizers.optimistic import optimistic_gradient_descent as optimistic_gradient_descent
from gradtx._optimizers.polyak import polyak_sgd as polyak_sgd
from gradtx._optimizers.private import dpsgd as dpsgd
from gradtx._optimizers.psgd import psgd_kron as psgd_kron
from gradtx._optimizers.quasi_newton import lbfgs as lbfgs
from gradtx._optimizers.quasi_newton import newton_cg as newton_cg
from gradtx._optimizers.radam import adabound as adabound
from gradtx._optimizers.radam import radam as radam
from gradtx._optimizers.radam import scale_by_radam as scale_by_radam
from gradtx._optimizers.rmsprop import rmsprop as rmsprop
from gradtx._optimizers.rmsprop import scale_by_rms as scale_by_rms
from gradtx._optimizers.rmsprop import scale_by_stddev as scale_by_stddev
from gradtx._optimizers.rprop import rprop as rprop
from gradtx._optimizers.schedule_free import schedule_free as schedule_free
from gradtx._optimizers.schedule_free import schedule_free_adamw as schedule_free_adamw
from gradtx._optimizers.schedule_free import schedule_free_sgd as schedule_free_sgd
from gradtx._optimizers.scion import scion as scion
from gradtx._optimizers.shampoo import kl_shampoo as kl_shampoo
from gradtx._optimizers.shampoo import shampoo as shampoo
from gradtx._optimizers.soap import scale_by_soap as scale_by_soap
from gradtx._optimizers.soap import soap as soap
from gradtx._optimizers.sign import lion as lion
from gradtx._optimizers.sign import scale_by_lion as scale_by_lion
from gradtx._optimizers.sign import sign_sgd as sign_sgd
from gradtx._optimizers.sign import signum as signum
from gradtx._optimizers.sign import tiger as tiger

# Training and looking inside.
from gradtx._inspection.diagram import diagram as diagram
from gradtx._inspection.sweep import sweep as sweep
from gradtx._inspection.sweep_result import SweepResult as SweepResult
from gradtx._inspection.state_dict import load_state_dict as load_state_dict
from gradtx._inspection.state_dict import state_dict as state_dict
from gradtx._version import __version__ as __version__
from gradtx.inspect import describe as describe
from gradtx.inspect import summary as summary
from gradtx._linesearch.search import SearchStatus as SearchStatus
from gradtx.minimization import Minimum as Minimum
from gradtx.minimization import StopReason as StopReason
from gradtx.minimization import minimize as minimize
from gradtx.training import make_train_step as make_train_step

# Imported when they are first used: `plot` wants matplotlib, `optax` imports Optax where it is installed, and nobody
# trains with `testing`.
if TYPE_CHECKING:
    from gradtx import interop as interop
    from gradtx import optax as optax
    from gradtx import plot as plot
    from gradtx import testing as testing

_LAZY = {"interop", "optax", "plot", "testing"}
_WITHOUT_ADDRESS = {"TYPE_CHECKING", "annotations", "inspect", "minimization", "training"}

if not TYPE_CHECKING:  # a type checker must read the exports above: with `__getattr__` every name would be right
    __all__ = sorted({name for name in globals() if not name.startswith("_")} - _WITHOUT_ADDRESS | _LAZY - {"optax"})

    def __getattr__(name: str) -> _Any:
        if name in _LAZY:
            return _importlib.import_module(f"gradtx.{name}")
        raise AttributeError(_no_attribute("gradtx", name, __all__, (schedules, tree, codecs, linalg)))

    def __dir__() -> list[str]:
        return __all__
