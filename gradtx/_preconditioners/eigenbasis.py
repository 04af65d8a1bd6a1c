"""Shampoo's eigenbasis, in which any transform may work: SOAP."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import linalg
from gradtx._base import trees
from gradtx._base.branch import one_of
from gradtx._base.checks import whole_number
from gradtx._base.errors import check_state
from gradtx._base.numerics import abs_square, increment, strong, widened
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._base.varying import all_axes, varied
from gradtx._core.context import Context, Work
from gradtx._core.facts import Facts
from gradtx._core.leafwise import restricted
from gradtx._core.matrixwise import check_matrices
from gradtx._core.placing import on_each_device
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._linalg.batches import adjoint, by_size, product
from gradtx._preconditioners.factors import (
    Sides,
    averaged,
    check_choice,
    check_sides,
    identity_like,
    is_finite,
    zero_factors,
    zero_scale,
)
from gradtx._preconditioners.rounding import without_rounding
from gradtx._values.schedule import UnitInterval


@state_class
class Eigenbasis(NamedTuple):
    """The state of `in_eigenbasis`.

    Attributes:
        factors: for each matrix the averages of products of the gradient with itself, over the square of the scale.
        scales: for each matrix the scale of its factors.
        bases: for each matrix the bases.
        count: int32, the number of updates.
        rejected: int32, how many new bases were not finite, so that the old ones stayed.
        inner: the state of the inner transform.
    """

    factors: Any
    scales: Any
    bases: Any
    count: Any
    rejected: Any
    inner: Any


@transformation(role="wrapper")
def in_eigenbasis(
    inner: Transform,
    decay: UnitInterval = 0.95,
    every: int = 10,
    max_dim: int = 8192,
    sides: str = "both",
    first: str = "eigh",
):
    r"""In the eigenbasis of Shampoo's factors: rotates each matrix, applies a transform, and rotates back.

    .. math:: L_t = decay \cdot L_{t-1} + (1 - decay) g_t g_t^H, \quad
        R_t = decay \cdot R_{t-1} + (1 - decay) g_t^H g_t, \quad
        u_t = Q_L \, i(Q_L^H g_t Q_R) \, Q_R^H

    where the columns of :math:`Q_L` and :math:`Q_R` are eigenvectors of the factors. After every `every`-th step they
    make one step of orthogonal iteration towards those of the present factors; a gradient is never rotated by a basis
    that was made from it. Parameters, and what `let` has named, are rotated in too. When a basis turns, what the inner
    transform keeps for each element is carried along by the squares of the rotation, as second moments need it; so keep
    a momentum outside and name it with `let`; `store` then leaves it as it is.

    Args:
        inner: the transform i, of matrices or elementwise.
        decay: decay rate of the factors, in [0, 1].
        every: the number of steps between two refreshments of the bases.
        max_dim: sides that are longer get no basis.
        sides: "both", or "smaller" for a basis of the smaller side alone; of two equal ones the inputs'.
        first: "eigh": the first step is made in the eigenvectors of the first gradient's factors. "skip": it is zero,
            and the inner transform does not see it, as in the authors' code.

    State: `Eigenbasis`: two arrays of side times side for each side that has a basis, besides the state of `inner`.

    Raises:
        GradtxValueError: an array is not a matrix.

    Reference: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, algorithm 3. The squares of the
    rotation are those of HeavyBall; the authors' code sorts second moments as the columns are sorted. The scale is
    ours: squares of gradients overflow, and vanish. So are zeros for coordinates that are only rounding errors of the
    rotation, and unit vectors in the bases for rows and columns that had no gradient yet: there the update is 0.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(in_eigenbasis(scale_by_adam()), scale_by_learning_rate(0.1))
        >>> gradient = jnp.asarray([[4.0, 1.0], [2.0, 3.0]])
        >>> updates, state = tx.update(gradient, tx.init(gradient))
        >>> print(jnp.linalg.svdvals(updates))  # the first step is orthogonal
        [0.10000003 0.10000003]
    """
    inner = as_transformation(inner)
    whole_number("every", every)
    check_sides(max_dim, sides)
    check_choice("first", first, ("eigh", "skip"))

    def init(step: Context, params: Params) -> Eigenbasis:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        check_matrices(step, params, leaves)
        factors = [zero_factors(widened(p), max_dim, sides) for p in leaves]
        bases = [jax.tree.map(identity_like, x) for x in factors]
        scales = [zero_scale(widened(p)) for p in leaves]
        zero = jnp.zeros((), jnp.int32)
        factors, scales, bases = map(treedef.unflatten, (factors, scales, bases))
        return Eigenbasis(factors, scales, bases, zero, jnp.copy(zero), step.init(inner, params))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        check_state(Eigenbasis, state)
        gs, treedef = [widened(g) for g in trees.floating_leaves(updates)], jax.tree.structure(updates)
        check_matrices(step, updates, gs)
        factors, scales, bases = (
            trees.subtrees_like(updates, x, "updates", "state") for x in (state.factors, state.scales, state.bases)
        )
        is_first = state.count == 0
        pairs = [averaged(f, s, g, decay) for f, s, g in zip(factors, scales, gs, strict=True)]
        factors, scales = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        bases = one_of(is_first, lambda: _first_bases(factors, bases), lambda: bases)

        def rotated(tree: Any) -> list[Array]:
            return [_rotate(widened(x), q) for x, q in zip(treedef.flatten_up_to(tree), bases, strict=True)]

        seen = [updates, *(restricted(updates, x) for x in step.names.values())]
        turned, *named = map(treedef.unflatten, without_rounding(*map(rotated, seen)))
        inside = step._replace(names=dict(zip(step.names, named, strict=True)))
        viewed = None if params is None else treedef.unflatten(rotated(params))
        arguments = inner, turned, state.inner, viewed
        if first == "skip":
            out, new = inside.update_where(~is_first, *arguments)
        else:
            out, new = inside.update(*arguments)
        out = [_rotate(u, q, back=True) for u, q in zip(treedef.flatten_up_to(out), bases, strict=True)]

        made = state.count if first == "skip" else state.count + 1
        is_due = ~is_first & (made % every == 0)
        carry = _carried(treedef, [g.shape for g in gs], step)

        nothing = varied(jnp.zeros((), jnp.int32), all_axes(gs))

        def refreshed() -> tuple[list[Sides], State, Array]:
            found, turns, failed = _next_bases(factors, bases)
            return found, carry(new, turns), nothing + failed

        bases, new, failed = one_of(is_due, refreshed, lambda: (bases, new, nothing))
        bases = jax.tree.map(on_each_device, bases)
        factors, scales, bases = map(treedef.unflatten, (factors, scales, bases))
        rejected = state.rejected + failed
        return treedef.unflatten(out), Eigenbasis(factors, scales, bases, increment(state.count), rejected, new)

    return GradientTransformation._of(Work(init, update, facts=Facts(rotates_names=True), mixes_axes=True))


def _first_bases(factors: list[Sides], bases: list[Sides]) -> list[Sides]:
    """The eigenvectors of all factors; where they are not finite, the bases as they are."""

    def one(old: Array, a: Array) -> tuple[tuple[Array], int]:
        q = linalg.eigenbasis(a)
        return (jnp.where(is_finite(q), q, old),), 0

    found, _ = by_size(one, jax.tree.leaves(bases), jax.tree.leaves(factors))
    return jax.tree.structure(factors).unflatten([q for q, _ in found])


def _next_bases(factors: list[Sides], bases: list[Sides]) -> tuple[list[Sides], list[Sides], Array]:
    """The next bases of all sides, the squares of the rotations to them, and how many were not finite and stayed."""

    def one(a: Array, old: Array) -> tuple[tuple[Array, Array], Array]:
        q = linalg.next_basis(a, old)
        is_right = is_finite(q)
        q = jnp.where(is_right, q, old)
        turn = abs_square(product(adjoint(old), q))
        return (turn.astype(a.dtype), q), jnp.sum(~is_right, dtype=jnp.int32)

    found, failed = by_size(one, jax.tree.leaves(factors), jax.tree.leaves(bases))
    treedef = jax.tree.structure(factors)
    return treedef.unflatten([q for _, q in found]), treedef.unflatten([turn.real for turn, _ in found]), failed


def _rotate(x: Array, bases: Sides, back: bool = False) -> Array:
    """Into the bases, or back."""
    left, right = bases
    if left is not None:
        x = jnp.matmul(left if back else jnp.swapaxes(left.conj(), -2, -1), x)
    if right is not None:
        x = jnp.matmul(x, jnp.swapaxes(right.conj(), -2, -1) if back else right)
    return x


def _carried(treedef: Any, shapes: list[tuple[int, ...]], step: Context) -> Any:
    """A function that carries what is kept for each element along with the bases."""

    def is_carried(node: Any) -> bool:
        slots, structure = jax.tree.flatten(node, is_leaf=trees.is_slot)
        return structure == treedef and [getattr(x, "shape", None) for x in slots] == shapes

    def one(x: Any, turn: Sides) -> Array:
        kept = x if step.encoding is None else step.encoding.codec.decode(x)
        is_encoded = not isinstance(x, jax.Array) or kept.dtype != x.dtype  # a place is not
        wide = widened(kept)
        largest = float(jnp.finfo(wide.dtype).max)
        wide = wide if jnp.iscomplexobj(wide) else jnp.clip(wide, -largest, largest)  # infinity times 0 would be NaN
        moved = _rotate(wide, jax.tree.map(lambda squares: squares.astype(wide.dtype), turn))
        if step.encoding is not None and is_encoded:
            return step.encoding.codec.encode(moved, step.encoding.step)
        return strong(moved, x.dtype)

    def carry(state: State, turns: list[Sides]) -> State:
        def moved(node: Any) -> Any:
            if not is_carried(node):
                return node
            return treedef.unflatten(list(map(one, treedef.flatten_up_to(node), turns)))

        return jax.tree.map(moved, state, is_leaf=is_carried)

    return carry
