"""Counting and norms that are safe to differentiate."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import abs_square
from gradtx._base.typing import Array


def abs_sq(x: Any) -> Array:
    """The squared magnitude of an array, real."""
    if not isinstance(x, (np.ndarray, jax.Array)):
        raise GradtxValueError(f"abs_sq: expected an array, got {short(x)}")
    return abs_square(jnp.asarray(x))


def safe_norm(x: Any, min_norm: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """The norm, but at least `min_norm`; where it is that, the derivative is 0 and not NaN."""
    x = jnp.asarray(x)
    is_small = jnp.linalg.norm(x, ord=ord, axis=axis, keepdims=True) <= min_norm
    norm = jnp.linalg.norm(jnp.where(is_small, jnp.ones_like(x), x), ord=ord, axis=axis, keepdims=keepdims)
    return jnp.where(is_small if keepdims else jnp.squeeze(is_small, axis=axis), min_norm, norm)


def safe_root_mean_squares(x: Any, min_rms: Any) -> Array:
    """The root mean square, but at least `min_rms`; where it is that, the derivative is 0 and not NaN."""
    x = jnp.asarray(x)
    is_small = jnp.sqrt(jnp.mean(abs_square(x))) <= min_rms
    return jnp.where(is_small, min_rms, jnp.sqrt(jnp.mean(abs_square(jnp.where(is_small, jnp.ones_like(x), x)))))


def safe_increment(count: Any) -> Array:
    """The count plus one, or the largest number of its dtype."""
    count = jnp.asarray(count)
    if not jnp.issubdtype(count.dtype, jnp.number) or jnp.iscomplexobj(count):
        raise GradtxValueError(f"safe_increment: expected a real number, got the dtype {count.dtype}")
    of_ints = jnp.issubdtype(count.dtype, jnp.integer)
    largest = jnp.asarray((jnp.iinfo if of_ints else jnp.finfo)(count.dtype).max, count.dtype)
    return jnp.where(count < largest, count + jnp.ones_like(count), largest)


safe_int32_increment = safe_increment


def canonical_dtype(dtype: Any) -> Any:
    """The dtype as JAX has it: with 32 bits unless 64 are enabled. None stays None."""
    try:
        return None if dtype is None else jnp.zeros((), dtype).dtype
    except TypeError:
        raise GradtxTypeError(f"{dtype!r} is not a dtype; give one as jnp.bfloat16 or 'bfloat16'") from None


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _scaled_backwards(inputs: Any, scale: Any) -> Any:
    return inputs


_scaled_backwards.defvjp(
    lambda inputs, scale: (inputs, None), lambda scale, _, g: (jax.tree.map(lambda x: x * scale, g),)
)


def scale_gradient(inputs: Any, scale: Any) -> Any:
    """The inputs, whose gradient is multiplied by a number."""
    return _scaled_backwards(inputs, scale)
