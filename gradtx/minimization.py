"""Minimization of a function in one compiled loop."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._base import trees
from gradtx._base.branch import cast_like
from gradtx._base.calls import explains_calls
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import is_inexact, is_traced, strong
from gradtx._base.typing import Array, Params, Transform
from gradtx._core.facts import check_descends, check_no_leaf_ascends
from gradtx._core.loss import checked_loss, misfit
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._core.updates import apply_updates
from gradtx._linesearch.search import LineSearch, SearchStatus

__all__ = ["Minimum", "StopReason", "minimize"]


def __dir__() -> list[str]:
    return __all__


class StopReason(IntEnum):
    """Why `minimize` stopped."""

    MAX_STEPS = 0  # after `max_steps` steps
    GRADIENT = 1  # no element of the gradient is larger than `gtol`
    VALUE = 2  # the loss changed by no more than `ftol`
    NO_DECREASE = 3  # two line searches in a row found no smaller loss, usually because of rounding
    NOT_FINITE = 4  # the loss or the gradient is not finite


class Minimum(NamedTuple):
    """The result of `minimize`.

    Attributes:
        params: the parameters at the end.
        state: the state of the transform; `minimize` does not go on from it.
        value: the loss at `params`.
        steps: the number of steps, int32.
        evaluations: the number of evaluations of the loss, int32.
        converged: whether the gradient or the change of the loss is within its tolerance.
        reason: why it stopped, a `StopReason` as int32.
    """

    params: Any
    state: Any
    value: Any
    steps: Any
    evaluations: Any
    converged: Any
    reason: Any

    def __repr__(self) -> str:
        names = {reason.value: reason.name for reason in StopReason}
        shown = {
            "params": short(jax.tree.map(_shown, self.params)),
            **{name: _shown(getattr(self, name)) for name in ("value", "steps", "evaluations", "converged")},
            "reason": names.get(_shown(self.reason), _shown(self.reason)),
        }
        return f"Minimum({', '.join(f'{name}={x}' for name, x in shown.items())})"


class _Form(str):
    """A dtype and a shape, printed without quotes inside of containers."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(x: Any) -> Any:
    """A single number as a Python number, and the dtype and shape of any other array."""
    if isinstance(x, (jax.Array, np.ndarray, np.generic)) and x.shape == () and not is_traced(x):
        return x.item()
    return _Form(f"{x.dtype}{list(x.shape)}") if hasattr(x, "dtype") else x


@explains_calls(
    "minimize",
    args="give them after the parameters: minimize(loss_fn, tx, params, *args)",
    jac="the gradient is taken by JAX",
    method="give the transform: minimize(loss_fn, lbfgs(), params)",
    bounds="project_box in a chain keeps parameters within bounds",
)
def minimize(
    loss_fn: Callable[..., Any],
    tx: Transform,
    params: Params,
    *args: Any,
    max_steps: int = 1000,
    gtol: float = 1e-5,
    ftol: float = 0.0,
) -> Minimum:
    """Minimizes a function of the parameters, in one compiled loop.

    It is made for deterministic losses and for transforms that search along a line: `gx.lbfgs()`, `gx.newton_cg()`.
    These have loss and gradient at the new parameters already, which saves one evaluation per step. Any other transform
    works too; it gets the extras that `make_train_step` passes.

    Args:
        loss_fn: `(params, *args) -> loss`, a real 0-d array. The compiled loop is kept for the same function.
        tx: the transform.
        params: where to start, a pytree of arrays.
        *args: further arguments of the loss, pytrees of arrays.
        max_steps: the largest number of steps.
        gtol: the largest element of the gradient at a minimum, in units of the loss per parameter.
        ftol: the largest change of the loss between two steps at a minimum, relative to the loss; 0 stops where it does
            not change at all.

    Returns:
        `Minimum`: parameters, state, value, steps, evaluations, converged, reason.

    The result has derivatives in forward mode only. `jax.grad` through it raises JAX's error about `while_loop`; use
    the implicit function theorem at the minimum, with `gx.linalg.cg` for the products of the inverse Hessian.

    Raises:
        GradtxTypeError: `loss_fn` is not a function, cannot be called with the parameters and `args`, or does not
            return one real number; a parameter is an integer.
        GradtxValueError: `max_steps` is not a positive whole number; or it is known that some parameters would go
            uphill.

    Example:
        >>> import jax.numpy as jnp
        >>> found = minimize(lambda x, center: jnp.sum((x - center) ** 2), lbfgs(), jnp.zeros(2), 3.0)
        >>> print(found.params, int(found.steps), StopReason(int(found.reason)).name)
        [3. 3.] 2 GRADIENT
    """
    if not callable(loss_fn) or is_transform(loss_fn):
        raise GradtxTypeError(
            f"minimize: expected a function of the parameters first, a transform second and the parameters third, got "
            f"{short(loss_fn)}"
        )
    if is_transform(params):
        raise GradtxTypeError("minimize: transform and parameters are swapped; call minimize(loss_fn, tx, params)")
    for path, p in zip(trees.paths(params), jax.tree.leaves(params), strict=True):
        if hasattr(p, "dtype") and not is_inexact(p):
            raise GradtxTypeError(
                f"minimize: the parameter {path!r} is {jnp.result_type(p)}; start from floating-point numbers: "
                f"jnp.asarray(x, float)"
            )
    if (why := misfit(loss_fn, params, args)) is not None:
        raise GradtxTypeError(
            f"minimize: the loss cannot be called with the parameters and {len(args)} further arguments: {why}; what "
            f"follows the parameters goes to the loss, and limits are given by name, as in max_steps=100"
        )
    limits = (jnp.asarray(whole_number("max_steps", max_steps), jnp.int32), float(gtol), float(ftol))
    tx = as_transformation(tx)
    check_descends(tx.factory_name, tx._built().work.facts)
    check_no_leaf_ascends(tx.factory_name, tx._built().work.facts, params)
    return _minimized(loss_fn, tx, params, args, limits)


