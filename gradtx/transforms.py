"""The parts that optimizers are made of, in one place to browse. Each of them is at the root too: `gradtx.chain`."""

import typing as _typing

# Transforms made of transforms.
from gradtx._combinators.accumulation import accumulate_gradients as accumulate_gradients
from gradtx._combinators.average import average_params as average_params
from gradtx._combinators.cautious import cautious as cautious
from gradtx._combinators.chain import chain as chain
from gradtx._combinators.complex import split_complex as split_complex
from gradtx._combinators.condition import conditional as conditional
from gradtx._combinators.condition import skip_nonfinite as skip_nonfinite
from gradtx._combinators.condition import switch as switch
from gradtx._combinators.extrapolated import extrapolated_gradient as extrapolated_gradient
from gradtx._combinators.inject import inject as inject
from gradtx._combinators.layers import over_layers as over_layers
from gradtx._combinators.let import let as let
from gradtx._combinators.let import use as use
from gradtx._combinators.lookahead import lookahead as lookahead
from gradtx._combinators.master import master_weights as master_weights
from gradtx._combinators.mechanize import mechanize as mechanize
from gradtx._combinators.momo_step import momo_step as momo_step
from gradtx._combinators.parallel import add as add
from gradtx._combinators.parallel import difference as difference
from gradtx._combinators.parallel import interpolate as interpolate
from gradtx._combinators.parallel import maximum as maximum
from gradtx._combinators.parallel import mean as mean
from gradtx._combinators.parallel import parallel as parallel
from gradtx._combinators.parallel import product as product
from gradtx._combinators.parallel import ratio as ratio
from gradtx._combinators.partition import freeze as freeze
from gradtx._combinators.partition import masked as masked
from gradtx._combinators.partition import partition as partition
from gradtx._combinators.graft import graft as graft
from gradtx._combinators.graft import keep_norm as keep_norm
from gradtx._combinators.graft import scale_by_dual_norm as scale_by_dual_norm
from gradtx._combinators.matrices import as_matrices as as_matrices
from gradtx._combinators.per_leaf import per_leaf as per_leaf
from gradtx._combinators.record import record as record
from gradtx._combinators.remove_radial import remove_radial as remove_radial
from gradtx._combinators.sharpness import sharpness_aware as sharpness_aware

# Parts of one transform.
from gradtx._core.identity import identity as identity
from gradtx._core.identity import set_to_zero as set_to_zero

# How the same transforms are executed.
from gradtx._executions.bucketed import bucketed as bucketed
from gradtx._executions.compiled import compiled as compiled
from gradtx._executions.store import store as store

