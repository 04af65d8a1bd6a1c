"""Kronecker-factored preconditioners: Shampoo and KL-Shampoo."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import linalg
from gradtx._base import trees
from gradtx._base.branch import one_of
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxValueError, check_state, short
from gradtx._base.numerics import increment, strong, widened
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._base.varying import all_axes, varied
from gradtx._core.constructors import combinator, with_work
from gradtx._core.context import Context
from gradtx._core.identity import identity
from gradtx._core.matrixwise import check_matrices
from gradtx._core.placing import on_each_device
from gradtx._core.protocol import as_transformation, transformation
from gradtx._linalg.batches import by_size, product
from gradtx._preconditioners.factors import (
    Sides,
    averaged,
    check_sides,
    identity_like,
    is_finite,
    zero_factors,
    zero_scale,
)
from gradtx._values.schedule import Decay, Positive, UnitInterval


@state_class
class Kronecker(NamedTuple):
    """The state of `precondition_by_kronecker` and `precondition_by_kl_kronecker`.

    Attributes:
        factors: for each matrix the averages of products, over the square of the scale.
        scales: for each side of a matrix the scale of its factor.
        roots: for each matrix the inverse roots that are in use.
        count: int32, the number of updates.
        rejected: int32, how many new roots were not finite or not accurate, so that the old ones stayed.
        inner: the state of the inner transform.
    """

    factors: Any
    scales: Any
    roots: Any
    count: Any
    rejected: Any
    inner: Any


@transformation(role="wrapper")
def precondition_by_kronecker(
    inner: Transform | None = None,
    decay: UnitInterval = 0.999,
    every: int = 1,
    power: float | None = None,
    ridge: float = 1e-6,
    max_dim: int = 8192,
    sides: str = "both",
):
    r"""Shampoo's preconditioner: multiplies each matrix by inverse roots of the averaged products of the gradient.

    .. math:: L_t = decay \cdot L_{t-1} + (1 - decay) g_t g_t^H, \quad
        R_t = decay \cdot R_{t-1} + (1 - decay) g_t^H g_t, \quad
        u_t = (L_t + \rho_L I)^{power} \, i(g_t) \, (R_t + \rho_R I)^{power}

    with :math:`\rho` the norm of the factor times `ridge`. The scale of the update is that of `graft` around it, or
    about 1.

    Args:
        inner: the transform i that makes what is multiplied from the gradient, a momentum for instance; None for the
            gradient itself.
        decay: decay rate of the factors, in [0, 1]; 1 for sums.
        every: the number of steps between two computations of the roots, which begin with the first step.
        power: of the factors: -1/p for a whole number p. None means -1/4 for two sides and -1/2 for one.
        ridge: added to the eigenvalues of a factor, relative to its norm.
        max_dim: sides that are longer get no factor.
        sides: "both", or "smaller" for the smaller side alone; of two equal ones the inputs'.

    State: `Kronecker`: two arrays of side times side for each side that has a factor, besides the state of `inner`.

    Raises:
        GradtxValueError: an array is not a matrix, or an argument is out of its range.

    Reference: Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization", 2018, algorithm 1;
    Anil et al., "Scalable Second Order Optimization for Deep Learning", 2020, for decay, ridge and `every`; their ridge
    is relative to the largest eigenvalue. The scale of the factors is ours: squares of gradients overflow, and vanish.
    """
    root_of = _root_number(power)
    check_sides(max_dim, sides)
    kept: Any = decay
    added = jnp.where(kept == 1, 1.0, 1 - kept) if hasattr(kept, "dtype") else 1.0 if kept == 1 else 1 - kept

    def start(p: Array) -> tuple[Sides, Sides]:
        factors = zero_factors(p, max_dim, sides)
        return factors, jax.tree.map(jnp.zeros_like, factors)

    def seen(g: Array, roots: Sides) -> Sides:
        return Sides((g, kept, added), (g, kept, added))

    return _preconditioned(inner, start, 0.0, seen, root_of, every, ridge)


@transformation(role="wrapper")
def precondition_by_kl_kronecker(
    inner: Transform | None = None,
    decay: Decay = 0.98,
    every: int = 1,
    initial: Positive = 0.1,
    ridge: float = 1e-6,
    max_dim: int = 8192,
    sides: str = "both",
):
    r"""KL-Shampoo's preconditioner: factors that fit the covariance of the gradient in the Kullback-Leibler divergence.

    .. math:: L_t = decay \cdot L_{t-1} + \frac{1 - decay}{n} g_t R^{-1} g_t^H, \quad
        R_t = decay \cdot R_{t-1} + \frac{1 - decay}{m} g_t^H L^{-1} g_t, \quad
        u_t = L^{-1/2} \, i(g_t) \, R^{-1/2}

    for m inputs and n outputs, where L and R without an index are those of the latest computation of the roots, plus
    their norms times `ridge`. It needs no graft: the update of white noise has elements of size 1.

    Args:
        inner: the transform i, as for `precondition_by_kronecker`.
        decay: decay rate of the factors, in [0, 1).
        every: the number of steps between two computations of the roots, which begin with the first step. Between them
            each factor is fitted to a stale inverse of the other, which overshoots where the gradient grows fast.
        initial: the factors before the first step are this number times the identity.
        ridge: added to the eigenvalues of a factor, relative to its norm.
        max_dim: longer sides get the identity in place of a factor.
        sides: "both", or "smaller" for the smaller side alone; of two equal ones the inputs'.

    State: `Kronecker`, as of `precondition_by_kronecker`.

    Raises:
        GradtxValueError: an array is not a matrix, or an argument is out of its range.

    Reference: Lin et al., "Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization", 2025. The
    roots are those of the factors, where the authors' code follows eigenvalues in a basis that turns by QR steps.
    """
    check_sides(max_dim, sides)
    kept: Any = decay
    begin: Any = initial

    def start(p: Array) -> tuple[Sides, Sides]:
        eyes = jax.tree.map(identity_like, zero_factors(p, max_dim, sides))
        by = strong(jnp.asarray(begin, p.real.dtype))
        root = lambda x: (by * (1 + ridge * x.shape[-1] ** 0.5)) ** -0.5
        scaled = lambda number: jax.tree.map(lambda x: number(x).astype(x.dtype) * x, eyes)
        return scaled(lambda x: by), scaled(root)

    def seen(g: Array, roots: Sides) -> Sides:
        from_right = g if roots.right is None else product(g, roots.right)
        from_left = g if roots.left is None else product(roots.left, g)
        inputs, outputs = (max(length, 1) for length in g.shape[-2:])
        return Sides((from_right, kept, (1 - kept) / outputs), (from_left, kept, (1 - kept) / inputs))

    return _preconditioned(inner, start, 1.0, seen, lambda sides: 2, every, ridge)


def _root_number(power: Any) -> Any:
    """A function of the number of sides: p, for the power -1/p."""
    if power is None:
        return lambda sides: 2 * sides
    p = -1 / power if isinstance(power, (int, float)) and power < 0 else 0
    if p < 1 or abs(p - round(p)) > 1e-9:
        raise GradtxValueError(f"power: expected None or -1/p for a whole number p, as -0.25, got {short(power)}")
    return lambda sides: round(p)


def _preconditioned(
    inner: Transform | None, start: Any, scale: float, seen: Any, root_of: Any, every: int, ridge: float
) -> Any:
    """The combinator.

    Args:
        inner: the transform of what is multiplied.
        start: the parameter to factors and roots before the first step.
        scale: that of those factors.
        seen: gradient and roots to what each side sees: a matrix whose products with itself go into the factor, the
            decay, and the weight of the products.
        root_of: the number of sides with a factor to p; the inverse p-th roots are used.
        every: the number of steps between two computations of the roots.
        ridge: see `linalg.inverse_root`.
    """
    inside = identity() if inner is None else as_transformation(inner)
    whole_number("every", every)
    if not (isinstance(ridge, (int, float)) and 0 < ridge < 1):
        raise GradtxValueError(f"ridge: expected a number above 0 and below 1, got {short(ridge)}")

    def init(step: Context, params: Params) -> Kronecker:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        check_matrices(step, params, leaves)
        wide = list(map(widened, leaves))
        factors, roots = ([start(p)[index] for p in wide] for index in range(2))
        scales = [
            Sides(*(None if x is None else zero_scale(p) + scale for x in f))
            for f, p in zip(factors, wide, strict=True)
        ]
        zero = jnp.zeros((), jnp.int32)
        factors, scales, roots = map(treedef.unflatten, (factors, scales, roots))
        return Kronecker(factors, scales, roots, zero, jnp.copy(zero), step.init(inside, params))

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        check_state(Kronecker, state)
        gs, treedef = [widened(g) for g in trees.floating_leaves(updates)], jax.tree.structure(updates)
        check_matrices(step, updates, gs)
        factors, scales, roots = (
            trees.subtrees_like(updates, x, "updates", "state") for x in (state.factors, state.scales, state.roots)
        )
        rows = zip(factors, scales, gs, roots, strict=True)
        found = [_factored(f, s, seen(lax.stop_gradient(g), r)) for f, s, g, r in rows]
        factors, scales = [f for f, _ in found], [s for _, s in found]
        nothing = varied(jnp.zeros((), jnp.int32), all_axes(gs))

        def renewed() -> tuple[list[Sides], Array]:
            new, failed = _new_roots(factors, scales, roots, root_of, ridge)
            return new, nothing + failed

        roots, failed = one_of(state.count % every == 0, renewed, lambda: (roots, nothing))
        roots = jax.tree.map(on_each_device, roots)
        out, own = step.update(inside, updates, state.inner, params)
        out = [_between(r, widened(u)) for r, u in zip(roots, treedef.flatten_up_to(out), strict=True)]
        factors, scales, roots = map(treedef.unflatten, (factors, scales, roots))
        new = Kronecker(factors, scales, roots, increment(state.count), state.rejected + failed, own)
        return treedef.unflatten(out), new

    return with_work(combinator(init, update), mixes_axes=True)


def _factored(factors: Sides, scales: Sides, seen: Sides) -> tuple[Sides, Sides]:
    """The factors and their scales with what each side sees."""
    (left, right), (first, second) = factors, scales
    if left is not None:
        (left, _), first = averaged(Sides(left, None), first, *seen.left)
    if right is not None:
        (_, right), second = averaged(Sides(None, right), second, *seen.right)
    return Sides(left, right), Sides(first, second)


def _new_roots(
    factors: list[Sides], scales: list[Sides], roots: list[Sides], root_of: Any, ridge: float
) -> tuple[list[Sides], Array]:
    """The inverse roots of all factors, and how many were not finite, so that the old ones stayed."""
    by_root: dict[int, list[tuple[int, str]]] = {}
    for index, own in enumerate(factors):
        there = [side for side in Sides._fields if getattr(own, side) is not None]
        for side in there:
            by_root.setdefault(root_of(len(there)), []).append((index, side))
    new, failed = list(roots), [jnp.zeros(0, bool)]
    for p, places in by_root.items():
        # The factors are products over the square of the scale.
        by = [_unless_zero(getattr(scales[index], side)) ** (-2 / p) for index, side in places]
        column = [getattr(factors[index], side) for index, side in places]
        found, _ = by_size(lambda x, p=p: ((linalg.inverse_root(x, p, ridge).root,), 0), column)
        for (index, side), scale, (root,) in zip(places, by, found, strict=True):
            old = getattr(new[index], side)
            root = root * scale.astype(root.dtype)
            is_right = is_finite(root)
            new[index] = new[index]._replace(**{side: jnp.where(is_right, root, old)})
            failed.append(~is_right.ravel())
    return new, jnp.sum(jnp.concatenate(failed), dtype=jnp.int32)


def _unless_zero(scale: Array) -> Array:
    return jnp.where(scale == 0, 1, scale)


def _between(roots: Sides, x: Array) -> Array:
    left, right = roots
    x = x if left is None else product(left.astype(x.dtype), x)
    return x if right is None else product(x, right.astype(x.dtype))
