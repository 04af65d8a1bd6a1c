"""The hyperparameters of a transform by name."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from gradtx._base.errors import GradtxValueError, listing, short
from gradtx._base.typing import Number
from gradtx._core.parts import is_transform, told_apart, transforms_in
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._values.schedule import Schedule
from gradtx._values.value import Value, is_value


class Hyperparam(NamedTuple):
    """A hyperparameter of a transform.

    Attributes:
        path: the labels of the parts around it, those without a name as `Unnamed`, the argument's name, and the keys
            within the argument.
        value: a Python number, an array, or a schedule.
        range: which values are allowed.
    """

    path: tuple[str, ...]
    value: Any
    range: Number


class Unnamed(str):
    """A word of a path that is not a name, and may change with other parts: a factory, or a place in a sequence."""

    __slots__ = ()


def shortest(paths: list[tuple[str, ...]]) -> list[str]:
    """The end of each path that no other path ends in: of its names where they are enough, else of all its words."""
    named = [tuple(word for word in path if not isinstance(word, Unnamed)) for path in paths]
    rows = zip(named, paths, strict=True)
    return told_apart(_unique_end(short, named) or _unique_end(path, paths) or "/".join(path) for short, path in rows)


def _unique_end(path: tuple[str, ...], paths: list[tuple[str, ...]]) -> str | None:
    wholes = ["/" + "/".join(other) for other in paths]
    ends = ["/".join(path[start:]) for start in reversed(range(len(path)))]
    return next((end for end in ends if sum(whole.endswith("/" + end) for whole in wholes) == 1), None)


def places(value: Value, path: tuple[str, ...] = (), schedules: bool = True) -> Iterator[Hyperparam]:
    """The hyperparameters of `value`, and behind each schedule those of the schedule.

    Without the schedules themselves, they are in the order of the leaves.
    """
    own = iter(transforms_in(value) if isinstance(value, GradientTransformation) else ())
    for name, argument in value._arguments.items():
        leaves = jax.tree_util.tree_leaves_with_path(argument, is_leaf=lambda x: is_value(x) or is_transform(x))
        for keys, leaf in leaves:
            # One word for an element of a sequence: an index alone names nothing.
            here = (*path, "/".join([name, *(jax.tree_util.keystr((key,), simple=True) for key in keys)]))
            if is_transform(leaf):
                part = next(own)
                label = part.label if part.is_named else Unnamed(part.label)
                yield from places(as_transformation(part.transform), (*path, label), schedules)
            elif name in value._spec.numbers:
                yield Hyperparam(here, leaf, value._spec.numbers[name])
            if schedules and isinstance(leaf, Schedule):
                yield from places(leaf, here)


def with_numbers(tx: GradientTransformation, changes: Mapping[str, Any]) -> GradientTransformation:
    """`tx` with other values for the named hyperparameters; they are not checked, because they may be traced."""
    leaves, treedef = jax.tree.flatten(tx)
    for name, number in changes.items():
        leaves[number_at(tx, name)[0]] = number
    return treedef.unflatten(leaves)


def number_at(tx: GradientTransformation, name: str) -> tuple[int, Hyperparam]:
    """Which leaf of `tx` the hyperparameter with this name is.

    Args:
        tx: any transform.
        name: the end of its path, long enough to be unique; or the whole path. The hyperparameters of
            a schedule are behind the argument that follows it: `learning_rate/init_value`.

    Raises:
        GradtxValueError: no hyperparameter has the name, several have it, or it follows a schedule.
    """
    everything = list(places(tx))
    found = [place for place in everything if not isinstance(place.value, Schedule)]
    known = dict(zip(shortest([place.path for place in found]), found, strict=True))
    if name in known:
        return found.index(known[name]), known[name]
    ends = [place for place in everything if ("/" + "/".join(place.path)).endswith("/" + name)]
    ends = [place for place in ends if "/".join(place.path) == name] or ends
    if not ends:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        names = listing(known) or "none"
        raise GradtxValueError(f"{tx._spec.name} has no hyperparameter {name!r}{hint}; known names: {names}")
    if len(ends) > 1:
        several = listing("/".join(place.path) for place in ends)
        raise GradtxValueError(
            f"{tx._spec.name} has several hyperparameters {name!r}: {several}; give more of the path"
        )
    place = ends[0]
    if isinstance(place.value, Schedule):
        behind = [key for key, other in known.items() if other.path[: len(place.path)] == place.path]
        hint = f"the schedule has {listing(behind)}" if behind else "give a constant in its place"
        raise GradtxValueError(f"{name!r} follows the schedule {short(place.value)}; {hint}")
    return found.index(place), place
