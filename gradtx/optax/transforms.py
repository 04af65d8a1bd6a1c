"""Transforms under Optax's names; see `gradtx.optax`."""

from typing import TYPE_CHECKING

from gradtx.optax._combining import chain as chain
from gradtx.optax._combining import flatten as flatten
from gradtx.optax._combining import named_chain as named_chain
from gradtx.optax._freezing import freeze as freeze
from gradtx.optax._freezing import selective_transform as selective_transform
from gradtx.optax._handed_on import surface as _surface
from gradtx.optax._masking import masked as masked
from gradtx.optax._masking import partition as partition
from gradtx.optax._moments import ema as ema
from gradtx.optax._moments import trace as trace
from gradtx.optax._monitoring import measure_with_ema as measure_with_ema
from gradtx.optax._monitoring import monitor as monitor
from gradtx.optax._monitoring import snapshot as snapshot
from gradtx.optax._scaling import adaptive_grad_clip as adaptive_grad_clip
from gradtx.optax._scaling import add_decayed_weights as add_decayed_weights
from gradtx.optax._scaling import add_noise as add_noise
from gradtx.optax._scaling import clip as clip
from gradtx.optax._scaling import clip_by_block_rms as clip_by_block_rms
from gradtx.optax._scaling import clip_by_global_norm as clip_by_global_norm
from gradtx.optax._scaling import keep_params_nonnegative as keep_params_nonnegative
from gradtx.optax._scaling import zero_nans as zero_nans
from gradtx.optax._states import AddNoiseState as AddNoiseState
from gradtx.optax._states import ApplyIfFiniteState as ApplyIfFiniteState
from gradtx.optax._states import ConditionallyMaskState as ConditionallyMaskState
from gradtx.optax._states import ConditionallyTransformState as ConditionallyTransformState
from gradtx.optax._states import EmaState as EmaState
from gradtx.optax._states import MaskedNode as MaskedNode
from gradtx.optax._states import MaskedState as MaskedState
from gradtx.optax._states import MonitorState as MonitorState
from gradtx.optax._states import MultiStepsState as MultiStepsState
from gradtx.optax._states import NonNegativeParamsState as NonNegativeParamsState
from gradtx.optax._states import PartitionState as PartitionState
from gradtx.optax._states import SnapshotState as SnapshotState
from gradtx.optax._states import TraceState as TraceState
from gradtx.optax._states import ZeroNansState as ZeroNansState
from gradtx.optax._wrappers import MultiSteps as MultiSteps
from gradtx.optax._wrappers import ShouldSkipUpdateFunction as ShouldSkipUpdateFunction
from gradtx.optax._wrappers import apply_if_finite as apply_if_finite
from gradtx.optax._wrappers import conditionally_mask as conditionally_mask
from gradtx.optax._wrappers import conditionally_transform as conditionally_transform
from gradtx.optax._wrappers import skip_large_updates as skip_large_updates
from gradtx.optax._wrappers import skip_not_finite as skip_not_finite
from gradtx.optax.contrib._privacy import per_example_global_norm_clip as per_example_global_norm_clip
from gradtx.optax.contrib._privacy import per_example_layer_norm_clip as per_example_layer_norm_clip

if not TYPE_CHECKING:  # a type checker reads the exports above
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
