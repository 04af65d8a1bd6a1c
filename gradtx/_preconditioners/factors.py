"""The factors of a matrix: averages of its products with itself, one for each side."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxValueError, short
from gradtx._base.numerics import strong
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._core.placing import on_each_device


@state_class
class Sides(NamedTuple):
    """What belongs to the two sides of a matrix; None for a side that has no basis.

    Attributes:
        left: that of the inputs.
        right: that of the outputs.
    """

    left: Any
    right: Any


def check_choice(name: str, choice: Any, choices: tuple[str, ...]) -> None:
    """Raises if an argument is not one of the choices."""
    if choice not in choices:
        raise GradtxValueError(f"{name}: expected {' or '.join(map(repr, choices))}, got {short(choice)}")


def check_sides(max_dim: Any, sides: Any) -> None:
    """Raises if the arguments that choose the sides are wrong."""
    if max_dim != 0:
        whole_number("max_dim", max_dim)
    check_choice("sides", sides, ("both", "smaller"))


def zero_factors(p: Array, max_dim: int, sides: str) -> Sides:
    """Zeros for the sides of matrices that get a factor: those that are not long, or the smaller one alone."""
    rows, columns = p.shape[-2:]
    left, right = rows <= max_dim, columns <= max_dim
    if sides == "smaller":
        left, right = left and rows <= columns, right and columns < rows
    zero = zero_scale(p).astype(p.dtype)
    zeros = lambda length: jnp.broadcast_to(zero, (*p.shape[:-2], length, length))
    return Sides(zeros(rows) if left and p.size else None, zeros(columns) if right and p.size else None)


def zero_scale(p: Array) -> Array:
    """The scale of factors that have seen nothing, a number for each matrix; sharded as the batch of matrices is."""
    return jnp.sum(jnp.zeros_like(p, p.real.dtype), (-2, -1), keepdims=True)


def identity_like(x: Array) -> Array:
    """Identities of the shape of zeros."""
    return x + jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape)


def averaged(factors: Sides, scale: Array, g: Array, decay: Any, added: Any = None) -> tuple[Sides, Array]:
    """The factors and their scale with the products of a gradient; those of before where it is not finite.

    Args:
        factors: products, divided by the square of the scale.
        scale: the largest element that was seen, forgotten as the factors are.
        g: the gradient.
        decay: the weight of the factors.
        added: that of the new products; None for the rest of 1.
    """
    g = lax.stop_gradient(g)
    if g.size == 0:
        return factors, scale
    largest = jnp.max(jnp.abs(g), (-2, -1), keepdims=True)
    kept = lax.sqrt(strong(jnp.asarray(decay, scale.dtype)))
    new = jnp.maximum(kept * scale, largest)
    unit = jnp.where(new == 0, 1, new)
    x = g / unit.astype(g.dtype)
    old = (scale / unit) ** 2
    is_right = jnp.isfinite(largest)

    def mean(factor: Array, product: Array) -> Array:
        weight = strong(jnp.asarray(decay, scale.dtype))
        rest = 1 - weight if added is None else strong(jnp.asarray(added, scale.dtype))
        moved = (weight * old).astype(factor.dtype) * factor + rest.astype(factor.dtype) * product
        return on_each_device(jnp.where(is_right, moved, factor))

    adjoint = jnp.swapaxes(x.conj(), -2, -1)
    product = lambda a, b: jnp.matmul(a, b, precision="float32")
    left = None if factors.left is None else mean(factors.left, product(x, adjoint))
    right = None if factors.right is None else mean(factors.right, product(adjoint, x))
    return Sides(left, right), jnp.where(is_right, new, scale)


def is_finite(q: Array) -> Array:
    """Whether all elements of a matrix are finite, for each of a batch."""
    return jnp.all(jnp.isfinite(q.real) & jnp.isfinite(q.imag), (-2, -1), keepdims=True)
