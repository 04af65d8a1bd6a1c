"""PSGD: a preconditioner that is fitted until it whitens the gradient."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from gradtx._base.branch import one_of
from gradtx._base.checks import whole_number
from gradtx._base.numerics import abs_square, increment, safe_divide, strong
from gradtx._base.states import state_class
from gradtx._base.typing import Array
from gradtx._core.matrixwise import matrixwise
from gradtx._core.norms import norms_along
from gradtx._core.placing import on_each_device
from gradtx._core.protocol import transformation
from gradtx._linalg.batches import product
from gradtx._values.schedule import NonNegative


@state_class
class Whitening(NamedTuple):
    """The state of `precondition_by_whitening`, for each matrix.

    Attributes:
        left: the square root of the inputs' factor; of a long side its diagonal.
        right: that of the outputs.
        smoothness: two numbers, which bound the step of the fit for each side.
        count: int32, the number of updates.
    """

    left: Any
    right: Any
    smoothness: Any
    count: Any


@transformation
def precondition_by_whitening(rate: NonNegative = 0.1, every: int = 1, max_dim: int = 8192):
    r"""PSGD: multiplies each matrix by Kronecker factors, which are fitted until the products are white.

    .. math:: P = Q^2, \quad x_t = P_L \, g_t \, P_R, \quad E_L = x_t x_t^H - n I, \quad
        \lambda_L = \max(0.9 \lambda_L + 0.1 l_L, l_L), \quad
        Q_L \leftarrow \left(I - \frac{rate}{2 \lambda_L} E_L\right) Q_L \left(I - \frac{rate}{2 \lambda_L} E_L\right)

    for n outputs, with a lower bound of the norm of :math:`x_t x_t^H` plus n for :math:`l_L`; the outputs' side
    likewise, and the update is :math:`u_t = P_L \, g_t \, P_R` with the new factors. At rest its elements have size 1,
    at any scale of the gradient.

    Args:
        rate: the step of the fit, in units of the largest one that is stable.
        every: the number of steps between two steps of the fit.
        max_dim: sides that are longer get a diagonal.

    State: `Whitening` for each matrix: one array of side times side for each side, or one number for each element of a
    long side, two numbers and a count.

    Reference: Li, "Preconditioned Stochastic Gradient Descent", 2018; the rule is QUAD of its code (psgd_torch, 2025).
    The factors begin with the size that whitens the first gradient.
    """
    whole_number("every", every)
    whole_number("max_dim", max_dim)

    def init(p: Array) -> Whitening:
        def factor(axis: int) -> Array:
            length = p.shape[axis]
            if length <= max_dim:
                return jnp.eye(length, dtype=p.dtype)
            return 1 + jnp.sum(jnp.zeros_like(p.real), 1 - axis)  # split as this side is

        left, right = map(factor, range(2))
        return Whitening(left, right, jnp.zeros(2, p.real.dtype), jnp.zeros((), jnp.int32))

    def step(g: Array, state: Whitening) -> tuple[Array, Whitening]:
        held = lax.stop_gradient(g)
        is_finite = jnp.all(jnp.isfinite(held.real) & jnp.isfinite(held.imag))
        state = _begun(held, state)
        new = one_of(is_finite & (state.count % every == 0), lambda: _fitted(held, state, rate), lambda: state)
        left, right = (on_each_device(q) if q.ndim == 2 else q for q in (new.left, new.right))
        new = new._replace(left=left, right=right, count=increment(state.count))
        return _times(new, g), new

    return matrixwise(step, init)


def _begun(g: Array, state: Whitening) -> Whitening:
    """Before the first step, the factors times a number that whitens its gradient, shared by both sides."""
    largest = jnp.max(jnp.abs(g))
    unit = g / jnp.where(largest == 0, 1, largest).astype(g.dtype)
    size = jnp.mean(abs_square(unit) ** 2) ** 0.125 * jnp.sqrt(largest)
    by = jnp.where((state.count == 0) & (size > 0) & jnp.isfinite(size), safe_divide(1.0, jnp.sqrt(size)), 1.0)
    left, right = (q * by.astype(q.dtype) for q in (state.left, state.right))
    return state._replace(left=left, right=right)


def _fitted(g: Array, state: Whitening, rate: Any) -> Whitening:
    """One step of the fit, of both sides for the same product."""
    x = _times(state, g)
    left, first = _side(x, state.left, state.smoothness[0], rate)
    right, second = _side(jnp.swapaxes(x, -2, -1), state.right, state.smoothness[1], rate)
    return state._replace(left=left, right=right, smoothness=jnp.stack([first, second]))


def _side(x: Array, q: Array, old: Array, rate: Any) -> tuple[Array, Array]:
    wanted = x.shape[1]
    if q.ndim == 1:
        square = jnp.sum(abs_square(x), 1)
        smoothness = _bound(jnp.max(square), wanted, old)
        by = 1 - jnp.multiply(rate, square - wanted) / (2 * smoothness)
        return q * by * by, smoothness
    square = product(x, x.conj().T)
    smoothness = _bound(_norm_from_below(square), wanted, old)
    eye = jnp.eye(len(q), dtype=q.dtype)
    by = eye - strong(jnp.multiply(rate, 0.5 / smoothness), q.real.dtype).astype(q.dtype) * (square - wanted * eye)
    q = product(product(by, q), by)
    return (q + q.conj().T) / 2, smoothness


def _bound(norm: Array, wanted: int, old: Array) -> Array:
    """The smoothness: it rises at once, and falls slowly."""
    new = norm + wanted
    return jnp.maximum(0.9 * old + 0.1 * new, new)


def _norm_from_below(a: Array) -> Array:
    """A lower bound of the norm of a Hermitian matrix: three products with its largest row."""
    largest = jnp.max(jnp.abs(a))
    unit = a / jnp.where(largest == 0, 1, largest).astype(a.dtype)
    at = jnp.argmax(jnp.sum(abs_square(unit), 1))
    v = jnp.take(unit, at, 0).conj()
    w = product(unit, v)
    z = product(unit, w)
    return largest * jnp.squeeze(safe_divide(norms_along(z, (0,)), norms_along(w, (0,))))


def _times(state: Whitening, g: Array) -> Array:
    """The product with both factors, each applied twice: the square roots are stored."""
    for _ in range(2):
        g = state.left.astype(g.dtype)[:, None] * g if state.left.ndim == 1 else product(state.left, g)
        g = g * state.right.astype(g.dtype)[None, :] if state.right.ndim == 1 else product(g, state.right)
    return g
