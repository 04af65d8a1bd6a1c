"""Stacked layers: one transform per layer, vectorized by `vmap`."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, inner_in_dict, short, wrong_state
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.constructors import combinator, with_work
from gradtx._core.context import Context
from gradtx._core.leafwise import restricted
from gradtx._core.placing import placed
from gradtx._core.protocol import as_transformation, transformation


@transformation(role="wrapper")
def over_layers(inner: Transform, axis: int = 0):
    r"""Per-layer transform: applies `inner` to each layer of parameters stacked along an axis, as for `lax.scan`.

    .. math:: u^i = inner(g^i) \quad \text{for each layer } i

    Norms, means and factors of the inner transform are then per layer, not per stack. If only some leaves are stacked,
    select them: `partition({"stack": over_layers(a), "rest": a}, by_path({"blocks/**": "stack", "**": "rest"}))`.

    Extra arguments are the same for all layers, and so are the random numbers of transforms with a seed.

    Args:
        inner: the transform of one layer.
        axis: the layer axis of each leaf; it has the same length in all leaves.

    State: a dict with the state of `inner`, with the layers as a new first axis of each array. Nothing of its own. A
    tree without leaves has no layers, and no such axis.

    Raises:
        GradtxValueError: a leaf does not have this axis, or its length differs from that in the other leaves.
    """
    inner = as_transformation(inner)
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise GradtxTypeError(f"axis: expected a whole number, got {short(axis)}")

    def init(step: Context, params: Params) -> State:
        if not _layers(params, axis, "parameters"):
            return {"inner": step.init(inner, params)}
        run = jax.vmap(lambda params: step.init(inner, params), in_axes=axis)
        return {"inner": placed(run, params, 1, axis)}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        own = inner_in_dict(state)
        # Values named by `let` have the same layer axis as the updates; extra arguments are not mapped.
        names = {name: restricted(updates, value) for name, value in step.names.items()}

        def one(updates: Updates, state: State, params: Params, names: Any) -> tuple[Updates, State]:
            return step._replace(names=names).update(inner, updates, state, params)

        count = _layers(updates, axis, "updates")
        if count and params is not None:
            trees.leaves_like(updates, params, "updates", "parameters")
        for path, leaf in zip(trees.paths(state), jax.tree.leaves(state), strict=True):
            if count and jnp.shape(leaf)[:1] != (count[0],):
                raise wrong_state(f"one of {count[0]} layers, but {path!r} has the shape {jnp.shape(leaf)}", state)
        run = jax.vmap(one, in_axes=(axis, 0, axis, axis), out_axes=(axis, 0)) if count else one
        updates, new = run(updates, own, params, names)
        return updates, {"inner": new}

    return with_work(combinator(init, update), mixes_axes=True)


def _layers(stacked: Any, axis: int, what: str) -> list[int]:
    """The number of layers of each leaf: the same for all."""
    found: list[int] = []
    named = list(zip(trees.paths(stacked), map(jnp.shape, jax.tree.leaves(stacked)), strict=True))
    for path, shape in named:
        if not -len(shape) <= axis < len(shape):
            raise GradtxValueError(
                f"expected a layer axis {axis} in the leaf {path!r} of the {what}, got the shape {shape}; select the "
                f"stacked leaves with `partition`"
            )
        found.append(shape[axis])
        if found[-1] != found[0]:
            raise GradtxValueError(
                f"expected the same number of layers in all leaves of the {what}, got {found[0]} in {named[0][0]!r} "
                f"and {found[-1]} in {path!r} along axis {axis}; select the stacked leaves with `partition`"
            )
    return found
