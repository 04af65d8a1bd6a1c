"""Stacked layers: one transform for each of them, run together."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short, wrong_state
from gradtx._base.numerics import is_traced
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import combinator
from gradtx._core.context import Context
from gradtx._core.leafwise import matching
from gradtx._core.protocol import as_transformation, transformation


@transformation(role="wrapper")
def over_layers(inner: Any, axis: int = 0):
    r"""A transform of its own for each layer of parameters that are stacked along an axis, as `lax.scan` wants them.

    .. math:: u^i = inner(g^i) \quad \text{for each layer } i

    Norms, means and factors of the inner transform are then of one layer and not of the stack. Where only some leaves
    are stacked, choose them: `partition({"stack": over_layers(a), "rest": a}, by_path({"blocks/**": "stack", "**":
    "rest"}))`.

    Extras are the same for all layers. So is the randomness of transforms that begin with a seed.

    Args:
        inner: the transform of one layer.
        axis: which axis of each leaf counts the layers; all leaves have as many of them.

    State: a dict with the state of `inner`, with the layers as a new first axis of each of its arrays. Nothing of its
    own. A tree without leaves has no layers, and no such axis.

    Raises:
        GradtxValueError: a leaf has no such axis, or another length there than the others.
    """
    inner = as_transformation(inner)
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise GradtxTypeError(f"axis must be a whole number, got {short(axis)}")

    def init(step: Context, params: Params) -> State:
        if not _layers(params, axis, "parameters"):
            return {"inner": step.init(inner, params)}
        run = jax.vmap(lambda params: step.init(inner, params), in_axes=axis)
        return {"inner": _placed(run(params), params, axis)}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, dict) or set(state) != {"inner"}:
            raise wrong_state("one with the part inner", state)
        # What `let` has given a name has layers as the updates have; extra arguments are whole.
        names = {name: matching(updates, value) for name, value in step.names.items()}

        def one(updates: Updates, state: State, params: Params, names: Any) -> tuple[Updates, State]:
            return step._replace(names=names).update(inner, updates, state, params)

        count = _layers(updates, axis, "updates")
        if count and params is not None:
            trees.leaves_like(updates, params, "updates", "parameters")
        for path, leaf in zip(trees.paths(state), jax.tree.leaves(state), strict=True):
            if count and jnp.shape(leaf)[:1] != (count[0],):
                raise wrong_state(f"one of {count[0]} layers, but {path!r} has the shape {jnp.shape(leaf)}", state)
        run = jax.vmap(one, in_axes=(axis, 0, axis, axis), out_axes=(axis, 0)) if count else one
        updates, new = run(updates, state["inner"], params, names)
        return updates, {"inner": new}

    return combinator(init, update)


def _layers(stacked: Any, axis: int, what: str) -> list[int]:
    """How many layers each leaf has: the same number for all."""
    found: list[int] = []
    named = list(zip(trees.paths(stacked), map(jnp.shape, jax.tree.leaves(stacked)), strict=True))
    for path, shape in named:
        if not -len(shape) <= axis < len(shape):
            raise GradtxValueError(
                f"the leaf {path!r} of the {what} has the shape {shape}, and no axis {axis} that counts layers; choose "
                f"the stacked leaves with `partition`"
            )
        found.append(shape[axis])
        if found[-1] != found[0]:
            raise GradtxValueError(
                f"the {what} must have as many layers each: along axis {axis}, {named[0][0]!r} has {found[0]} and "
                f"{path!r} has {found[-1]}; choose the stacked leaves with `partition`"
            )
    return found


def _placed(state: State, params: Params, axis: int) -> State:
    """The state with its memories on the devices of their parameters, which mapping over layers forgets."""
    form = jax.tree.structure(params)

    def is_memory(node: Any) -> bool:
        return jax.tree.structure(node) == form

    def place(node: Any) -> Any:
        return jax.tree.map(lambda p, m: _beside(p, m, axis), params, node) if is_memory(node) else node

    return jax.tree.map(place, state, is_leaf=is_memory)


def _beside(p: Any, memory: Array, axis: int) -> Array:
    """The memory, whose layers come first, sharded as the parameter is, whose layers are at `axis`."""
    if is_traced(p) or is_traced(memory) or not isinstance(getattr(p, "sharding", None), NamedSharding):
        return memory
    names = [*p.sharding.spec, *[None] * (p.ndim - len(p.sharding.spec))]
    sizes = list(p.shape)
    names.insert(0, names.pop(axis))
    sizes.insert(0, sizes.pop(axis))
    if memory.shape != tuple(sizes):
        return memory
    return jax.device_put(memory, NamedSharding(p.sharding.mesh, PartitionSpec(*names)))
