"""What somebody gave in place of a state, or of arrays with values, in words, and what to do about it."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import (
    RESTORE,
    GradtxError,
    GradtxTypeError,
    GradtxValueError,
    is_of_plain_containers,
    listing,
    short,
)
from gradtx._base.numerics import is_traced
from gradtx._base.typing import Params, State, Updates
from gradtx._values.registry import REGISTRY
from gradtx._values.value import Value


def explained(error: Exception, tx: Any, updates: Updates, state: State, params: Params) -> Exception:
    """The error, or a better one if the cause is that `state` is not a state of `tx`."""
    if (better := _of_shapes(tx, updates, state)) is not None:
        return better
    if isinstance(error, GradtxError) and not error.is_about_state:
        return error
    try:
        if _are_swapped(tx, updates, state, params):
            return GradtxValueError("updates and state are swapped; the order is tx.update(updates, state, params)")
        wanted = jax.eval_shape(tx.init, updates)
        if jax.tree.structure(wanted) == jax.tree.structure(state):
            return error
        words = _in_words(wanted, updates, state, params)
    except Exception:  # not even a tree that `init` accepts
        return error
    fits = params is not None and jax.tree.structure(params) == jax.tree.structure(updates)
    if words is None and fits and _is_of_others(tx, state) and isinstance(error, GradtxError):
        more = "the state was made for other parameters; make one by tx.init(params), or take over what both have: "
        if more not in error.complaint:  # of a transform of gradtx in a bare pair it has been said
            error.complaint += f"; {more}gradtx.load_state_dict(tx, params, gradtx.state_dict(tx, state), strict=False)"
    if words is None:
        return error
    name = tx.factory_name if isinstance(tx, Value) else "the transform"
    better = GradtxValueError(f"expected the state of {name} as the second argument, got {words}")
    better.stages = error.stages if isinstance(error, GradtxError) else ()
    return better


def _of_shapes(tx: Any, updates: Updates, state: State) -> GradtxValueError | None:
    """The error, if every number of the state has an axis more than it should have: it was made by `vmap`."""
    try:
        wanted = jax.eval_shape(tx.init, updates)
        if jax.tree.structure(wanted) != jax.tree.structure(state):
            return None
        pairs = list(zip(*map(jax.tree.leaves, (wanted, state)), strict=True))
        more = {jnp.shape(x)[:1] for old, x in pairs if old.shape == () != jnp.shape(x)}
    except Exception:  # not even a tree that `init` accepts
        return None
    if len(more) != 1 or any(jnp.shape(x) not in (old.shape, *(m + old.shape for m in more)) for old, x in pairs):
        return None
    return GradtxValueError(
        f"the single numbers of the state have an axis of the length {more.pop()[0]}: it was made by "
        f"jax.vmap(tx.init), and is updated in the same way, by jax.vmap(tx.update)(updates, state, params)"
    )


def _is_of_others(tx: Any, state: State) -> bool:
    """Whether the state has the classes of one of `tx`, so that only the parameters can have been others."""

    def form(tree: Any) -> list[type]:
        return [type(node) for node in trees.nodes(tree) if isinstance(node, tuple) and hasattr(node, "_fields")]

    return form(jax.eval_shape(tx.init, jnp.zeros(()))) == form(state)


def of_arrays(error: Exception, **trees_by_name: Any) -> Exception:
    """The error, or a better one if the cause is an array without values: a shape, or memory that was given away."""
    if isinstance(error, GradtxError):
        return error
    if any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(trees_by_name)):
        return GradtxTypeError(
            "some arrays have shapes only, and no values; for the shapes of the state: jax.eval_shape(tx.init, params)"
        )
    for path, x in jax.tree_util.tree_leaves_with_path(trees_by_name):
        if isinstance(x, jax.Array) and not is_traced(x) and x.is_deleted():
            return GradtxValueError(
                f"the memory of {trees.path_text(path)} was given to the results of an earlier step; go on with what "
                f"that step returned, or make it with donate=False"
            )
    return error


def _are_swapped(tx: Any, updates: Updates, state: State, params: Params) -> bool:
    """Whether the updates are a state, and the state is a tree shaped like the parameters."""
    form = jax.tree.structure
    if params is None or form(state) != form(params) or form(updates) == form(params):
        return False
    return form(updates) == form(jax.eval_shape(tx.init, params))


def _in_words(wanted: State, updates: Updates, state: State, params: Params) -> str | None:
    """What the state is, and what to do; None if the error that was raised says more."""
    form, like = jax.tree.structure(wanted), jax.tree.structure(updates)
    got = jax.tree.structure(state)
    swapped = got == like and params is not None and jax.tree.structure(params) == form
    if params is not None and jax.tree.structure(params) != like and not swapped:
        return None
    if state is None:
        return "None; create it with state = tx.init(params)"
    if isinstance(state, Value):
        return f"the transform {short(state)}; create its state with state = tx.init(params)"
    if callable(state) and got == jax.tree.structure(0):
        what = "the method `init`, which was not called" if getattr(state, "__name__", "") == "init" else short(state)
        return f"{what}; create the state with state = tx.init(params)"
    pair: Any = state
    if type(pair) is tuple and len(pair) == 2 and jax.tree.structure(pair[1]) == form:
        return "updates and a state, as tx.update returns them; unpack them: updates, state = tx.update(...)"
    if got == jax.tree.structure(0) != like:
        return "one array; create it with state = tx.init(params)"
    if got == like:
        hint = "; parameters and state are swapped" if swapped else ""
        return f"a tree shaped like the parameters{hint}; the order is tx.update(updates, state, params)"
    optax = sorted({type(node).__name__ for node in trees.nodes(state) if type(node).__module__.startswith("optax")})
    if optax:
        return f"Optax's {listing(optax)}; convert it: gradtx.interop.optax.from_state(state, tx, params)"
    if isinstance(state, Mapping) and state and all(isinstance(key, str) and "/" in key for key in state):
        return "a dict of arrays by name; restore it: gradtx.load_state_dict(tx, params, state)"
    fields: Any = getattr(wanted, "_fields", None)
    is_plain = is_of_plain_containers(state) or (isinstance(state, Mapping) and set(fields or ()) == set(state))
    if is_plain and type(wanted) is not type(state):
        return f"a {type(state).__name__}; {RESTORE}"
    if not got.num_leaves and wanted:
        return "a state without arrays, as that of sgd; create it with state = tx.init(params)"
    names = list(_optimizers_with(state, updates))
    if names:
        return (
            f"a state like that of {listing(names[:3])}; create it with tx.init(params), or take what both have: "
            f"gradtx.load_state_dict(tx, params, gradtx.state_dict(other, state), strict=False)"
        )
    return None


def _optimizers_with(state: State, like: Updates) -> Iterator[str]:
    """The named optimizers, with their defaults, whose states have the structure of this one."""
    like, state = _of_few_leaves(like, state)
    form = jax.tree.structure(state)
    for name, spec in sorted(REGISTRY.items(), key=lambda item: (not item[1].required, len(item[0]), item[0])):
        if spec.role is None and spec.required <= {"learning_rate"} and hasattr(spec.kind, "init"):
            for more in ({}, {"momentum": 0.9}) if spec.defaults.get("momentum", 0) is None else ({},):
                try:
                    tried = jax.eval_shape(spec.factory(*[0.1] * len(spec.required), **more).init, like)
                except Exception:
                    continue
                if jax.tree.structure(tried) == form:
                    yield f"{name} with momentum" if more else name


def _of_few_leaves(like: Updates, state: State) -> tuple[Updates, State]:
    """The updates, and each tree in the state like them, with None in place of all leaves but the first of its kind.

    All optimizers are tried, which would take seconds with hundreds of leaves. Of one kind are leaves with the same
    number of axes that are absent from the same trees of the state, as those of one group of a partition are.
    """
    leaves, whole = jax.tree.flatten(like, is_leaf=_is_none)

    def is_like(node: Any) -> bool:
        return jax.tree.structure(node, is_leaf=_is_none) == whole

    def parts_of(node: Any) -> list[Any]:
        return jax.tree.leaves(node, is_leaf=_is_none)

    columns = [list(map(_is_none, parts_of(node))) for node in jax.tree.leaves(state, is_leaf=is_like) if is_like(node)]
    counts = [None if x is None else jnp.ndim(x) for x in leaves]
    kinds = list(zip(counts, *columns, strict=True))
    kept = {kinds.index(kind) for kind in kinds}

    def thinned(node: Any) -> Any:
        return whole.unflatten([x if index in kept else None for index, x in enumerate(parts_of(node))])

    return thinned(like), jax.tree.map(lambda x: thinned(x) if is_like(x) else x, state, is_leaf=is_like)


def _is_none(x: Any) -> bool:
    return x is None
