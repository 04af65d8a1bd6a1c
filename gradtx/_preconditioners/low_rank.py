"""Low ranks: GaLore's projection around any transform, Dion's power steps, and the largest rows of Dion2."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import linalg
from gradtx._base import trees
from gradtx._base.branch import one_of
from gradtx._base.checks import seed_number, whole_number
from gradtx._base.errors import GradtxValueError, check_state, short
from gradtx._base.numerics import increment, safe_divide, widened
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator, with_work
from gradtx._core.context import Context
from gradtx._core.leafwise import restricted
from gradtx._core.matrixwise import check_matrices, matrixwise
from gradtx._core.norms import norms_along
from gradtx._core.placing import on_each_device
from gradtx._core.protocol import as_transformation, transformation
from gradtx._linalg.batches import adjoint, by_size, product
from gradtx._linalg.polar import polynomials_of
from gradtx._preconditioners.factors import is_finite, zero_scale
from gradtx._preconditioners.rounding import without_rounding
from gradtx._values.schedule import Decay, NonNegative


@state_class
class LowRank(NamedTuple):
    """The state of `low_rank`.

    Attributes:
        projections: for each matrix an orthonormal basis of its subspace, in columns.
        count: int32, the number of updates.
        inner: the state of the inner transform, of arrays of the lower rank.
    """

    projections: Any
    count: Any
    inner: Any


@transformation(role="wrapper")
def low_rank(inner: Transform, rank: int, every: int = 200, factor: NonNegative = 0.25):
    r"""GaLore: a transform works on the gradient's projection onto the largest singular vectors of its shorter side.

    .. math:: u_t = factor \cdot P \, i(P^H g_t)

    for at most as many inputs as outputs, else :math:`factor \cdot i(g_t P) P^H`. P is computed from the gradient at
    the first step and after every `every` steps; what the inner transform stores stays as it is.
    What `let` has named is projected too.

    Args:
        inner: the transform i, of matrices or elementwise. It gets no parameters: put weight decay outside.
        rank: the number of singular vectors; matrices whose shorter side is at most as long keep all.
        every: the number of steps between two projections.
        factor: multiplies the update.

    State: `LowRank`: `rank` numbers for each element of the shorter side, a count, and the state of `inner`.

    Raises:
        GradtxValueError: an array is not a matrix, or `rank` or `every` is not a positive whole number.

    Reference: Zhao et al., "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection", 2024, algorithm 2.
    The largest element of each singular vector is made positive, so that the projection is determined,
    and coordinates that are only rounding errors of the projection are 0.
    """
    inner = as_transformation(inner)
    whole_number("rank", rank)
    whole_number("every", every)
    by: Any = factor

    def zeros(p: Array) -> tuple[Array, Array]:
        """A projection of zeros, and a projected gradient, which is split along the longer side as the parameter is."""
        *batch, inputs, outputs = p.shape
        kept = min(rank, inputs, outputs)
        none = jnp.zeros_like(p)
        projection = jnp.broadcast_to(zero_scale(p).astype(p.dtype), (*batch, min(inputs, outputs), kept))
        if _is_wide(p):
            return projection, jnp.broadcast_to(jnp.sum(none, -2, keepdims=True), (*batch, kept, outputs))
        return projection, jnp.broadcast_to(jnp.sum(none, -1, keepdims=True), (*batch, inputs, kept))

    def init(step: Context, params: Params) -> LowRank:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        check_matrices(step, params, leaves)
        pairs = [zeros(widened(p)) for p in leaves]
        projections, seen = (treedef.unflatten([pair[index] for pair in pairs]) for index in range(2))
        return LowRank(projections, jnp.zeros((), jnp.int32), step.init(inner, seen))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        check_state(LowRank, state)
        gs, treedef = [widened(g) for g in trees.floating_leaves(updates)], jax.tree.structure(updates)
        check_matrices(step, updates, gs)
        old = trees.subtrees_like(updates, state.projections, "updates", "state")
        ps = one_of(state.count % every == 0, lambda: _projections(gs, old), lambda: old)
        ps = list(map(on_each_device, ps))

        def projected(tree: Any) -> list[Array]:
            rows = zip(treedef.flatten_up_to(tree), ps, strict=True)
            pairs = [(widened(x), p) for x, p in rows]
            return [product(adjoint(p), x) if _is_wide(x) else product(x, p) for x, p in pairs]

        seen = [updates, *(restricted(updates, x) for x in step.names.values())]
        small, *named = map(treedef.unflatten, without_rounding(*map(projected, seen)))
        inside = step._replace(names=dict(zip(step.names, named, strict=True)))
        out, own = inside.update(inner, small, state.inner)
        columns = zip(gs, ps, map(widened, treedef.flatten_up_to(out)), strict=True)
        large = [product(p, u) if _is_wide(g) else product(u, adjoint(p)) for g, p, u in columns]
        back = [u * by for u in large]
        return treedef.unflatten(back), LowRank(treedef.unflatten(ps), increment(state.count), own)

    return with_work(combinator(init, update), mixes_axes=True)


def _is_wide(g: Array) -> bool:
    return g.shape[-2] <= g.shape[-1]


def _projections(gs: list[Array], old: list[Array]) -> list[Array]:
    """The largest singular vectors of the shorter sides; the old ones where they are not finite."""
    there = [index for index, g in enumerate(gs) if g.size]
    found, _ = by_size(lambda a: ((linalg.eigenbasis(a),), 0), [_gram(gs[index]) for index in there])
    new = list(old)
    for index, (vectors,) in zip(there, found, strict=True):
        vectors = vectors[..., : old[index].shape[-1]]
        at = jnp.argmax(jnp.abs(vectors), -2, keepdims=True)
        most = jnp.take_along_axis(vectors, at, -2)
        sign = safe_divide(jnp.abs(most).astype(most.dtype), most)
        vectors = vectors * jnp.broadcast_to(sign, vectors.shape)
        new[index] = jnp.where(is_finite(vectors), vectors, old[index])
    return new


def _gram(g: Array) -> Array:
    """The products of the vectors along the longer side."""
    g = lax.stop_gradient(g if _is_wide(g) else adjoint(g))
    largest = jnp.max(jnp.abs(g), (-2, -1), keepdims=True)
    unit = g / jnp.where(largest == 0, 1, largest).astype(g.dtype)
    return product(unit, adjoint(unit))


@state_class
class Dion(NamedTuple):
    """The state of `scale_by_dion`, for each matrix.

    Attributes:
        momentum: the momentum, without the parts that were used already.
        basis: the directions of the inputs, in columns of norm 1.
    """

    momentum: Any
    basis: Any


@transformation
def scale_by_dion(rank: int, decay: Decay = 0.95, seed: int = 0):
    r"""Dion: one step of orthogonal iteration towards the largest singular vectors of the momentum, orthonormalized.

    .. math:: B_t = M_{t-1} + g_t, \quad P_t = \operatorname{orth}(B_t^H Q_{t-1}), \quad S_t = B_t P_t, \quad
        M_t = B_t - (1 - decay) S_t P_t^H, \quad Q_t = \operatorname{normalize}(S_t), \quad
        u_t = \sqrt{n/m} \, Q_t P_t^H

    for m inputs and n outputs. The unused part of the momentum stays in it.

    Args:
        rank: the number of directions; at most the shorter side is of use.
        decay: what stays of the used part of the momentum, in [0, 1).
        seed: from which the first directions are made.

    State: `Dion` for each matrix: the matrix, and `rank` numbers for each input.

    Reference: Ahn et al., "Dion: Distributed Orthonormalized Updates", 2025, algorithm 1.
    """
    whole_number("rank", rank)
    seed = seed_number("seed", seed)
    kept: Any = decay

    def init(p: Array) -> Dion:
        inputs, outputs = p.shape
        drawn = jnp.complex64 if jnp.iscomplexobj(p) else jnp.float32  # in every precision the same
        directions = jax.random.normal(jax.random.key(seed), (inputs, min(rank, inputs, outputs)), drawn)
        zeros = jnp.zeros_like(p)
        basis = jnp.linalg.qr(directions.astype(p.dtype))[0]
        return Dion(zeros, basis + jnp.broadcast_to(jnp.sum(zeros, 1, keepdims=True), basis.shape))  # split as inputs

    def step(g: Any, state: Any) -> Any:
        b = state.momentum + g
        p = lax.stop_gradient(jnp.linalg.qr(product(adjoint(b), state.basis))[0])
        s = product(b, p)
        lengths = jnp.broadcast_to(norms_along(s, (0,)), s.shape)
        q = safe_divide(s, lengths)
        u = math.sqrt(g.shape[1] / g.shape[0]) * product(q, adjoint(p))
        return u, Dion(b - (1 - kept) * product(s, adjoint(p)), q)

    return matrixwise(step, init, in_turn=True)


@transformation
def orthogonalize_largest(
    fraction: float = 0.25, decay: Decay = 0.95, side: str | None = None, method: Any = "polynomials"
):
    r"""Dion2: orthogonalizes the largest rows or columns of a momentum, which are then forgotten in part.

    .. math:: B_t = M_{t-1} + g_t, \quad u_t = \operatorname{orthogonalize}(B_t[K]), \quad M_t[K] = decay \cdot B_t[K]

    where K are the slices of the largest sums of magnitudes along `side`; the rest of the update is 0, and the rest of
    the momentum stays.

    Args:
        fraction: how many of them, in (0, 1].
        decay: what stays of the slices that were used, in [0, 1).
        side: "inputs" or "outputs", along which they lie; None for the shorter one, of two equal ones the outputs.
        method: of the polar factor; see `orthogonalize`.

    State: one array for each matrix.

    Raises:
        GradtxValueError: `fraction`, `side` or `method` is out of its range.

    Reference: Ahn et al., "Dion2: A Simple Method to Shrink Matrix in Muon", 2025, and its code. The polynomials are
    those of `orthogonalize`; `scale_by_shape` comes after it.
    """
    if not (isinstance(fraction, (int, float)) and 0 < fraction <= 1):
        raise GradtxValueError(f"fraction: expected a number above 0 and at most 1, got {short(fraction)}")
    kept: Any = decay
    polynomials_of(5, 1e-3, method, None)
    if side not in (None, "inputs", "outputs"):
        raise GradtxValueError(f"side: expected None, 'inputs' or 'outputs', got {short(side)}")

    def step(g: Any, old: Any) -> Any:
        b = old + g
        axis = {"inputs": 0, "outputs": 1}.get(side or "", int(g.shape[1] <= g.shape[0]))
        count = max(1, math.ceil(fraction * g.shape[axis]))
        chosen = jnp.sort(lax.top_k(jnp.sum(jnp.abs(b), 1 - axis), count)[1])
        part = jnp.take(b, chosen, axis)
        at = (chosen, slice(None)) if axis == 0 else (slice(None), chosen)
        return jnp.zeros_like(b).at[at].set(linalg.polar(part, 5, method=method)), b.at[at].set(kept * part)

    return matrixwise(step, jnp.zeros_like, in_turn=True)
