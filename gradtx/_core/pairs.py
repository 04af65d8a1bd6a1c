"""Bare pairs of functions: the transforms of other libraries, and those that somebody wrote without a factory."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import is_inexact, precision, strong
from gradtx._base.typing import Params, State, Updates
from gradtx._core.context import Context, Work


def check_pair(init: Any, update: Any) -> None:
    """Raises if the two do not look like `init` and `update`."""
    if not (callable(init) and callable(update)):
        raise GradtxTypeError(f"expected two functions, init and update, got {short(init)} and {short(update)}")
    try:
        kinds = [p.kind for p in inspect.signature(update).parameters.values()]
    except ValueError:  # some functions written in C have no signature
        return
    by_position = [kind for kind in kinds if kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < 3 and kinds.count(inspect.Parameter.VAR_POSITIONAL) == 0:
        raise GradtxTypeError(
            f"update is called as update(updates, state, params), and {short(update)} takes {len(by_position)} of them"
        )


def work_of_pair(init: Callable[..., State], update: Callable[..., Any]) -> Work:
    """The work of a bare pair, or of a transform of another library."""

    def init_pair(step: Context, params: Params) -> State:
        if step.encoding is not None:
            raise GradtxTypeError(
                "a bare pair does not say which arrays of its state may be encoded; make it of parts, or with `memory`"
            )
        return init(params)

    def update_pair(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        result = update(updates, state, params, **accepted(update, step.extra))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise GradtxTypeError(
                f"its function `update` has to return (updates, state), the state as it is if there is none; it "
                f"returned {short(result)}"
            )
        return trees.floats_widened(result[0]), _narrowed(result[1], state)

    return Work(init_pair, update_pair)


def _narrowed(new: State, old: State) -> State:
    """The new state in the dtypes of the old one, where arithmetic with wider updates has widened it.

    A pair makes a bfloat16 state of bfloat16 parameters and expects such updates; inside of gradtx they are float32.
    """
    if jax.tree.structure(new) != jax.tree.structure(old):
        return new
    return jax.tree.map(lambda x, y: strong(x, y.dtype) if _is_wider(x, y) else x, new, old)


def _is_wider(x: Any, y: Any) -> bool:
    if not all(hasattr(z, "dtype") and is_inexact(z) for z in (x, y)) or x.dtype == y.dtype:
        return False
    return jnp.iscomplexobj(x) == jnp.iscomplexobj(y) and precision(x.dtype) > precision(y.dtype)


def accepted(update: Callable[..., Any], extra: Any) -> dict[str, Any]:
    """Those of the extra arguments that `update` takes: those that it names, or all if it takes `**extra`."""
    needed, wanted = _extras_of(update)
    for name in needed:
        if name not in extra:
            raise missing_extra(name)
    return dict(extra) if wanted is None else {name: extra[name] for name in wanted if name in extra}


def missing_extra(name: str) -> GradtxTypeError:
    """The error for an extra argument that a transform reads and was not given."""
    what = f" ({EXTRAS[name]})" if name in EXTRAS else ""
    hint = "; in optax.chain wrap it: optax.GradientTransformationExtraArgs(*tx)" if "optax" in sys.modules else ""
    return GradtxTypeError(
        f"the extra argument {name!r} is missing{what}; call tx.update(updates, state, params, {name}=...){hint}"
    )


EXTRAS = {
    "value": "the loss, which `make_train_step` passes",
    "value_fn": "the loss as a function of the parameters, which `make_train_step` passes",
    "grad_fn": "the gradient as a function of the parameters, which `make_train_step` passes",
    "value_and_grad_fn": "loss and gradient as a function of the parameters, which `make_train_step` passes",
    "key": "a key of jax.random.key, a new one per step, which a train step gets as step(..., key=key)",
}
"""The extras that transforms of gradtx read, in words."""


def _extras_of(update: Callable[..., Any]) -> tuple[list[str], list[str] | None]:
    """The extras without which `update` cannot do, and all that it takes; None for any."""
    parameters = list(inspect.signature(update).parameters.values())
    needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return needed, None
    by_name = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    by_name += [p for p in parameters[3:] if p.kind is p.POSITIONAL_OR_KEYWORD]
    return needed, [p.name for p in by_name]
