"""States as flat dicts of arrays by name: what checkpoints are made of, and what outlives a change of the code.

A name is made of what stands around an array in the expression: names and labels that a user gave, the arguments'
names, the factories' names, and last the path of the parameter. Neither a chain nor what a named optimizer stands for
is a level of its own, and what stores nothing has no name, so that

    adamw(1e-3)    and    chain(clip_by_global_norm(1.0), adamw(1e-3))

name the first moment of a kernel alike: `adamw/scale_by_adam/numerator/scale_by_ema/dense/kernel`.
"""

import difflib
import itertools
import re
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short, wrong_state
from gradtx._base.numerics import is_traced, strong
from gradtx._base.typing import Array, Params, State
from gradtx._core.parts import Part, parts, share, told_apart
from gradtx._core.protocol import GradientTransformation, as_transformation, unfolded, unscheduled
from gradtx._values.value import Role

Group: TypeAlias = tuple[str, list[tuple[str, int]]]
"""A label, and what stands behind it: the names from there on, and which leaf of the state each one is."""


def state_dict(tx: GradientTransformation, state: State) -> dict[str, Array]:
    """The arrays of a state by readable names that stay the same while the optimizer around them changes.

    A name is the way to the array: `opt/adamw/scale_by_adam/numerator/scale_by_ema/dense/kernel`. First names and
    labels that were given (in a named chain, in a partition), arguments (`numerator`, `inner`) and factories; then the
    field of the state, where it has fields; last the path of the parameter, as `trees.paths` writes it. A chain, and
    what a named optimizer stands for, add no level, and parts that store nothing have no name: so both may come and go.
    The second of one name in one place is `scale_by_ema[1]`. Where numbers follow schedules there is a `count` of steps
    and the number that was read last: `adamw/count`, `adamw/learning_rate`.

    Args:
        tx: the transform whose state it is.
        state: its state, also that of a Flax NNX optimizer.

    Returns:
        Array by name, in the order of the state's leaves, for `np.savez(file, **state_dict(tx, state))` or any other
        format. They are the state's own arrays and no copies: save them before a step to which the state is donated.
        Of random keys (of `jax.random.key`) it has the data, unsigned integers.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(clip_by_global_norm(1.0), sgd(schedules.linear(0.1, 0.0, 10), momentum=0.9))
        >>> print(*state_dict(tx, tx.init({"kernel": jnp.ones(2)})))
        sgd/count sgd/learning_rate sgd/add_momentum/kernel
    """
    state = trees.without_variables(state)
    pairs = zip(names(as_transformation(tx), state), jax.tree.leaves(state), strict=True)
    return {name: jax.random.key_data(x) if _is_key(x) else x for name, x in pairs}


def load_state_dict(tx: GradientTransformation, params: Params, d: Mapping[str, Any], strict: bool = True) -> State:
    """The state of a transform with the arrays of a `state_dict`, for parameters as they were when it was saved.

    Args:
        tx: the transform. It may have gained or lost parts that store nothing, and have other numbers.
        params: the parameters. Abstract ones (`jax.ShapeDtypeStruct`) will do where nothing is missing.
        d: array by name, as `state_dict` gives it: a dict, or what `np.load` returns. Arrays are copied; they take the
            dtype that the state has, within one kind (float64 becomes float32, but no integer a fraction), and are
            placed on devices as the arrays of `tx.init(params)` are.
        strict: whether every entry must be there, and no other. Without it what is missing begins as `tx.init` makes
            it, what else there is stays unused, and a `UserWarning` says which they are.

    Returns:
        The state. `load_state_dict(tx, params, state_dict(tx, state))` is `state` bit for bit.

    Raises:
        GradtxValueError: entries are missing or do not belong there, in one message; or a shape is another.
        GradtxTypeError: a dtype is of another kind.
    """
    tx = as_transformation(tx)
    abstract = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(params))
    template = jax.eval_shape(tx.init, params) if abstract else tx.init(params)
    leaves, treedef = jax.tree.flatten(template)
    named = names(tx, trees.without_variables(template))
    d = _by_present_names(d, set(named))
    missing, extra = [name for name in named if name not in d], [name for name in d if name not in set(named)]
    if missing or extra:
        complaint = _what_differs(tx, missing, extra, len(named))
        if strict or (abstract and missing):
            raise GradtxValueError(f"load_state_dict: {complaint}")
        warnings.warn(f"load_state_dict: {complaint}", UserWarning, stacklevel=2)
    pairs = zip(named, leaves, strict=True)
    return treedef.unflatten([in_place_of(old, d[n], f"load_state_dict: {n!r}") if n in d else old for n, old in pairs])


FORMER_NAMES = {
    "agreement": "sign_agreement",
    "average": "mean",
    "average_ahead": "schedule_free_averaging",
    "change": "gradient_difference",
    "distance_travelled": "max_distance_from_init",
    "model_step": "momo_step",
    "previous": "delay",
    "rectified_sqrt": "radam_denominator",
    "running_step_size": "rprop_step_size",
    "running_sum_above_zero": "nonnegative_sum",
    "scale_by_own_rms": "scale_by_update_rms",
    "start": "initial_params",
    "tangential": "remove_radial",
}
"""What factories, and fields of states, were called when a state was saved, and what they are called now."""


