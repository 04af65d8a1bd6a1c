"""Conjugate gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.branch import cast_like
from gradtx._base.calls import explains_calls
from gradtx._base.numerics import safe_divide, weak
from gradtx._base.varying import all_axes, varied
from gradtx._core.norms import inner_product


class ConjugateGradients(NamedTuple):
    """The result of `cg`.

    Attributes:
        x: the solution, in the structure of b.
        residual: the norm of b - A x.
        steps: the number of steps; 0 if the curvature along b is not positive, and then x is b.
        is_positive: whether the curvature along all directions was positive.
    """

    x: Any
    residual: Any
    steps: Any
    is_positive: Any


@explains_calls("linalg.cg")
def cg(matvec: Callable[[Any], Any], b: Any, *, max_steps: int = 100, rtol: Any = 1e-6) -> ConjugateGradients:
    """Conjugate gradients: solves A x = b for a Hermitian matrix, of which it needs products only; without derivatives.

    Ends where the residual is at most `rtol` times the norm of b, or at a direction whose curvature is not positive.

    Args:
        matvec: the product of A with a vector, a linear function of a pytree.
        b: the right-hand side, a pytree of arrays.
        max_steps: the largest number of steps, each with one product.
        rtol: the residual to reach, relative to the norm of b.

    Reference: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952.
    """
    b = lax.stop_gradient(b)
    dot = lambda xs, ys: inner_product(jax.tree.leaves(xs), jax.tree.leaves(ys))
    plus = lambda xs, by, ys: jax.tree.map(lambda x, y: x + weak(by) * y, xs, ys)

    def step(carry: _Iteration) -> _Iteration:
        product = lax.stop_gradient(matvec(carry.way))
        curvature = dot(carry.way, product)
        is_positive = curvature > 0
        by = jnp.where(is_positive, safe_divide(carry.square, curvature), 0)
        x, rest = plus(carry.x, by, carry.way), plus(carry.rest, -by, product)
        square = dot(rest, rest)
        way = plus(rest, safe_divide(square, carry.square), carry.way)
        new = _Iteration(x, rest, way, square, carry.steps + is_positive.astype(jnp.int32), is_positive)
        return jax.tree.map(cast_like, new, carry)

    square = dot(b, b)
    limit = jnp.asarray(rtol, square.dtype) ** 2 * square
    zeros = jax.tree.map(jnp.zeros_like, b)
    none = varied(jnp.zeros((), jnp.int32), all_axes(b))
    start = _Iteration(zeros, b, b, square, none, none == 0)
    end = lax.while_loop(lambda c: c.is_positive & (c.square > limit) & (c.steps < max_steps), step, start)
    is_refused = (end.steps == 0) & ~end.is_positive
    x = jax.tree.map(lambda x, y: lax.select(is_refused, y, x), end.x, b)
    return ConjugateGradients(x, jnp.sqrt(end.square), end.steps, end.is_positive)


class _Iteration(NamedTuple):
    """What the loop of `cg` carries: the solution so far, the residual, the direction, and the residual's square."""

    x: Any
    rest: Any
    way: Any
    square: Any
    steps: Any
    is_positive: Any
