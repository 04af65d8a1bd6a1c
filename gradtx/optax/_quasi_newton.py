"""L-BFGS's direction."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxValueError
from gradtx.optax._installed import as_in_optax
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


@as_in_optax
class ScaleByLBFGSState(NamedTuple):
    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> Pair:
    """L-BFGS's direction: `gradtx.precondition_by_lbfgs`, with its own state."""
    if not scale_init_precond:
        raise GradtxValueError("scale_by_lbfgs: expected scale_init_precond=True, got False; there is no other start")
    tx = gx.precondition_by_lbfgs(memory_size)
    return Pair(lambda params: tx.init(jax.tree.map(jnp.zeros_like, params)), tx.update)