def _by_present_names(d: Mapping[str, Any], named: set[str]) -> dict[str, Any]:
    """The arrays by the names that they have now. Where a parameter is called as a part once was, it keeps its name."""
    found = {}
    for name in d:
        present = name
        if name not in named:
            words = [(word, FORMER_NAMES[word]) if word in FORMER_NAMES else (word,) for word in _words(name)]
            readings = map("".join, itertools.product(*words))
            present = next((reading for reading in readings if reading in named and reading not in d), name)
        found[present] = d[name]
    return found


def _words(name: str) -> list[str]:
    """The name in pieces: the words between slashes and brackets, and those."""
    return re.split(r"([/\[\]])", name)


def names(tx: GradientTransformation, state: State) -> list[str]:
    """The name of each leaf of the state, in the order of the leaves; all of them differ."""
    leaves, treedef = jax.tree.flatten(state)
    found = _joined(_standing(tx, treedef.unflatten(range(len(leaves)))))
    ordered = sorted(found, key=lambda entry: entry[1])
    return told_apart(name for name, _ in ordered)


def _standing(tx: GradientTransformation, state: State) -> list[Group]:
    """What is stored where `tx` stands: behind its name, or part by part for a chain, which has none."""
    inside = _inside(tx, state)
    return inside if tx._spec.role is Role.SERIES else [(tx.factory_name, _joined(inside))]


def _inside(tx: GradientTransformation, state: State) -> list[Group]:
    own = unscheduled(state)
    groups = [] if own is state else _by_path({"count": state.count}) + _by_path(state.values)
    if not parts(tx) and (whole := unfolded(tx)) is not None:
        return groups + _inside(whole, own)
    inner = [group for index, part in enumerate(parts(tx)) for group in _of_part(part, index, own)]
    held = {index for _, entries in inner for _, index in entries}
    mine = [(path, entries) for path, entries in _by_path(own) if entries[0][1] not in held]
    return groups + mine + [group for group in inner if group[1]]


def _of_part(part: Part, index: int, state: State) -> list[Group]:
    try:
        own = share(part, index, state)
    except (KeyError, IndexError, AttributeError, TypeError):
        raise wrong_state(f"one with the part {part.label}", state) from None
    found = _standing(as_transformation(part.transform), own)
    return [(part.label, _joined(found))] if part.is_named else found


def _by_path(state: State) -> list[Group]:
    paths = [path.removeprefix("(root)") for path in trees.paths(state)]
    return [(path, [("", index)]) for path, index in zip(paths, jax.tree.leaves(state), strict=True)]


def _joined(groups: list[Group]) -> list[tuple[str, int]]:
    """The groups as one: each name with its label before it."""
    labels = told_apart(label for label, _ in groups)
    pairs = zip(labels, groups, strict=True)
    return [("/".join(filter(None, (label, name))), index) for label, (_, names) in pairs for name, index in names]


def _what_differs(tx: GradientTransformation, missing: list[str], extra: list[str], wanted: int) -> str:
    said = [f"missing are {listing(missing)}"] if missing else []
    said += [f"no place is there for {listing(extra)}"] if extra else []
    close = difflib.get_close_matches(missing[0], extra, n=1) if missing else []
    if missing and len(missing) == wanted:
        hint = "this is the state of another optimizer, or of parameters that have other names"
    else:
        hint = "with strict=False what is missing begins anew, and the rest stays unused"
    if close:
        hint = f"is {close[0]!r} what is called {missing[0]!r} now? then rename it in the dict; {hint}"
    return f"the entries are not those of a state of {tx.factory_name}: {'; '.join(said)}; {hint}"


def in_place_of(old: Any, new: Any, who: str) -> Array:
    """A copy of `new`, which must have the shape of `old` and a dtype of its kind, in its dtype and placement."""
    if _is_key(old):
        data = in_place_of(jax.eval_shape(jax.random.key_data, old), new, who)
        return jax.random.wrap_key_data(data, impl=_impl(old))
    new = new if isinstance(new, jax.Array) else np.asarray(new)
    dtype, shape = jnp.result_type(old), jnp.shape(old)
    if new.shape != shape:
        raise GradtxValueError(f"{who} has the shape {new.shape}, and the state has {shape} there")
    if _kind(new.dtype) != _kind(dtype):
        raise GradtxTypeError(f"{who} has the dtype {new.dtype}, which cannot stand for {dtype}: got {short(new)}")
    moved = strong(new, dtype) if isinstance(new, jax.Array) else new.astype(dtype)
    if isinstance(new, np.ndarray) and np.issubdtype(dtype, np.integer) and not np.array_equal(moved, new):
        raise GradtxValueError(f"{who} does not fit into {dtype}: got {short(new)}")
    placed = not is_traced(old) and getattr(old, "committed", False)
    # Never a buffer that something else holds, for states are donated.
    return jax.device_put(moved, old.sharding if placed else None, may_alias=False)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key)


def _impl(key: Any) -> Any:
    """What kind of key it is; it may be abstract."""
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]


def _kind(dtype: Any) -> Any:
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    return next((kind for kind in kinds if jnp.issubdtype(dtype, kind)), dtype)
