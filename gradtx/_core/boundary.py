"""The outermost call of `init` and `update`: what comes in fits together, and what goes out is the caller's own.

Inside, updates have at least 32 bits and states may share arrays with anything. Here, once for all transforms,

    parameters must have the structure of the updates                  `admitted`
    updates go out in the dtypes of the parameters, rounded once       `rounded`
    no array of a state is anybody else's, so that it may be donated   `unshared`
    within `shard_map` a state varies over the same axes at each step   `varying_like`
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_float0, is_inexact, strong
from gradtx._base.states import STATES
from gradtx._base.typing import Params, State, Updates
from gradtx._base.varying import all_axes, varied
from gradtx._values.value import is_plain, is_value


def as_arrays(tree: Any) -> Any:
    """The tree with its Python and NumPy numbers as arrays of JAX."""
    leaves, treedef = jax.tree.flatten(tree)
    found = []
    for x in leaves:
        try:
            found.append(jnp.asarray(x) if isinstance(x, _NUMBERS) and not is_float0(x) else x)
        except TypeError:  # a dtype that JAX does not have
            raise GradtxTypeError(
                f"the leaf {trees.paths(tree)[len(found)]!r} is a NumPy array of the dtype {np.asarray(x).dtype}, not "
                f"of numbers; arrays of several shapes are leaves of their own, as in a list; one is converted by "
                f"np.asarray(x, float)"
            ) from None
    return tree if all(map(operator.is_, found, leaves)) else treedef.unflatten(found)


_NUMBERS = (bool, int, float, complex, np.ndarray, np.generic)


def check_params(params: Params) -> None:
    """Raises if what is given in place of parameters is a transform or a state."""
    if is_value(params) and is_plain(params):
        raise GradtxTypeError(f"expected the parameters, got {short(params)}; call tx.init(params)")
    if is_state(params):
        raise GradtxTypeError("expected the parameters, got a state; call tx.init(params)")
    if _is_network(params):
        raise GradtxTypeError(
            f"expected the parameters, got a network, {type(params).__name__}; its parameters are net.init(key, x), of "
            f"a Flax module net.init(key, x)['params']"
        )


def _is_network(x: Any) -> bool:
    """Whether it is a pair of functions, as Haiku makes them, or a module of Flax: its parameters are elsewhere."""
    is_pair = callable(getattr(x, "init", None)) and callable(getattr(x, "apply", None))
    return is_pair and not any(
        isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct, *_NUMBERS)) for leaf in jax.tree.leaves(x)
    )


def is_state(tree: Any) -> bool:
    """Whether it is a state, as far as can be seen: only tuples at first, with a part in them that only states have."""
    if type(tree) in STATES:
        return True
    if type(tree) is not tuple or not any(type(node) in STATES for node in trees.nodes(tree)):
        return False
    return all(isinstance(x, tuple) for x in tree)


def admitted(updates: Updates, params: Params) -> tuple[Updates, Params]:
    """Updates and parameters as trees of arrays, the parameters without the leaves for which there is no update.

    Where the updates have None, the parameters may have anything: the gradients of an Equinox module have None for what
    cannot be trained.
    """
    updates = as_arrays(updates)
    if params is None:
        return updates, None
    parts = trees.leaves_like(updates, params, "updates", "parameters", shapes=False)
    for index, (g, p) in enumerate(zip(jax.tree.leaves(updates), parts, strict=True)):
        if jnp.iscomplexobj(g) and not jnp.iscomplexobj(p):
            raise GradtxTypeError(
                f"the leaf {trees.paths(updates)[index]!r} of the updates is complex, and its parameter is real; take "
                f"the real part, or make the parameter complex"
            )
    if jax.tree.structure(params) == (treedef := jax.tree.structure(updates)):
        return updates, as_arrays(params)
    return updates, as_arrays(treedef.unflatten(parts))


def rounded(out: Updates, like: Any) -> Updates:
    """The updates in the dtypes of another tree: a program that adds them by `p + u` keeps those of the parameters."""
    leaves, treedef = jax.tree.flatten(out)
    wanted = jax.tree.leaves(like)
    if len(wanted) != len(leaves):
        return out
    found = [u if getattr(u, "dtype", None) == p.dtype else _rounded(u, p) for u, p in zip(leaves, wanted, strict=True)]
    return out if all(map(operator.is_, found, leaves)) else treedef.unflatten(found)


def check_structure(new: State, old: State, updates: Updates) -> None:
    """Raises if a state would lose, or gain, a leaf: no loop could go on with it."""
    if jax.tree.structure(new) == jax.tree.structure(old):
        return
    what = trees.difference(new, old, "new state", "old state")
    absent = trees.absent_paths(updates)
    hint = (
        f"; the updates have None at {listing(absent)}: give zeros there"
        if absent
        else "; where the state was made by another transform, or stored by another codec: "
        "gradtx.load_state_dict(tx, params, gradtx.state_dict(other, state))"
    )
    raise GradtxValueError(f"the state would change its structure: {what}{hint}")


def check_shapes(out: Updates, params: Params) -> None:
    """Raises if updates that go out do not have the shapes of the parameters: `p + u` would take them in silence."""
    parts = trees.subtrees_like(params, out, "parameters", "updates")
    for index, (u, p) in enumerate(zip(parts, jax.tree.leaves(params), strict=True)):
        if u is not None and jnp.shape(u) not in ((), jnp.shape(p)):
            raise GradtxValueError(
                f"the shapes of the updates and the parameters differ at {trees.paths(params)[index]!r}: "
                f"{jnp.shape(u)} and {jnp.shape(p)}; were the gradients taken with respect to these parameters?"
            )


def _rounded(u: Any, p: Any) -> Any:
    u = jnp.asarray(u) if isinstance(u, (int, float, complex)) else u
    if not (is_inexact(u) and is_inexact(p)):
        return u
    if jnp.iscomplexobj(u) and not jnp.iscomplexobj(p):
        return u  # `apply_updates` says what is wrong
    return strong(u, p.dtype)


def varying_like(state: State, like: Any) -> State:
    """The state, each array of which varies over the mesh axes of all arrays of `like`."""
    axes = all_axes(like)
    return jax.tree.map(lambda x: varied(x, axes), state) if axes else state


def unshared(state: State, *others: Any) -> State:
    """The state, with a copy of each array that is also among the others, or twice in it."""
    seen = set(map(id, jax.tree.leaves(others)))
    leaves, treedef = jax.tree.flatten(state)
    shared = False
    for index, x in enumerate(leaves):
        if id(x) in seen and isinstance(x, jax.Array):  # Python shares its small numbers
            leaves[index], shared = jnp.copy(x), True
        seen.add(id(x))
    return treedef.unflatten(leaves) if shared else state
