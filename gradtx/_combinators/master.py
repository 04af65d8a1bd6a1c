"""Float32 master weights for half-precision parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError, check_state
from gradtx._base.numerics import align, precision, strong
from gradtx._base.states import state_class
from gradtx._base.typing import Array, Params, State, Transform, Updates
from gradtx._core.constructors import combinator, required_params, with_facts
from gradtx._core.context import Context
from gradtx._core.protocol import as_transformation, transformation


@state_class
class Master(NamedTuple):
    """The state of `master_weights`.

    Attributes:
        params: the parameters in float32 where they are narrower, else None.
        inner: the state of the transform.
    """

    params: Any
    inner: Any


@transformation(role="wrapper")
def master_weights(inner: Transform):
    r"""Master weights: keeps a float32 copy of half-precision parameters, so that small updates are not rounded away.

    .. math:: w_{t+1} = w_t + inner(g_t), \quad u_t = w_{t+1} - p_t

    The inner transform sees the float32 parameters w; the half-precision parameters that are trained are w, rounded. So
    steps of less than half a unit in the last place of bfloat16 (1/256 of a parameter) count, and transforms that
    measure the distance of the parameters from their start (`dog`, `prodigy`, `mechanize`) or recompute an average from
    them (`schedule_free`) work. Wrap the whole optimizer: any other change to the parameters is undone by the next
    update.

    Args:
        inner: a transform whose updates are steps, such as a named optimizer.

    State: `Master(params, inner)`: one float32 array per parameter of less than 32 bits, nothing for the others, and
    the state of `inner`. Needs the parameters.

    Raises:
        GradtxValueError: the parameters are missing.

    Reference: Micikevicius et al., "Mixed Precision Training", 2018, section 3.1.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> Master:
        masters = jax.tree.map(
            lambda p, wide: wide if precision(p.dtype) < 32 else None, params, trees.widened(params, "parameters")
        )
        return Master(masters, step.init(inner, _whole(params, masters)))

    def update(step: Context, updates: Updates, state: Master, params: Params) -> tuple[Updates, Master]:
        check_state(Master, state)
        whole = _whole(required_params(params, updates), state.params)
        steps, new = step.update(inner, updates, state.inner, whole)
        treedef, leaves = jax.tree.structure(steps), trees.floating_leaves(steps)
        moved = [_moved(w, u) for w, u in zip(_like(steps, state.params), leaves, strict=True)]
        rows = zip(moved, trees.leaves_like(steps, params, "updates", "parameters"), leaves, strict=True)
        out = [u if w is None else w - align(w, p)[1] for w, p, u in rows]
        return treedef.unflatten(out), Master(treedef.unflatten(moved), new)

    return with_facts(combinator(init, update), keeps_params=True)


@explains_calls("master_params")
def master_params(state: State, params: Params) -> Params:
    """The parameters in full precision: copies of those that `master_weights` keeps, of the others as they are.

    Args:
        state: the state of a transform with `master_weights` in it, at any depth.
        params: the parameters that are trained.

    Raises:
        GradtxValueError: the state has no such parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, params = master_weights(sgd(1.0)), jnp.ones((), jnp.bfloat16)
        >>> _, state = tx.update(jnp.full((), 1e-3, jnp.bfloat16), tx.init(params), params)
        >>> print(f"{master_params(state, params):.4f}")
        0.9990
    """
    found: list[Any] = jax.tree.leaves(params)
    nodes = [x for x in jax.tree.leaves(state, is_leaf=_is_master) if _is_master(x)]
    if not nodes:
        raise GradtxValueError(
            "master_params: the state keeps no parameters in full precision; wrap the transform: master_weights(tx); "
            "the call is master_params(state, params)"
        )
    for node in nodes:
        masters = trees.leaves_like(params, node.params, "parameters", "master weights", absent=True)
        found = [p if w is None else w for p, w in zip(found, masters, strict=True)]
    return jax.tree.structure(params).unflatten([jnp.array(x) for x in found])


def _is_master(x: Any) -> bool:
    return isinstance(x, Master)


def _moved(w: Array | None, u: Array) -> Array | None:
    return None if w is None else strong(w + u, w.dtype)


def _whole(params: Params, masters: Any) -> Params:
    """The parameters, with the master weights in place of those that have one."""
    pairs = zip(jax.tree.leaves(params), _like(params, masters), strict=True)
    return jax.tree.structure(params).unflatten([p if w is None else w for p, w in pairs])


def _like(tree_of_all: Any, masters: State) -> list[Array | None]:
    return trees.leaves_like(tree_of_all, masters, "updates", "state", absent=True)
