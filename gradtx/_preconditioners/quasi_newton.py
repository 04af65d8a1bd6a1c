"""Quasi-Newton directions: the inverse Hessian from the last steps and the changes of the gradient along them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.checks import whole_number
from gradtx._base.numerics import increment, safe_divide, strong, weak
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, Updates
from gradtx._core.constructors import treewise
from gradtx._core.norms import inner_product, norm, over
from gradtx._core.protocol import transformation
from gradtx._linalg.cg import cg
from gradtx._values.schedule import NonNegative


@state_class
class Pairs(NamedTuple):
    """The state of `precondition_by_lbfgs`. The first axis of what holds several pairs is a ring.

    Attributes:
        params: the parameters at the last gradient.
        updates: the last gradient.
        steps: the steps between the parameters, each divided by its norm.
        changes: the changes of the gradient, each divided by its norm.
        ratios: the norm of each step over that of the change.
        cosines: of the angle between each step and its change; 0 where there is no pair yet.
        count: the number of pairs that were stored.
        started: whether there is a last gradient.
    """

    params: Any
    updates: Any
    steps: Any
    changes: Any
    ratios: Any
    cosines: Any
    count: Any
    started: Any


@transformation
def precondition_by_lbfgs(memory_size: int = 10):
    r"""L-BFGS: multiplies the gradient by an inverse Hessian from the last steps and the changes of the gradient.

    .. math:: s_i = p_{i+1} - p_i, \quad y_i = g_{i+1} - g_i, \quad
        H_{i+1} = \left(I - \frac{s_i y_i^T}{s_i^T y_i}\right) H_i \left(I - \frac{y_i s_i^T}{s_i^T y_i}\right)
        + \frac{s_i s_i^T}{s_i^T y_i}, \quad H_0 = \frac{s^T y}{y^T y} I, \quad u = H g

    over the last `memory_size` pairs, with the newest one in :math:`H_0`. Before there is a pair, the gradient is
    divided by its norm. The whole tree is one vector. A pair is kept only if :math:`s^T y` is positive beyond rounding.

    A gradient times a positive constant gives the updates times this constant, to the bit for powers of two:
    pairs are stored as unit vectors, so no product of them overflows or underflows.

    Args:
        memory_size: the number of pairs.

    State: `Pairs`: twice `memory_size` plus two arrays per parameter, of its shape and at least float32, two numbers
    for each pair, and a count. Needs the parameters.

    Raises:
        GradtxValueError: `memory_size` is not a positive whole number, or the parameters are missing.

    Reference: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989; Nocedal and
    Wright, "Numerical Optimization", 2006, algorithm 7.4, except for the first direction.
    """
    size = whole_number("memory_size", memory_size, "; there is no learning rate: the line search finds the step")

    def init(params: Params) -> Pairs:
        ring = jax.tree.map(lambda p: jnp.broadcast_to(jnp.zeros_like(p), (size, *p.shape)), params)  # sharded as p is
        zeros = jax.tree.map(jnp.zeros_like, params)
        zero = norm(jax.tree.leaves(zeros)).astype(_dtype_of(jax.tree.leaves(params)))  # on the mesh, if there is one
        numbers = jnp.broadcast_to(zero, size)
        return Pairs(params, zeros, ring, ring, numbers, numbers, jnp.zeros((), jnp.int32), jnp.zeros((), bool))

    def update(updates: Updates, state: Pairs, params: Params) -> tuple[Updates, Pairs]:
        gs, treedef = jax.tree.flatten(updates)
        columns = (params, state.params, state.updates, state.steps, state.changes)
        ps, old_ps, old_gs, steps, changes = (treedef.flatten_up_to(x) for x in columns)
        new = _with_pair(
            state,
            [jnp.subtract(x.astype(y.dtype), y) for x, y in zip(ps, old_ps, strict=True)],
            [jnp.subtract(x.astype(y.dtype), y) for x, y in zip(gs, old_gs, strict=True)],
            steps,
            changes,
        )
        state = state._replace(
            params=treedef.unflatten([strong(x, y.dtype) for x, y in zip(ps, old_ps, strict=True)]),
            updates=treedef.unflatten([strong(x, y.dtype) for x, y in zip(gs, old_gs, strict=True)]),
            steps=treedef.unflatten(new.steps),
            changes=treedef.unflatten(new.changes),
            ratios=new.ratios,
            cosines=new.cosines,
            count=new.count,
            started=state.started | (state.count >= 0),  # a constant would lose the layers of `over_layers`
        )
        return treedef.unflatten(_times_inverse_hessian(gs, new)), state

    return treewise(update, init, needs_params=True)


def _with_pair(state: Pairs, step: list[Array], change: list[Array], steps: list[Array], changes: list[Array]) -> Pairs:
    """The state with one more pair, if it is safe; `steps` and `changes` as lists."""
    lengths = norm(step), norm(change)
    step, change = ([over(x, length) for x in xs] for xs, length in zip((step, change), lengths, strict=True))
    dtype = state.ratios.dtype
    cosine, ratio = strong(inner_product(step, change), dtype), strong(safe_divide(*lengths), dtype)
    is_safe = state.started & (cosine > 4 * float(jnp.finfo(dtype).eps)) & jnp.isfinite(ratio)
    place = state.count % state.ratios.shape[0]

    def stored(ring: Array, x: Array) -> Array:
        old = lax.dynamic_index_in_dim(ring, place, keepdims=False)
        return lax.dynamic_update_index_in_dim(ring, lax.select(is_safe, x, old), place, 0)

    return state._replace(
        steps=[stored(ring, x) for ring, x in zip(steps, step, strict=True)],
        changes=[stored(ring, x) for ring, x in zip(changes, change, strict=True)],
        ratios=stored(state.ratios, ratio),
        cosines=stored(state.cosines, cosine),
        count=lax.select(is_safe, increment(state.count), state.count),
    )


@jax.jit
def _times_inverse_hessian(gs: list[Array], pairs: Pairs) -> list[Array]:
    """The product by two loops over the pairs, from the newest to the oldest and back."""
    length = norm(gs)
    size = pairs.ratios.shape[0]
    order = (pairs.count - 1 - jnp.arange(size, dtype=jnp.int32)) % size

    def pair(index: Array) -> tuple[list[Array], list[Array], Array, Array]:
        steps, changes = ([lax.dynamic_index_in_dim(x, index, keepdims=False) for x in ring] for ring in pairs[2:4])
        return steps, changes, pairs.ratios[index] * length.astype(pairs.ratios.dtype), pairs.cosines[index]

    def back(q: list[Array], index: Array) -> tuple[list[Array], Array]:
        step, change, _, cosine = pair(index)
        part = safe_divide(inner_product(step, q).astype(cosine.dtype), cosine)
        return [x - weak(part) * y for x, y in zip(q, change, strict=True)], part

    def forth(r: list[Array], at: tuple[Array, Array]) -> tuple[list[Array], None]:
        step, change, ratio, cosine = pair(at[0])
        part = at[1] * ratio - safe_divide(inner_product(change, r).astype(cosine.dtype), cosine)
        return [x + weak(part) * y for x, y in zip(r, step, strict=True)], None

    q, parts = lax.scan(back, [over(g, length) for g in gs], order)
    newest = pair(order[0])
    factor = jnp.where(pairs.count == 0, 1, newest[2] * newest[3])
    r, _ = lax.scan(forth, [weak(factor) * x for x in q], (order, parts), reverse=True)
    return r


@transformation
def precondition_by_cg(damping: NonNegative = 0.0, max_steps: int = 100, rtol: NonNegative | None = None):
    r"""Newton's direction, by conjugate gradients with products of the Hessian and vectors (Hessian-free).

    .. math:: u \approx (H + damping \cdot I)^{-1} g, \quad \lVert (H + damping \cdot I) u - g \rVert \le
        rtol \lVert g \rVert

    for the Hessian H at the parameters. It ends early where the curvature is not positive, with the direction so far;
    if that is at once, with the gradient divided by its norm. So the negative output always descends. The whole tree is
    one vector.

    Args:
        damping: added to the Hessian's diagonal.
        max_steps: the largest number of products.
        rtol: the residual to reach; None means the root of the gradient's norm in units of the first one, at most 0.5,
            with which Newton's method converges faster than linearly.

    State: the norm of the first gradient. Needs the parameters, and the extra argument `grad_fn`, the gradient as a
    function of the parameters, whose derivative gives the products.

    Raises:
        GradtxValueError: `max_steps` is not a positive whole number, or the parameters are missing.
        GradtxTypeError: `grad_fn` is missing.

    Reference: Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1, where the tolerance is in absolute
    units and the first direction is the gradient itself.
    """
    most = whole_number("max_steps", max_steps)

    def update(updates: Updates, first: Array, params: Params, *, grad_fn: Callable[[Params], Updates]):
        gs, treedef = jax.tree.flatten(updates)
        like = treedef.flatten_up_to(params)
        length = norm(gs)
        first = jnp.where(first == 0, strong(length, first.dtype), first)
        limit = jnp.minimum(0.5, jnp.sqrt(safe_divide(strong(length, first.dtype), first))) if rtol is None else rtol

        def product(vs: list[Any]) -> list[Any]:
            tangents = treedef.unflatten([v.astype(p.dtype) for v, p in zip(vs, like, strict=True)])
            found = jax.jvp(grad_fn, (params,), (tangents,))[1]
            hvs = [h.astype(v.dtype) for h, v in zip(treedef.flatten_up_to(found), vs, strict=True)]
            return [h + damping * v for h, v in zip(hvs, vs, strict=True)]

        found = cg(product, [over(g, length) for g in gs], max_steps=most, rtol=limit)
        by = jnp.where(found.steps == 0, 1, length)
        return treedef.unflatten([weak(by) * x for x in found.x]), first

    return treewise(update, lambda params: jnp.zeros((), float), needs_params=True)


def _dtype_of(arrays: list[Array]) -> Any:
    """The widest real dtype of the arrays, at least float32."""
    widest = max((jnp.finfo(x.dtype) for x in arrays), key=lambda info: info.bits, default=jnp.finfo(jnp.float32))
    return widest.dtype
