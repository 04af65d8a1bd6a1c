"""A jitted train step that donates its inputs."""

import functools
from typing import Any, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.branch import zeros_of
from gradtx._base.calls import explains_calls
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxError, GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import is_float0, is_key, is_traced, widened
from gradtx._base.typing import Params, State, Transform
from gradtx._core.context import Built
from gradtx._core.facts import check_descends, check_no_leaf_ascends
from gradtx._core.loss import checked_loss, misfit
from gradtx._core.parts import is_transform
from gradtx._core.protocol import as_transformation

__all__ = ["make_train_step"]


def __dir__() -> list[str]:
    return __all__


T = TypeVar("T")
P = TypeVar("P", contravariant=True)


class Loss(Protocol[P]):
    """A function of the parameters and the arrays of a batch."""

    def __call__(self, params: P, /, *batch: Any, **named: Any) -> Any: ...


class TrainStep(Protocol[T]):
    """The type of the function that `make_train_step` returns, a function of `jax.jit`."""

    def __call__(self, params: T, state: State, /, *batch: Any, **extra: Any) -> tuple[T, State, Any]: ...

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered: ...


_ARGNUMS = "gradients are taken with respect to the first argument of the loss, which may be any pytree"


@explains_calls("make_train_step", argnums=_ARGNUMS, argnames=_ARGNUMS)
def make_train_step(
    loss_fn: Loss[T],
    tx: Transform,
    *,
    has_aux: bool = False,
    accumulate: int = 1,
    donate: bool = True,
) -> TrainStep[T]:
    r"""One jitted step of training: gradient, update, and both applied in place.

    .. math:: (p, s) \leftarrow (p + u, s'), \quad (u, s') = update(\nabla L(p, batch), s, p)

    Args:
        loss_fn: `(params, *batch) -> loss`, or `(loss, aux)` with `has_aux`. The loss is a real 0-d array.
        tx: the transform; its update also gets the extras `value`, the loss, and functions of the parameters for this
            batch: `grad_fn`, its gradient, `value_fn`, its loss, and `value_and_grad_fn`, both in one evaluation. They
            cost nothing where the transform does not use them, and use the same microbatches.
        has_aux: whether `loss_fn` returns something else beside the loss.
        accumulate: the number of microbatches, processed one after the other to save memory. Every array of the
            batch is split along its first axis; 0-d arrays are the same for each part, and a random key (of
            `jax.random.key`) is split into one for each. The gradient is the mean over the parts, taken in at least
            float32, and so is the loss; the leaves of aux are stacked, with a new first axis of this length.
        donate: whether parameters and state are donated: their memory is that of the new ones, and they must not be
            used after the step.

    Returns:
        `step(params, state, *batch, **extra) -> (params, state, loss)`, or `(params, state, (loss, aux))` with
        `has_aux`. Arguments by name are further extras for the transform: `key=...` for `sophia`, for instance.

    Raises:
        GradtxValueError: `accumulate` is not a positive whole number, or does not divide the batch; or the transform
            leaves some gradients as they are, as `masked(adam(1e-3), mask)` does.

    The gradient of a complex parameter is conjugated here, as descent needs it: JAX gives the conjugate of the
    direction of steepest ascent.

    Example:
        >>> import jax.numpy as jnp
        >>> def loss(params, x, y):
        ...     return jnp.mean((x * params["slope"] + params["offset"] - y) ** 2)
        >>> tx, params = adam(0.1), {"slope": jnp.zeros(()), "offset": jnp.zeros(())}
        >>> step, state, x = make_train_step(loss, tx), tx.init(params), jnp.arange(4.0)
        >>> for _ in range(200):
        ...     params, state, value = step(params, state, x, 2 * x + 1)
        >>> print(f"{params['slope']:.2f} {params['offset']:.2f}")
        2.00 1.00
    """
    accumulate = whole_number("make_train_step: accumulate", accumulate)
    if is_transform(loss_fn) and not is_transform(tx) and callable(tx):
        raise GradtxTypeError("make_train_step: the arguments are swapped; call make_train_step(loss_fn, tx)")
    if not callable(loss_fn) or is_transform(loss_fn):
        raise GradtxTypeError(
            f"make_train_step: expected a function of the parameters first and a transform second, got {short(loss_fn)}"
        )
    tx = as_transformation(tx)
    check_descends(tx.factory_name, tx._built().work.facts)
    value_and_grad = jax.value_and_grad(
        checked_loss("make_train_step", loss_fn, has_aux), has_aux=has_aux, allow_int=True
    )

    def whole(params: Params, batch: tuple) -> tuple[Any, Any]:
        return value_and_grad(params, *batch)

    def in_parts(params: Params, batch: tuple) -> tuple[Any, Any]:
        if not jax.tree.leaves(batch):
            raise GradtxValueError(f"make_train_step: there is no batch to be split into {accumulate} parts")
        parts = jax.tree.map(lambda x: _split(x, accumulate), batch)

        def one(total: Any, part: tuple) -> tuple[Any, Any]:
            value, grads = value_and_grad(params, *part)
            return jax.tree.map(lambda g, t: None if is_float0(g) else t + widened(g), grads, total), value

        shapes = jax.eval_shape(whole, params, jax.tree.map(lambda x: x[0], parts))[1]
        zeros = jax.tree.map(lambda g: None if is_float0(g) else widened(zeros_of(g)), shapes)
        total, values = jax.lax.scan(one, zeros, parts)
        loss, aux = values if has_aux else (values, None)
        loss = jnp.mean(widened(loss))
        grads = jax.tree.map(
            lambda g, t: np.zeros(g.shape, g.dtype) if t is None else t * (1 / accumulate), shapes, total
        )
        return (loss, aux) if has_aux else loss, grads

    def evaluate(params: Params, batch: tuple) -> tuple[Any, Any]:
        value, grads = (whole if accumulate == 1 else in_parts)(params, batch)
        return value, jax.tree.map(lambda g: g.conj() if jnp.iscomplexobj(g) else g, grads)

    def loss_of(params: Params, batch: tuple) -> Any:
        loss = loss_fn(params, *batch)
        return loss[0] if has_aux else loss

    def value_of(params: Params, batch: tuple) -> Any:
        if accumulate == 1:
            return loss_of(params, batch)
        parts = jax.tree.map(lambda x: _split(x, accumulate), batch)
        return jnp.mean(widened(jax.lax.map(jax.checkpoint(lambda part: loss_of(params, part)), parts)))

    def step(params: Params, state: State, *batch: Any, **extra: Any) -> tuple[Params, State, Any]:
        try:
            value, grads = evaluate(params, batch)
        except Exception as error:
            if (better := _explained(error, loss_fn, tx, params, state, batch)) is error:
                raise
            raise better from None

        def value_and_grad_of(params: Params) -> tuple[Any, Any]:
            value, grads = evaluate(params, batch)
            return value[0] if has_aux else value, grads

        functions = {
            "value_and_grad_fn": value_and_grad_of,
            "grad_fn": lambda params: evaluate(params, batch)[1],
            "value_fn": lambda params: value_of(params, batch),
        }
        extra = {"value": value[0] if has_aux else value, **functions, **extra}
        check_no_leaf_ascends(tx.factory_name, tx._built().work.facts, params)
        params, state = tx._checked(Built.apply, grads, state, params, extra)
        return params, state, value

    return cast(TrainStep[T], _Step(jax.jit(step, donate_argnums=(0, 1) if donate else ())))


