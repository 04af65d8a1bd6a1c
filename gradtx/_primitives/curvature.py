"""Curvature estimates from functions passed to `update`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.branch import one_of
from gradtx._base.checks import random_key, whole_number
from gradtx._base.numerics import increment
from gradtx._base.typing import Array, Params
from gradtx._base.varying import axes_of, varied
from gradtx._core.constructors import treewise
from gradtx._core.protocol import transformation


@transformation
def hutchinson(every: int = 1):
    r"""Hutchinson's estimator: replaces the updates by an estimate of the diagonal of the Hessian at the parameters.

    .. math:: u_t = z \odot H z, \quad z_i = \pm 1 \text{ at random}

    It is exact for a diagonal Hessian, and unbiased for any other.

    Args:
        every: the interval between estimates, in steps, starting at the first; at the other steps the output is 0 and
            nothing is computed.

    State: a step count, int32. Needs the parameters, and the extra arguments `value_fn`, the loss as a function of the
    parameters, and `key`, a `jax.random` key that is new at every step.

    Raises:
        GradtxValueError: `every` is not a positive whole number.
        GradtxTypeError: `key` is not a random key.

    Reference: Bekas, Kokiopoulou and Saad, "An estimator for the diagonal of a matrix", 2007.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda p: jnp.sum(jnp.asarray([3.0, 5.0]) * p**2)
        >>> tx, p = hutchinson(), jnp.ones(2)
        >>> print(tx.update(jax.grad(loss)(p), tx.init(p), p, value_fn=loss, key=jax.random.key(0))[0])
        [ 6. 10.]
    """
    every = whole_number("every", every)

    def estimate(params: Params, value_fn: Callable[[Params], Array], key: Array) -> Params:
        leaves, treedef = jax.tree.flatten(params)
        keys = jax.random.split(random_key("key", key), max(len(leaves), 1))
        signs = treedef.unflatten(
            [varied(jax.random.rademacher(k, p.shape, p.dtype), axes_of(p)) for k, p in zip(keys, leaves, strict=False)]
        )
        _, curved = jax.jvp(jax.grad(value_fn), (params,), (signs,))
        return trees.widened(jax.tree.map(jnp.multiply, signs, curved))

    def update(updates, count, params, *, value_fn: Callable[[Params], Array], key: Array):
        zeros = jax.tree.map(jnp.zeros_like, updates)
        if every == 1:
            return estimate(params, value_fn, key), increment(count)
        now = count % every == 0
        return one_of(now, lambda: estimate(params, value_fn, key), lambda: zeros), increment(count)

    return treewise(update, lambda params: jnp.zeros((), jnp.int32), needs_params=True)
