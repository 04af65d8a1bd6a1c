"""Private gradients: clipped for each example, and with noise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError
from gradtx._base.typing import Array, Params, State, Updates
from gradtx.optax import _tree_math as trees
from gradtx.optax._combining import chain
from gradtx.optax._installed import as_in_optax
from gradtx.optax._moments import trace
from gradtx.optax._scaling import as_key, identity, one_key, scale_by_learning_rate
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import ScalarOrSchedule


@as_in_optax
class DifferentiallyPrivateAggregateState(NamedTuple):
    rng_key: Any


def per_example_global_norm_clip(grads: Updates, l2_norm_clip: Any) -> tuple[Updates, Array]:
    """The sum of gradients of examples, each clipped to a global norm, and how many were clipped.

    Args:
        grads: gradients with a leading axis of examples.
        l2_norm_clip: the largest norm.
    """
    _check_examples(grads)
    norms = jax.vmap(trees.norm)(grads)
    factors = jnp.where(norms <= l2_norm_clip, 1.0, l2_norm_clip / jnp.where(norms == 0, 1.0, norms))
    wide = jax.tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, factors.dtype)), grads)
    total = jax.tree.map(lambda g: jnp.tensordot(factors.astype(g.dtype), g, axes=1), wide)
    return total, jnp.sum(factors < 1.0)


def per_example_layer_norm_clip(
    grads: Updates, global_l2_norm_clip: Any, uniform: bool = True
) -> tuple[Updates, Updates]:
    """The same, each array clipped by itself, so that the global norm has the bound.

    Args:
        grads: gradients with a leading axis of examples.
        global_l2_norm_clip: the largest global norm.
        uniform: whether all arrays have the same bound, or one by their sizes.
    """
    _check_examples(grads)
    leaves, treedef = jax.tree.flatten(grads)
    sizes = [1 if uniform else g[0].size for g in leaves]
    bounds = [global_l2_norm_clip * (size / sum(sizes)) ** 0.5 for size in sizes]
    results = [per_example_global_norm_clip(g, bound) for g, bound in zip(leaves, bounds, strict=True)]
    return treedef.unflatten([total for total, _ in results]), treedef.unflatten([count for _, count in results])


def _check_examples(grads: Updates) -> None:
    shapes = [jnp.shape(g) for g in jax.tree.leaves(grads)]
    if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise GradtxValueError(f"expected gradients with a leading axis of examples, got the shapes {shapes}")


def differentially_private_aggregate(
    l2_norm_clip: Any, noise_multiplier: Any, key: Any = None, *, seed: int | None = None
) -> Pair:
    """The mean of clipped gradients of examples, with noise; `gradtx.aggregate_privately`."""
    number_or_key = one_key(key, seed)

    def init(params: Params) -> State:
        return DifferentiallyPrivateAggregateState(as_key(number_or_key))

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        leaves, treedef = jax.tree.flatten(updates)
        total, _ = per_example_global_norm_clip(leaves, l2_norm_clip)
        following, *keys = jax.random.split(state.rng_key, len(leaves) + 1)
        deviation, count = l2_norm_clip * noise_multiplier, leaves[0].shape[0]
        noisy = [
            (g + deviation * jax.random.normal(k, g.shape, g.dtype)) / count for g, k in zip(total, keys, strict=True)
        ]
        return treedef.unflatten(noisy), DifferentiallyPrivateAggregateState(following)

    return Pair(init, update)


def dpsgd(
    learning_rate: ScalarOrSchedule,
    l2_norm_clip: Any,
    noise_multiplier: Any,
    seed: int,
    momentum: Any = None,
    nesterov: bool = False,
) -> Pair:
    """Private SGD; `gradtx.dpsgd`."""
    mean = differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed)
    following = identity() if momentum is None else trace(momentum, nesterov)
    return chain(mean, following, scale_by_learning_rate(learning_rate))
