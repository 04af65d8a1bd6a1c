"""Transforms one after the other, or on all parameters as one vector."""

from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxValueError, listing
from gradtx._base.typing import Array, Params, State, Updates
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import with_extra_args_support


def chain(*args: Any) -> Pair:
    """One transform after the other; the state is a tuple. See `gradtx.chain`, which checks that they fit together."""
    named = _chained([(index, tx) for index, tx in enumerate(args)])

    def init(params: Params) -> State:
        return tuple(named.init(params).values())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if len(state) != len(args):
            raise GradtxValueError(
                f"expected a state of {len(args)} parts, got {len(state)}; make it with init of this chain"
            )
        updates, new = named.update(updates, dict(enumerate(state)), params, **extra)
        return updates, tuple(new.values())

    return Pair(init, update)


def named_chain(*args: tuple[str, Any]) -> Pair:
    """One transform after the other, given as pairs `(name, transform)`; the state is a dict."""
    names = [name for name, _ in args]
    if len(set(names)) < len(names):
        raise GradtxValueError(f"expected names that are all different, got {listing(names)}")
    return _chained(list(args))


def _chained(pairs: list[tuple[Any, Any]]) -> Pair:
    transforms = {name: with_extra_args_support(tx) for name, tx in pairs}

    def init(params: Params) -> State:
        return OrderedDict((name, tx.init(params)) for name, tx in transforms.items())

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        new = OrderedDict()
        for name, tx in transforms.items():
            updates, new[name] = tx.update(updates, state[name], params, **extra)
        return updates, new

    return Pair(init, update)


def flatten(inner: Any) -> Pair:
    """Applies a transform to all parameters as one vector; `gradtx.bucketed` keeps their paths and dtypes."""
    inner = with_extra_args_support(inner)

    def vector(tree: Any) -> Array:
        return jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(tree)])

    def init(params: Params) -> State:
        return inner.init(vector(params))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        flat = None if params is None else vector(params)
        out, new = inner.update(vector(updates), state, flat, **extra)
        leaves, treedef = jax.tree.flatten(updates)
        ends = np.cumsum([np.size(x) for x in leaves])[:-1]
        pieces = [jnp.reshape(piece, x.shape) for piece, x in zip(jnp.split(out, ends), leaves, strict=True)]
        return treedef.unflatten(pieces), new

    return Pair(init, update)
