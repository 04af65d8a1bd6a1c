"""States as flat dicts of arrays by name, for checkpoints that stay valid when the optimizer changes.

A name is the path of an array in the expression: names and labels given by the user, argument names, factory names, and
last the path of the parameter. Chains and the expressions of named optimizers add no level, and stateless parts have no
name. Therefore

    adamw(1e-3)    and    chain(clip_by_global_norm(1.0), adamw(1e-3))

have the same name for the first moment of a kernel: `adamw/scale_by_adam/numerator/scale_by_ema/dense/kernel`.
"""

import itertools
import re
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_key, is_traced, strong
from gradtx._base.typing import Array, Params, State
from gradtx._core.boundary import is_state
from gradtx._core.parts import Part, is_transform, parts, told_apart
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.renaming import begins, has_inside, mismatch, recoded, renamed
from gradtx._inspection.walking import shares, unfolded, unscheduled
from gradtx._values.registry import Role

Group: TypeAlias = tuple[str, list[tuple[str, int]]]
"""A label and its entries: the rest of each name, and the index of its leaf in the state."""


_ABSENT: Any = object()


@explains_calls("state_dict")
def state_dict(tx: GradientTransformation, state: State = _ABSENT) -> dict[str, Array]:
    """The arrays of a state by readable names, for checkpoints.

    A name is the path of the array: `opt/adamw/scale_by_adam/numerator/scale_by_ema/dense/kernel`. It consists of the
    names and labels given by the user (in a named chain or a partition), argument names (`numerator`, `inner`) and
    factory names; then the field of the state, if it has fields; last the path of the parameter, in the format of
    `trees.paths`. Chains and the expressions of named optimizers add no level, and stateless parts have no name, so the
    names stay the same when chains or stateless parts are added or removed. A repeated name at the same level gets an
    index: `scale_by_ema[1]`. If hyperparameters follow schedules, there is also a step count and the latest value of
    each: `adamw/count`, `adamw/learning_rate`.

    Args:
        tx: the transform of the state.
        state: the state; the state of a Flax NNX optimizer is accepted too.

    Returns:
        A dict from names to arrays, in the order of the state's leaves, for `np.savez(file, **state_dict(tx, state))`
        or any other format. The arrays are not copied: save them before a step that donates the state. Random keys
        (`jax.random.key`) are returned as their key data, unsigned integers.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(clip_by_global_norm(1.0), sgd(schedules.linear(0.1, 0.0, 10), momentum=0.9))
        >>> print(*state_dict(tx, tx.init({"kernel": jnp.ones(2)})))
        sgd/count sgd/learning_rate sgd/add_momentum/kernel
    """
    if state is _ABSENT:
        got = "the state is missing" if is_transform(tx) else "the transform is missing, from which names are taken"
        raise GradtxTypeError(f"state_dict: {got}; call state_dict(tx, state)")
    if is_transform(state):
        raise GradtxTypeError("state_dict: transform and state are swapped; call state_dict(tx, state)")
    state = trees.without_variables(state)
    pairs = zip(names(as_transformation(tx), state), jax.tree.leaves(state), strict=True)
    return {name: jax.random.key_data(x) if is_key(x) else x for name, x in pairs}


