"""Averaged parameters: the protocol by which they are found in a state.

A transform that keeps averaged parameters says so by its state, a pytree node with a method

    eval_params(params) -> tree

which gets all parameters, and returns its averages where they are, with None for the leaves that it has none of (those
of other groups of a partition). `averages_of` does the latter for averages that are stored as they are. `eval_params`
finds these nodes anywhere in a state.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.typing import Array, Params, State
from gradtx._values.value import is_value


@explains_calls("eval_params")
def eval_params(state: State, params: Params) -> Params:
    """The parameters to evaluate with: copies of the averages that the state keeps, in the dtypes of the parameters.

    They are found anywhere in the state: in a chain, a partition, stacked layers. Parameters of which there is no
    average are copied as they are; so are all of them before the first average.

    Args:
        state: the state of a transform with `average_params` in it, or with another that averages; in Flax NNX
            `optimizer.opt_state`.
        params: the parameters that are trained; in Flax NNX `nnx.state(model, nnx.Param)`, as `nnx.update` takes it.

    Raises:
        GradtxValueError: the state holds no averages, or averages the same parameter twice.
    """
    if is_value(state):
        raise GradtxTypeError(
            f"eval_params: expected a state, got the transform {short(state)}; call eval_params(state, params)"
        )
    leaves, treedef = jax.tree.flatten(params)
    found = merged_averages(trees.without_variables(state), trees.without_variables(params))
    if leaves and all(average is None for average in found):
        if any(map(_averages, jax.tree.leaves(params, is_leaf=_averages))):
            raise GradtxValueError("eval_params: state and parameters are swapped; call eval_params(state, params)")
        raise GradtxValueError(
            "eval_params: the state holds no averaged parameters; wrap the transform: average_params(tx)"
        )
    pairs = zip(leaves, found, strict=True)
    return treedef.unflatten([_copied(p, p if average is None else average) for p, average in pairs])


def _copied(p: Any, x: Any) -> Any:
    """`x` in the dtype of `p`, in a buffer of its own: the next step may be given those of state and parameters."""
    return jnp.array(x, jnp.result_type(p)) if isinstance(x, (jax.Array, np.ndarray)) else x


def merged_averages(state: State, params: Params) -> list[Array | None]:
    """For each leaf of the parameters the average that some part of the state has, or None."""
    nodes = [node for node in jax.tree.leaves(state, is_leaf=_averages) if _averages(node)]
    columns = [
        trees.leaves_like(params, node.eval_params(params), "parameters", "averages", absent=True) for node in nodes
    ]
    merged = []
    for index, path in enumerate(trees.paths(params)):
        own = [column[index] for column in columns if column[index] is not None]
        if len(own) > 1:
            raise GradtxValueError(
                f"eval_params: {len(own)} parts of the state average {path!r}; give the state of one"
            )
        merged.append(own[0] if own else None)
    return merged


def averages_of(params: Params, stored: Any, function: Callable[[Array, Array], Array] = lambda p, x: x) -> Any:
    """`function(p, x)` for the leaves of the parameters that have an array in `stored`, and None for the others."""
    leaves, treedef = jax.tree.flatten(params)
    parts = trees.leaves_like(params, stored, "parameters", "averages", absent=True)
    return treedef.unflatten([None if x is None else function(p, x) for p, x in zip(leaves, parts, strict=True)])


def _averages(node: Any) -> bool:
    return hasattr(type(node), "eval_params")