class _Carry(NamedTuple):
    """What the loop carries; where the transform is a line search, its state has the gradient.

    Attributes:
        params: the parameters.
        state: the state of the transform.
        value: the loss at the parameters.
        grads: the gradient there, or None.
        steps: the number of steps.
        evaluations: the number of evaluations of the loss.
        has_failed: whether the last search found no smaller loss.
        reason: why it stopped, -1 while it goes on.
    """

    params: Any
    state: Any
    value: Any
    grads: Any
    steps: Any
    evaluations: Any
    has_failed: Any
    reason: Any


@partial(jax.jit, static_argnums=0)
def _minimized(
    loss_fn: Callable[..., Any], tx: GradientTransformation, params: Params, args: tuple, limits: tuple
) -> Minimum:
    loss = checked_loss("minimize", loss_fn)
    value_and_grad = jax.value_and_grad(loss)
    max_steps, gtol, ftol = limits

    def value_and_grad_fn(params: Params) -> tuple[Array, Any]:
        value, grads = value_and_grad(params, *args)
        return value, jax.tree.map(jnp.conj, grads)

    extra = {
        "value_and_grad_fn": value_and_grad_fn,
        "grad_fn": lambda params: value_and_grad_fn(params)[1],
        "value_fn": lambda params: loss(params, *args),
    }

    def stopped(value: Array, grads: Any, change: Array) -> Array:
        """The reason to stop at a point, or -1."""
        largest = [jnp.max(jnp.abs(g), initial=0).astype(value.dtype) for g in jax.tree.leaves(grads)]
        gradient = jnp.max(jnp.stack([*largest, jnp.zeros((), value.dtype)]))
        reason = jnp.where(change <= ftol * jnp.abs(value), StopReason.VALUE, -1)
        reason = jnp.where(gradient <= gtol, StopReason.GRADIENT, reason)
        return jnp.where(jnp.isfinite(value) & jnp.isfinite(gradient), reason, StopReason.NOT_FINITE)

    def step(carry: _Carry) -> _Carry:
        is_search = isinstance(carry.state, LineSearch) and carry.state.grads is not None
        grads = carry.state.grads if is_search else carry.grads
        updates, state = tx.update(grads, carry.state, carry.params, value=carry.value, **extra)
        params = apply_updates(carry.params, updates)
        if is_search:
            value, new, count = state.value, state.grads, state.evaluations - carry.state.evaluations
        else:
            (value, new), count = value_and_grad_fn(params), jnp.ones((), jnp.int32)
        status = state.status if isinstance(state, LineSearch) else jnp.full((), SearchStatus.ACCEPTED, jnp.int32)
        has_failed = status == SearchStatus.NO_DECREASE
        value = strong(value, carry.value.dtype)
        reason = stopped(value, new, jnp.where(has_failed, jnp.inf, jnp.abs(value - carry.value)))
        reason = jnp.where(has_failed & carry.has_failed, StopReason.NO_DECREASE, reason)
        reason = jnp.where(status == SearchStatus.NOT_FINITE, StopReason.NOT_FINITE, reason)
        after = _Carry(
            params=params,
            state=state,
            value=value,
            grads=None if is_search else trees.widened(new),
            steps=carry.steps + 1,
            evaluations=carry.evaluations + count,
            has_failed=has_failed,
            reason=reason,
        )
        return jax.tree.map(cast_like, after, carry)

    value, grads = value_and_grad_fn(params)
    value, grads, state = strong(value, float), trees.widened(grads), tx.init(params)
    if isinstance(state, LineSearch) and state.grads is not None:
        state, grads = state._replace(grads=grads), None
    one, none = jnp.ones((), jnp.int32), jnp.zeros((), jnp.int32)
    reason = stopped(value, state.grads if grads is None else grads, jnp.full((), jnp.inf)).astype(jnp.int32)
    carry = _Carry(params, state, value, grads, none, one, jnp.zeros((), bool), reason)
    end = lax.while_loop(lambda carry: (carry.reason < 0) & (carry.steps < max_steps), step, carry)
    converged = (end.reason == StopReason.GRADIENT) | (end.reason == StopReason.VALUE)
    reason = jnp.maximum(end.reason, StopReason.MAX_STEPS)
    return Minimum(end.params, end.state, end.value, end.steps, end.evaluations, converged, reason)
