"""Arithmetic on trees, and states by names, under Optax's names; see `gradtx.optax`."""

from typing import TYPE_CHECKING

from gradtx.optax._handed_on import surface as _surface
from gradtx.optax._state_trees import NamedTupleKey as NamedTupleKey
from gradtx.optax._state_trees import get as get
from gradtx.optax._state_trees import get_all_with_path as get_all_with_path
from gradtx.optax._state_trees import map_params as map_params
from gradtx.optax._state_trees import set as set
from gradtx.optax._tree_math import add as add
from gradtx.optax._tree_math import add_scale as add_scale
from gradtx.optax._tree_math import allclose as allclose
from gradtx.optax._tree_math import batch_shape as batch_shape
from gradtx.optax._tree_math import bias_correction as bias_correction
from gradtx.optax._tree_math import cast as cast
from gradtx.optax._tree_math import cast_like as cast_like
from gradtx.optax._tree_math import clip as clip
from gradtx.optax._tree_math import conj as conj
from gradtx.optax._tree_math import div as div
from gradtx.optax._tree_math import dtype as dtype
from gradtx.optax._tree_math import full_like as full_like
from gradtx.optax._tree_math import max as max
from gradtx.optax._tree_math import min as min
from gradtx.optax._tree_math import mul as mul
from gradtx.optax._tree_math import norm as norm
from gradtx.optax._tree_math import ones_like as ones_like
from gradtx.optax._tree_math import random_like as random_like
from gradtx.optax._tree_math import real as real
from gradtx.optax._tree_math import scale as scale
from gradtx.optax._tree_math import size as size
from gradtx.optax._tree_math import split_key_like as split_key_like
from gradtx.optax._tree_math import sub as sub
from gradtx.optax._tree_math import sum as sum
from gradtx.optax._tree_math import unwrap_random_key_data as unwrap_random_key_data
from gradtx.optax._tree_math import update_infinity_moment as update_infinity_moment
from gradtx.optax._tree_math import update_moment as update_moment
from gradtx.optax._tree_math import update_moment_per_elem_norm as update_moment_per_elem_norm
from gradtx.optax._tree_math import vdot as vdot
from gradtx.optax._tree_math import where as where
from gradtx.optax._tree_math import zeros_like as zeros_like

if not TYPE_CHECKING:  # a type checker reads the exports above
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