@explains_calls("load_state_dict", d="are the parameters missing? load_state_dict(tx, params, d)")
def load_state_dict(
    tx: GradientTransformation,
    params: Params,
    d: Mapping[str, Any],
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
) -> State:
    """Restores the state of a transform from a `state_dict`.

    Args:
        tx: the transform. Since the state was saved, its hyperparameters may have changed, and stateless parts may have
            been added or removed.
        params: the parameters, with the structure and shapes that they had when the state was saved. Abstract
            parameters (`jax.ShapeDtypeStruct`) are accepted if no entry is missing.
        d: a dict from names to arrays, from `state_dict` or `np.load`. Arrays are copied. They are cast to the dtypes
            of the state within one kind of dtype (float64 to float32, but not float to int), and placed on the devices
            of the arrays of `tx.init(params)`. Where only one of the two states uses `codecs.float8`, the
            entries are encoded or decoded.
        strict: whether missing and unexpected entries raise. With `strict=False`, missing entries are initialized by
            `tx.init`, unexpected entries are ignored, and a `UserWarning` lists both.
        rename: from the beginning of a name in `d` to what stands there now; of several keys that fit the longest
            applies. `{"": "average_params/inner"}` after the optimizer was wrapped in `average_params`,
            `{"adam": "opt/adam"}` after it got a name. Where no name begins with a key, it applies between slashes:
            `{"dense": "linear"}` after a module got another name.

    Returns:
        The state. `load_state_dict(tx, params, state_dict(tx, state))` equals `state` bit for bit.

    Raises:
        GradtxValueError: entries are missing or unexpected (one message lists all), or a shape differs.
        GradtxTypeError: a dtype is of another kind.

    Example:
        >>> import jax.numpy as jnp
        >>> tx, params = sgd(0.1, momentum=0.9), {"w": jnp.zeros(2)}
        >>> saved = state_dict(tx, tx.init(params))  # for np.savez(file, **saved)
        >>> state = load_state_dict(chain(clip_by_global_norm(1.0), tx), params, saved)
        >>> named = chain(("clip", clip_by_global_norm(1.0)), ("opt", tx))
        >>> state = load_state_dict(named, params, saved, rename={"sgd": "opt/sgd"})
        >>> print(*saved, *state_dict(named, state))
        sgd/add_momentum/w opt/sgd/add_momentum/w
    """
    tx = as_transformation(tx)
    if not isinstance(d, Mapping):
        raise GradtxTypeError(
            f"load_state_dict: expected a dict from names to arrays, as state_dict(tx, state) makes it, got {short(d)}"
        )
    if is_state(params):
        raise GradtxTypeError(
            "load_state_dict: expected the parameters as the second argument, got a state; call "
            "load_state_dict(tx, params, d)"
        )
    if set(d) == {"arr_0"}:
        raise GradtxValueError(
            "load_state_dict: the file has one entry, 'arr_0': it was saved without names; save it by "
            "np.savez(file, **state_dict(tx, state)). What it has is np.load(file, allow_pickle=True)['arr_0'].item()"
        )
    for key in rename or {}:
        if not any(begins(name, key) or has_inside(name, key) for name in d):
            raise GradtxValueError(
                f"load_state_dict: rename: no entry begins with {key!r}, and none has it between slashes; entries are "
                f"{listing(d)}"
            )
    abstract = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(params))
    template = jax.eval_shape(tx.init, params) if abstract else tx.init(params)
    leaves, treedef = jax.tree.flatten(template)
    plain = trees.without_variables(template)
    named = names(tx, plain)
    d = recoded(_by_present_names(renamed(d, rename or {}), named, names(tx, plain, is_escaped=False)), named)
    missing, extra = [name for name in named if name not in d], [name for name in d if name not in set(named)]
    if missing or extra:
        if _are_swapped(tx, params, d):
            raise GradtxValueError("load_state_dict: params and d are swapped; call load_state_dict(tx, params, d)")
        if _is_state(tx, params, d):
            raise GradtxValueError(
                "load_state_dict: expected the parameters as the second argument, got a state; call "
                "load_state_dict(tx, params, d)"
            )
        complaint = mismatch(tx.factory_name, missing, extra, len(named))
        if strict or (abstract and missing):
            raise GradtxValueError(f"load_state_dict: {complaint}")
        warnings.warn(f"load_state_dict: {complaint}", UserWarning, stacklevel=3)
    pairs = zip(named, leaves, strict=True)
    pairs = list(pairs)
    _check_shapes([(n, jnp.shape(old), jnp.shape(d[n])) for n, old in pairs if n in d and not is_key(old)])
    return treedef.unflatten([in_place_of(old, d[n], f"load_state_dict: {n!r}") if n in d else old for n, old in pairs])


