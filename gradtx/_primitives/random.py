"""Random numbers for transforms: the key is a part of the state, and each step has its own."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.numerics import increment
from gradtx._base.typing import Updates

_KIND = "threefry2x32"  # named, so that a restored key means the same whatever JAX's default is


class Random(NamedTuple):
    """The state of a transform that draws random numbers.

    Attributes:
        key: two uint32 numbers, the data of the key, so that it saves as any array does.
        count: int32, the number of updates so far.
    """

    key: Any
    count: Any


def seeded(seed: int) -> Random:
    """The state before the first update."""
    return Random(jax.random.key_data(jax.random.key(seed, impl=_KIND)), jnp.zeros((), jnp.int32))


def gaussian(state: Random, like: Updates) -> tuple[Updates, Random]:
    """Numbers of mean 0 and variance 1 in the shapes and dtypes of `like`, independent from leaf to leaf and step to
    step, and the state after them. Complex ones have the variance 1 in all, half of it in each part.
    """
    leaves, treedef = jax.tree.flatten(like)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl=_KIND), state.count)
    keys = jax.random.split(key, max(len(leaves), 1))
    noise = [jax.random.normal(keys[index], x.shape, x.dtype) for index, x in enumerate(leaves)]
    return treedef.unflatten(noise), state._replace(count=increment(state.count))
