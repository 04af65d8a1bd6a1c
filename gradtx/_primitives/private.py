"""Differentially private aggregation of per-example gradients."""

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.checks import seed_number
from gradtx._base.errors import GradtxValueError
from gradtx._base.numerics import safe_divide
from gradtx._base.typing import Params, Updates
from gradtx._core.constructors import combinator, with_work
from gradtx._core.context import Context
from gradtx._core.facts import Facts
from gradtx._core.protocol import transformation
from gradtx._primitives.random import Random, gaussian, seeded
from gradtx._values.schedule import NonNegative


@transformation
def aggregate_privately(l2_norm_clip: NonNegative, noise_multiplier: NonNegative, seed: int = 0):
    r"""Private aggregation (DP-SGD): clips each example's gradient by its global norm, averages them and adds noise.

    .. math:: u = \frac{1}{n} \left(\sum_{i=1}^n g_i \min\left(1, \frac{l2\_norm\_clip}{\lVert g_i \rVert}\right)
        + N(0, \sigma^2)\right), \quad \sigma = noise\_multiplier \cdot l2\_norm\_clip

    The input updates have a leading axis of examples: `jax.vmap(jax.grad(loss), in_axes=(None, 0))(params, examples)`.
    Put it first in a chain, and outside `partition` and `over_layers`. The privacy guarantee depends on the number of
    steps and on the sampling of examples: compute it with a privacy accountant.

    Args:
        l2_norm_clip: the largest gradient norm of one example.
        noise_multiplier: standard deviation of the noise in the sum, in units of `l2_norm_clip`; complex leaves have it
            in real and imaginary part each.
        seed: the random seed. The guarantee holds only if it is secret, and different in each run.

    State: a random key, two uint32, and a step count, int32.

    Raises:
        GradtxValueError: the updates have no axis of examples, or its length differs between leaves.

    Reference: Abadi et al., "Deep Learning with Differential Privacy", 2016, algorithm 1, where a batch is called a
    lot.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda w, x: jnp.sum(w * x)
        >>> tx = chain(aggregate_privately(1.0, noise_multiplier=0.01, seed=7), sgd(0.1))
        >>> w, examples = jnp.zeros(2), jnp.asarray([[3.0, 4.0], [0.3, 0.4]])
        >>> updates, state = tx.update(jax.vmap(jax.grad(loss), (None, 0))(w, examples), tx.init(w), w)
        >>> print(updates.round(2))  # about -0.1 * mean([0.6, 0.8], [0.3, 0.4])
        [-0.04 -0.06]
    """
    seed_number("seed", seed)
    deviation = noise_multiplier * l2_norm_clip

    def init(step: Context, params: Params) -> Random:
        trees.floating_leaves(params, "parameters")
        return seeded(seed)

    def update(step: Context, updates: Updates, state: Random, params: Params) -> tuple[Updates, Random]:
        updates = trees.widened(updates)
        count = _number_of_examples(updates, params)
        norms = jax.vmap(tree.norm, axis_size=count)(updates)
        factors = jnp.where(norms <= l2_norm_clip, 1.0, safe_divide(l2_norm_clip, norms))
        noise, state = gaussian(state, jax.tree.map(lambda g: g[0], updates))

        def mean(g, z):
            factor = factors.astype(g.dtype).reshape([-1] + [1] * z.ndim)
            # A complex normal sample has half of its variance in each part.
            spread = deviation * 2**0.5 if jnp.iscomplexobj(z) else deviation
            return (jnp.sum(factor * g, axis=0) + spread * z) * (1 / count)

        return jax.tree.map(mean, updates, noise), state

    return with_work(combinator(init, update), mixes_axes=True, facts=Facts(takes_examples=True))


def _number_of_examples(updates: Updates, params: Params) -> int:
    """The length of the leading axis; 1 for an empty tree."""
    leaves = jax.tree.leaves(updates)
    shapes = [g.shape[1:] for g in leaves] if params is None else list(map(jnp.shape, jax.tree.leaves(params)))
    count = leaves[0].shape[0] if leaves and leaves[0].ndim else 1
    for path, g, shape in zip(trees.paths(updates), leaves, shapes, strict=False):
        if count == 0 or g.shape != (count, *shape):
            raise GradtxValueError(
                f"expected updates with a leading axis of examples, of shape {(count or 1, *shape)} at {path!r}, got "
                f"the shape {g.shape}; compute per-example gradients: "
                f"jax.vmap(jax.grad(loss), in_axes=(None, 0))(params, examples)"
            )
    return count