def _check_shapes(rows: list[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> None:
    """Raises if entries have other shapes than the state; all of them are named."""
    wrong = [f"{name}: expected the shape {wanted}, got {got}" for name, wanted, got in rows if wanted != got]
    if wrong:
        more = [f"... ({len(wrong) - 8} more)"] if len(wrong) > 8 else []
        lines = "\n    ".join(["load_state_dict: these entries have other shapes:", *wrong[:8], *more])
        raise GradtxValueError(
            f"{lines}\n  were they saved for parameters of other sizes? without these entries, and with strict=False, "
            f"the rest is restored"
        )


def _are_swapped(tx: GradientTransformation, params: Any, d: Any) -> bool:
    try:
        return set(params) == set(names(tx, jax.eval_shape(tx.init, d)))
    except Exception:  # d are not parameters
        return False


def _is_state(tx: GradientTransformation, params: Any, d: Any) -> bool:
    try:
        return set(names(tx, params)) == set(d)
    except Exception:
        return False


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
"""Renamed factories and state fields: the former name in saved states, and the present name."""

FORMER_PAIRS = {
    ("before", "last"): lambda pair: (pair[0], -pair[1]),  # a sum and its rounding error
    ("steps", "total"): tuple,
}
"""Fields that were one array of two numbers in saved states, and how they follow from it."""


def _by_present_names(d: Mapping[str, Any], named: list[str], unescaped: list[str]) -> dict[str, Any]:
    """The arrays by their present names. A name that the state still has, such as a parameter's, is not translated."""
    known: set[str] = {*named, *unescaped}
    found: dict[str, Any] = {}
    for name, array in d.items():
        found |= {name: array} if name in known else _translated(name, array, d, known)
    present: dict[str, str] = dict(zip(unescaped, named, strict=True))
    if found.keys() <= set(named) or not any(name in present and name not in named for name in found):
        return found
    return {present.get(name, name): array for name, array in found.items()}  # saved before slashes were escaped


def _translated(name: str, array: Any, d: Mapping[str, Any], named: set[str]) -> dict[str, Any]:
    words = [(word, FORMER_NAMES[word]) if word in FORMER_NAMES else (word,) for word in _words(name)]
    for reading in map("".join, itertools.product(*words)):
        if reading in named and reading not in d:
            return {reading: array}
        for fields, split in FORMER_PAIRS.items():
            parts = [f"{reading}/{field}" for field in fields]
            if named.issuperset(parts) and np.shape(array) == (2,):
                return dict(zip(parts, split(np.asarray(array)), strict=True))
    return {name: array}


def _words(name: str) -> list[str]:
    """Splits a name into words and separators (slashes and brackets)."""
    return re.split(r"([/\[\]])", name)


def names(tx: GradientTransformation, state: State, is_escaped: bool = True) -> list[str]:
    """The unique name of each leaf of the state, in the order of the leaves.

    Slashes in the user's names and the keys of parameters are escaped, so that `a/b` is not taken for b in a.
    """
    leaves, treedef = jax.tree.flatten(state)
    found = _joined(_standing(tx, treedef.unflatten(range(len(leaves)))))
    ordered = sorted(found, key=lambda entry: entry[1])
    if not is_escaped:
        return told_apart(name.replace("%2F", "/").replace("%25", "%") for name, _ in ordered)
    return told_apart(name for name, _ in ordered)


def _standing(tx: GradientTransformation, state: State) -> list[Group]:
    """The groups of `tx`: one under its factory name, or those of its parts for a chain, which adds no level."""
    inside = _inside(tx, state)
    return inside if tx._spec.role is Role.SERIES else [(tx.factory_name, _joined(inside))]


def _inside(tx: GradientTransformation, state: State) -> list[Group]:
    own = unscheduled(state)
    groups = [] if own is state else _by_path({"count": state.count}) + _by_path(state.values)
    if not parts(tx) and (whole := unfolded(tx)) is not None:
        return groups + _inside(whole, own)
    inner = [group for share in shares(tx, own) for group in _of_part(*share)]
    held = {index for _, entries in inner for _, index in entries}
    mine = [(path, entries) for path, entries in _by_path(own) if entries[0][1] not in held]
    return groups + mine + [group for group in inner if group[1]]


def _of_part(tx: GradientTransformation, part: Part, state: State) -> list[Group]:
    found = _standing(tx, state)
    return [(trees.escaped(part.label), _joined(found))] if part.is_named else found


def _by_path(state: State) -> list[Group]:
    paths = trees.paths(state, trees.escaped_path_text)
    return [(path, [("", index)]) for path, index in zip(paths, jax.tree.leaves(state), strict=True)]


def _joined(groups: list[Group]) -> list[tuple[str, int]]:
    """The groups as one list of entries; each name begins with the label of its group."""
    labels = told_apart(label for label, _ in groups)
    pairs = zip(labels, groups, strict=True)
    return [("/".join(filter(None, (label, name))), index) for label, (_, names) in pairs for name, index in names]


def in_place_of(old: Any, new: Any, who: str) -> Array:
    """A copy of `new` with the dtype and placement of `old`; raises if the shape or the kind of dtype differs."""
    if is_key(old):
        data = in_place_of(jax.eval_shape(jax.random.key_data, old), new, who)
        return jax.random.wrap_key_data(data, impl=_impl(old))
    dtype, shape = jnp.result_type(old), jnp.shape(old)
    new = new if isinstance(new, jax.Array) else _with_dtype(np.asarray(new), dtype)
    if new.shape != shape:
        raise GradtxValueError(
            f"{who}: expected the shape {shape}, got {new.shape}; "
            f"without this entry it begins anew, which load_state_dict allows with strict=False"
        )
    if _kind(new.dtype) != _kind(dtype):
        raise GradtxTypeError(f"{who}: cannot cast {new.dtype} to {dtype}, a dtype of another kind; got {short(new)}")
    moved = strong(new, dtype) if isinstance(new, jax.Array) else new.astype(dtype)
    if isinstance(new, np.ndarray) and np.issubdtype(dtype, np.integer) and not np.array_equal(moved, new):
        raise GradtxValueError(f"{who}: expected values in the range of {dtype}, got {short(new)}")
    placed = not is_traced(old) and getattr(old, "committed", False)
    # Always a new buffer: states are donated, and a shared buffer would be deleted for its other owner too.
    return jax.device_put(moved, old.sharding if placed else None, may_alias=False)


def _with_dtype(x: np.ndarray, dtype: Any) -> np.ndarray:
    """`x`; if it comes from a file in which NumPy wrote mere bytes for a dtype it does not know, as that dtype."""
    if x.dtype.type is not np.void or x.dtype.fields:
        return x
    if x.dtype.itemsize == 2:
        return x.view(jnp.bfloat16)
    return x.view(dtype) if x.dtype.itemsize == dtype.itemsize else x


def _impl(key: Any) -> Any:
    """The PRNG implementation of a key; the key may be abstract."""
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]


def _kind(dtype: Any) -> Any:
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    return next((kind for kind in kinds if jnp.issubdtype(dtype, kind)), dtype)
