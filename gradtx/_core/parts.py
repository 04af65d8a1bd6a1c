"""Walking over the parts of a transform: their names, their numbers, and their shares of the state."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from gradtx._base.errors import GradtxValueError, listing, short
from gradtx._base.typing import Number, State
from gradtx._core.protocol import _PAIR, GradientTransformation, Scheduled, _at, _read, as_transformation
from gradtx._values.schedule import Schedule, scheduled_names
from gradtx._values.value import Value, is_value


class Part(NamedTuple):
    """A transform inside another.

    Attributes:
        label: its name in a chain or label in a partition; the argument's name where it is the argument; or else its
            factory's name, `scale[1]` for the second of one name.
        argument: the argument of the outer transform that holds it.
        key: its name or label there, or None where it has none.
        transform: the transform.
    """

    label: str
    argument: str
    key: Any
    transform: GradientTransformation

    @property
    def is_named(self) -> bool:
        """Whether the label is a name of its own, and not only that of the factory."""
        return self.key is not None or self.label == self.argument


def opened(tx: GradientTransformation) -> GradientTransformation | None:
    """The transform that the factory of `tx` returned, with the numbers of the first step; None for a bare pair.

    Its state is the state of `tx` itself, without the step count of its schedules.
    """
    if tx._spec is _PAIR:
        return None
    built = _at(tx, _read(tx, 0)) if scheduled_names(tx) else tx._built()
    return None if built._spec is _PAIR else built


def written_out(tx: GradientTransformation) -> GradientTransformation | None:
    """What `tx` stands for, where that shows more than its parts do; None for what is no expression.

    The combinators of gradtx keep the convention of `share`, so their parts say it all. Other factories may do anything
    with the transforms among their arguments, but if they return an expression, its parts are those of the state.
    """
    keeps_the_convention = tx._spec.body.__module__.startswith("gradtx._combinators.")
    return None if keeps_the_convention and parts(tx) else tx.expression


def parts(tx: GradientTransformation) -> list[Part]:
    """The transforms among the arguments of `tx`, in the order of its leaves; for a bare pair, none."""
    found = []
    for argument, value in tx.arguments.items():
        for keys, leaf in jax.tree_util.tree_leaves_with_path(value, is_leaf=is_transform):
            if is_transform(leaf):
                part = as_transformation(leaf)
                key = _key(value, keys)
                label = str(key) if key is not None else part.name if keys else argument
                found.append(Part(label, argument, key, part))
    return _distinct(found)


def _key(argument: Any, keys: tuple) -> Any:
    """What a combinator calls the part at `keys` of its argument: a name, a label, or None."""
    if not keys:
        return None
    if isinstance(keys[0], jax.tree_util.DictKey):
        return keys[0].key
    return argument[keys[0].idx][0] if len(keys) == 2 else None  # a (name, transform) pair


def is_transform(x: Any) -> bool:
    return isinstance(x, GradientTransformation) or (hasattr(x, "init") and hasattr(x, "update"))


def holds_transforms(argument: Any) -> bool:
    return any(map(is_transform, jax.tree.leaves(argument, is_leaf=is_transform)))


def share(part: Part, index: int, state: State) -> State:
    """The state of the `index`-th part within the state of the transform around it.

    The convention that every combinator keeps: the state of the transform around is a tuple in the order of the parts,
    or a dict by their keys, or has a field named as the argument.
    """
    if isinstance(state, dict):
        return state[part.argument if part.key is None else part.key]
    if hasattr(state, part.argument):
        return getattr(state, part.argument)
    return state[index]


def unscheduled(state: State) -> State:
    """The state of the transform itself, without the step count of its schedules."""
    return state.inner if isinstance(state, Scheduled) else state


class Place(NamedTuple):
    """Where a transform has a number.

    Attributes:
        path: the labels of the parts around it, the argument's name, and the keys within the argument.
        number: what is there: a Python number, an array, or a schedule.
        range: which numbers are allowed there.
    """

    path: tuple[str, ...]
    number: Any
    range: Number


def numbers(tx: GradientTransformation) -> dict[str, Any]:
    """Every number of `tx` that follows no schedule, by the shortest path that tells it from the others.

    In the order in which they are leaves. A path is `learning_rate`, or `fast/learning_rate` where several have one.
    """
    found = [place for place in places(tx, schedules=False) if not isinstance(place.number, Schedule)]
    names = shortest([place.path for place in found])
    return {name: place.number for name, place in zip(names, found, strict=True)}


def shortest(paths: list[tuple[str, ...]]) -> list[str]:
    """The end of each path that no other path ends in, or all of it."""
    names = []
    for path in paths:
        lengths = range(1, len(path) + 1)
        ends = [path[-n:] for n in lengths if sum(other[-n:] == path[-n:] for other in paths) == 1]
        names.append("/".join(ends[0] if ends else path))
    return names


def places(value: Value, path: tuple[str, ...] = (), schedules: bool = True) -> Iterator[Place]:
    """Where `value` has numbers and schedules for numbers, and the numbers of the `schedules` behind each.

    Without the schedules themselves, they are in the order of the leaves.
    """
    own = iter(parts(value) if isinstance(value, GradientTransformation) else ())
    for name, argument in value.arguments.items():
        leaves = jax.tree_util.tree_leaves_with_path(argument, is_leaf=lambda x: is_value(x) or is_transform(x))
        for keys, leaf in leaves:
            here = (*path, name, *(jax.tree_util.keystr((key,), simple=True) for key in keys))
            if is_transform(leaf):
                part = next(own)
                yield from places(part.transform, (*path, part.label), schedules)
            elif name in value._spec.numbers:
                yield Place(here, leaf, value._spec.numbers[name])
            if schedules and isinstance(leaf, Schedule):
                yield from places(leaf, here)


def with_numbers(tx: GradientTransformation, changes: Mapping[str, Any]) -> GradientTransformation:
    """`tx` with other numbers in the named places; they are not checked, for they may be traced."""
    leaves, treedef = jax.tree.flatten(tx)
    for name, number in changes.items():
        leaves[number_at(tx, name)[0]] = number
    return treedef.unflatten(leaves)


def number_at(tx: GradientTransformation, name: str) -> tuple[int, Place]:
    """Which leaf of `tx` the number with this name is, and its place.

    Args:
        tx: any transform.
        name: the end of the path to the number, long enough to tell it from others; or the whole path. The numbers of
            a schedule are behind the argument that follows it: `learning_rate/init_value`.

    Raises:
        GradtxValueError: there is no such number, several have the name, or it follows a schedule.
    """
    everything = list(places(tx))
    found = [place for place in everything if not isinstance(place.number, Schedule)]
    known = dict(zip(shortest([place.path for place in found]), found, strict=True))
    ends = [place for place in everything if ("/" + "/".join(place.path)).endswith("/" + name)]
    ends = [place for place in ends if "/".join(place.path) == name] or ends
    if not ends:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise GradtxValueError(f"{tx.name} has no number {name!r}{hint}; there are {listing(known) or 'none'}")
    if len(ends) > 1:
        several = listing("/".join(place.path) for place in ends)
        raise GradtxValueError(f"{tx.name} has several numbers {name!r}: {several}; give more of the path")
    place = ends[0]
    if isinstance(place.number, Schedule):
        behind = [key for key, other in known.items() if other.path[: len(place.path)] == place.path]
        hint = f"its numbers are {listing(behind)}" if behind else "it has no numbers, give a constant in its place"
        raise GradtxValueError(f"{name!r} follows the schedule {short(place.number)}; {hint}")
    return found.index(place), place


def _distinct(found: list[Part]) -> list[Part]:
    labels = [part.label for part in found]
    return [
        part._replace(label=f"{part.label}[{labels[:index].count(part.label)}]")
        if labels.count(part.label) > 1
        else part
        for index, part in enumerate(found)
    ]


def told_apart(labels: Iterable[str]) -> list[str]:
    """The labels, with `[1]` after the second of one kind, so that the first keeps its name when others come."""
    taken: dict[str, None] = {}
    for label in labels:
        name, repeats = label, 0
        while name in taken:
            repeats += 1
            name = f"{label}[{repeats}]"
        taken[name] = None
    return list(taken)
