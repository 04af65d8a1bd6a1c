"""Parameters after an update, and copies that follow others."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.typing import Array, Params, Updates


def apply_updates(params: Params, updates: Updates) -> Params:
    """The sum, in the dtypes of the parameters; where a parameter is None there is nothing to add."""

    def one(p: Any, u: Any) -> Array | None:
        return None if p is None else jnp.asarray(p + u).astype(jnp.asarray(p).dtype)

    return jax.tree.map(one, params, updates, is_leaf=lambda x: x is None)


def incremental_update(new_tensors: Params, old_tensors: Params, step_size: Any) -> Params:
    """The old parameters moved towards the new ones by a part of the way, as target networks are."""

    def one(new: Any, old: Any) -> Array | None:
        return None if new is None else step_size * new + (1.0 - step_size) * old

    return jax.tree.map(one, new_tensors, old_tensors, is_leaf=lambda x: x is None)


def periodic_update(new_tensors: Params, old_tensors: Params, steps: Any, update_period: Any) -> Params:
    """The new parameters at each `update_period`-th step, else the old ones."""
    return jax.lax.cond(jnp.mod(steps, update_period) == 0, lambda: new_tensors, lambda: old_tensors)