class _Step:
    """A jitted function of parameters and state, with an error of its own for memory that is given away twice."""

    def __init__(self, jitted: Any):
        self._jitted = jitted
        functools.update_wrapper(self, jitted)

    @explains_calls("step")
    def __call__(self, params: Params, state: State, /, *batch: Any, **extra: Any) -> Any:
        try:
            return self._jitted(params, state, *batch, **extra)
        except GradtxError:
            raise
        except (ValueError, RuntimeError, TypeError):
            better = _of_memory(params, state) or _of_no_array(params, state, batch)
            if better is None:
                raise
            raise better from None

    def __getattr__(self, name: str) -> Any:
        if name == "_jitted":  # a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self._jitted, name)


def _of_memory(params: Params, state: State) -> GradtxValueError | None:
    """The error in words, if an array has given its memory away already, or is there twice."""
    seen: dict[int, str] = {}
    for path, x in jax.tree_util.tree_leaves_with_path({"params": params, "state": state}):
        name = trees.path_text(path)
        if not isinstance(x, jax.Array) or is_traced(x):
            continue
        if x.is_deleted():
            return GradtxValueError(
                f"make_train_step: the memory of {name} was given to the results of an earlier step; go on with what "
                f"that step returned, as in params, state, loss = step(params, state, batch), or pass donate=False"
            )
        if seen.setdefault(id(x), name) != name:
            return GradtxValueError(
                f"make_train_step: {seen[id(x)]} and {name} are one array, whose memory cannot be given to the new "
                f"ones twice; for tied weights keep one of them, or copy: jax.tree.map(jnp.copy, params)"
            )
    return None


def _of_no_array(params: Params, state: State, batch: tuple) -> GradtxTypeError | None:
    """The error in words, if something is not an array."""
    for path, x in jax.tree_util.tree_leaves_with_path({"params": params, "state": state, "batch": batch}):
        if not isinstance(x, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
            if path[0].key == "batch":
                hint = "close over it in the loss, or split by functools.partial"
            else:
                hint = "leave such leaves out, as eqx.partition(module, eqx.is_inexact_array) does"
            return GradtxTypeError(f"make_train_step: {trees.path_text(path)} is {short(x)}, not an array; {hint}")
    return None


def _explained(error: Exception, loss_fn: Any, tx: Any, params: Params, state: State, batch: tuple) -> Exception:
    """The error, or a better one if the step was not called as it should be."""
    form = jax.tree.structure
    if form(state) == form(0) and form(params) != form(0) and jnp.size(state) <= 1:
        return GradtxValueError(
            "make_train_step: the state is one number; call step(params, state, *batch), which returns "
            "(params, state, loss)"
        )
    try:
        if form(jax.eval_shape(tx.init, state)) == form(params) != form(state):
            return GradtxValueError(
                "make_train_step: parameters and state are swapped; call step(params, state, *batch)"
            )
    except Exception:  # the state is not a tree of arrays
        pass
    if (why := misfit(loss_fn, params, batch)) is not None:
        return GradtxTypeError(
            f"make_train_step: the loss cannot be called with the parameters and {len(batch)} arguments of the batch: "
            f"{why}; call step(params, state, *batch), each by position: arguments by name go to the transform"
        )
    return error


def _split(x: Any, count: int) -> jax.Array:
    """`x` cut into `count` parts along a new first axis."""
    x = jnp.asarray(x)
    if is_key(x) and x.ndim == 0:
        return jax.random.split(x, count)
    if x.ndim == 0:
        return jnp.broadcast_to(x, (count,))
    if x.shape[0] % count:
        raise GradtxValueError(
            f"make_train_step: a batch of {x.shape[0]} cannot be split into {count} equal parts; "
            f"use a batch size that {count} divides, or another accumulate"
        )
    return x.reshape(count, x.shape[0] // count, *x.shape[1:])
