"""The same as `gradtx.optax.tree` under older names."""

import functools as _functools
from typing import TYPE_CHECKING

from gradtx.optax._handed_on import surface as _surface
from gradtx.optax._state_trees import NamedTupleKey as NamedTupleKey
from gradtx.optax._state_trees import get as tree_get
from gradtx.optax._state_trees import get_all_with_path as tree_get_all_with_path
from gradtx.optax._state_trees import map_params as tree_map_params
from gradtx.optax._state_trees import set as tree_set
from gradtx.optax._tree_math import add as tree_add
from gradtx.optax._tree_math import add_scale as tree_add_scale
from gradtx.optax._tree_math import allclose as tree_allclose
from gradtx.optax._tree_math import batch_shape as tree_batch_shape
from gradtx.optax._tree_math import bias_correction as tree_bias_correction
from gradtx.optax._tree_math import cast as tree_cast
from gradtx.optax._tree_math import cast_like as tree_cast_like
from gradtx.optax._tree_math import clip as tree_clip
from gradtx.optax._tree_math import conj as tree_conj
from gradtx.optax._tree_math import div as tree_div
from gradtx.optax._tree_math import dtype as tree_dtype
from gradtx.optax._tree_math import full_like as tree_full_like
from gradtx.optax._tree_math import max as tree_max
from gradtx.optax._tree_math import min as tree_min
from gradtx.optax._tree_math import mul as tree_mul
from gradtx.optax._tree_math import norm as tree_norm
from gradtx.optax._tree_math import ones_like as tree_ones_like
from gradtx.optax._tree_math import random_like as tree_random_like
from gradtx.optax._tree_math import real as tree_real
from gradtx.optax._tree_math import scale as tree_scale
from gradtx.optax._tree_math import size as tree_size
from gradtx.optax._tree_math import split_key_like as tree_split_key_like
from gradtx.optax._tree_math import sub as tree_sub
from gradtx.optax._tree_math import sum as tree_sum
from gradtx.optax._tree_math import unwrap_random_key_data as tree_unwrap_random_key_data
from gradtx.optax._tree_math import update_infinity_moment as tree_update_infinity_moment
from gradtx.optax._tree_math import update_moment as tree_update_moment
from gradtx.optax._tree_math import update_moment_per_elem_norm as tree_update_moment_per_elem_norm
from gradtx.optax._tree_math import vdot as tree_vdot
from gradtx.optax._tree_math import where as tree_where
from gradtx.optax._tree_math import zeros_like as tree_zeros_like

tree_scalar_mul = tree_scale
tree_add_scalar_mul = tree_add_scale
tree_l1_norm = _functools.partial(tree_norm, ord=1)
tree_l2_norm = _functools.partial(tree_norm, ord=2)
tree_linf_norm = _functools.partial(tree_norm, ord="inf")

if not TYPE_CHECKING:  # a type checker reads the exports above
    __all__, __dir__, __getattr__ = _surface(__name__, globals())