# Transforms that look at the shape of an array.
from gradtx._linesearch.search import backtracking as backtracking
from gradtx._linesearch.search import line_search as line_search
from gradtx._preconditioners.eigenbasis import in_eigenbasis as in_eigenbasis
from gradtx._preconditioners.kronecker import precondition_by_kl_kronecker as precondition_by_kl_kronecker
from gradtx._preconditioners.kronecker import precondition_by_kronecker as precondition_by_kronecker
from gradtx._preconditioners.low_rank import low_rank as low_rank
from gradtx._preconditioners.low_rank import orthogonalize_largest as orthogonalize_largest
from gradtx._preconditioners.low_rank import scale_by_dion as scale_by_dion
from gradtx._preconditioners.whitening import precondition_by_whitening as precondition_by_whitening
from gradtx._preconditioners.orthogonalize import lmo as lmo
from gradtx._preconditioners.orthogonalize import orthogonalize as orthogonalize
from gradtx._preconditioners.orthogonalize import scale_by_row_ema as scale_by_row_ema
from gradtx._preconditioners.orthogonalize import scale_by_shape as scale_by_shape
from gradtx._preconditioners.quasi_newton import precondition_by_cg as precondition_by_cg
from gradtx._preconditioners.quasi_newton import precondition_by_lbfgs as precondition_by_lbfgs
from gradtx._preconditioners.factored import running_sum_by_axis as running_sum_by_axis
from gradtx._preconditioners.factored import scale_by_factored_ema as scale_by_factored_ema
from gradtx._primitives.accumulate import add_momentum as add_momentum
from gradtx._primitives.accumulate import bias_correction as bias_correction
from gradtx._primitives.accumulate import bias_correction_ahead as bias_correction_ahead
from gradtx._primitives.accumulate import nonnegative_sum as nonnegative_sum
from gradtx._primitives.accumulate import running_max as running_max
from gradtx._primitives.accumulate import running_sum as running_sum
from gradtx._primitives.accumulate import scale_by_additive_ema as scale_by_additive_ema
from gradtx._primitives.accumulate import scale_by_ema as scale_by_ema
from gradtx._primitives.accumulate import scale_by_update_rms as scale_by_update_rms
from gradtx._primitives.add import add_decayed_weights as add_decayed_weights
from gradtx._primitives.add import add_noise as add_noise
from gradtx._primitives.anchor import current_params as current_params
from gradtx._primitives.anchor import initial_params as initial_params
from gradtx._primitives.anchor import max_distance_from_init as max_distance_from_init
from gradtx._primitives.anchor import scale_by_global_rss as scale_by_global_rss
from gradtx._primitives.clip import adaptive_grad_clip as adaptive_grad_clip
from gradtx._primitives.clip import clip as clip
from gradtx._primitives.clip import clip_between as clip_between
from gradtx._primitives.clip import clip_by_block_norm as clip_by_block_norm
from gradtx._primitives.clip import clip_by_block_rms as clip_by_block_rms
from gradtx._primitives.clip import clip_by_global_norm as clip_by_global_norm
from gradtx._primitives.curvature import hutchinson as hutchinson
from gradtx._primitives.elementwise import absolute as absolute
from gradtx._primitives.elementwise import add_constant as add_constant
from gradtx._primitives.elementwise import clip_min as clip_min
from gradtx._primitives.elementwise import power as power
from gradtx._primitives.elementwise import reciprocal as reciprocal
from gradtx._primitives.elementwise import sign as sign
from gradtx._primitives.elementwise import sqrt as sqrt
from gradtx._primitives.elementwise import square as square
from gradtx._primitives.elementwise import zero_nans as zero_nans
from gradtx._primitives.estimate import scale_by_dadapt as scale_by_dadapt
from gradtx._primitives.estimate import scale_by_prodigy as scale_by_prodigy
from gradtx._primitives.free import schedule_free_averaging as schedule_free_averaging
from gradtx._primitives.lag import delay as delay
from gradtx._primitives.lag import gradient_difference as gradient_difference
from gradtx._primitives.lag import scale_by_previous_ema as scale_by_previous_ema
from gradtx._primitives.normalize import centralize as centralize
from gradtx._primitives.normalize import normalize_by_block_norm as normalize_by_block_norm
from gradtx._primitives.normalize import normalize_by_global_norm as normalize_by_global_norm
from gradtx._primitives.normalize import scale_by_norm_ema as scale_by_norm_ema
from gradtx._primitives.normalize import scale_by_param_norm as scale_by_param_norm
from gradtx._primitives.normalize import scale_by_param_rms as scale_by_param_rms
from gradtx._primitives.normalize import scale_by_trust_ratio as scale_by_trust_ratio
from gradtx._primitives.plateau import reduce_on_plateau as reduce_on_plateau
from gradtx._primitives.polyak import scale_by_polyak as scale_by_polyak
from gradtx._primitives.private import aggregate_privately as aggregate_privately
from gradtx._primitives.project import project_box as project_box
from gradtx._primitives.project import project_qk as project_qk
from gradtx._primitives.project import project_l2_ball as project_l2_ball
from gradtx._primitives.project import project_sphere as project_sphere
from gradtx._primitives.project import project_nonnegative as project_nonnegative
from gradtx._primitives.project import project_simplex as project_simplex
from gradtx._primitives.rectify import radam_denominator as radam_denominator
from gradtx._primitives.reversal import rprop_step_size as rprop_step_size
from gradtx._primitives.reversal import sign_agreement as sign_agreement
from gradtx._primitives.scale import scale as scale
from gradtx._primitives.scale import scale_by_learning_rate as scale_by_learning_rate

if not _typing.TYPE_CHECKING:  # a type checker reads the exports above, and cannot read a list that is computed
    __all__ = sorted(name for name in globals() if not name.startswith("_"))

    def __dir__() -> list[str]:
        return __all__
