"""Random numbers for transforms: the key is part of the state, and each step derives its own key from it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.numerics import increment
from gradtx._base.states import state_class
from gradtx._base.typing import Updates

_KIND = "threefry2x32"  # explicit, so that a restored key does not depend on JAX's default


@state_class
class Random(NamedTuple):
    """The state of a transform that draws random numbers.

    Attributes:
        key: two uint32, the data of the key, so that it is saved like any array.
        count: int32, the number of updates so far.
    """

    key: Any
    count: Any


def seeded(seed: int) -> Random:
    """The initial state."""
    return Random(jax.random.key_data(jax.random.key(seed, impl=_KIND)), jnp.zeros((), jnp.int32))


def gaussian(state: Random, like: Updates) -> tuple[Updates, Random]:
    """Standard normal samples in the shapes and dtypes of `like`, and the next state.

    The samples are independent per leaf and per step. Complex samples have a total variance of 1, half of it in each
    part.
    """
    leaves, treedef = jax.tree.flatten(like)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl=_KIND), state.count)
    keys = jax.random.split(key, max(len(leaves), 1))
    noise = [jax.random.normal(keys[index], x.shape, x.dtype) for index, x in enumerate(leaves)]
    return treedef.unflatten(noise), state._replace(count=increment(state.count))
