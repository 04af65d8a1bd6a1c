"""Walking over the parts of a transform: their names, their numbers, and their shares of the state."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from gradtx._core import GradientTransformation, Scheduled, as_transformation
from gradtx._schedule import Schedule
from gradtx._typing import State
from gradtx._value import is_value


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


def numbers(tx: GradientTransformation) -> dict[str, Any]:
    """Every number of `tx` that follows no schedule, by the shortest path that tells it from the others.

    In the order in which they are leaves. A path is `learning_rate`, or `fast/learning_rate` where several have one.
    """
    found = list(_numbers(tx, ()))
    names = {}
    for path, number in found:
        lengths = range(1, len(path) + 1)
        ends = [path[-n:] for n in lengths if sum(other[-n:] == path[-n:] for other, _ in found) == 1]
        names["/".join(ends[0] if ends else path)] = number
    return names


def _numbers(tx: GradientTransformation, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    own = parts(tx)
    for name, argument in tx.arguments.items():
        if name in tx._spec.numbers:
            leaves = jax.tree_util.tree_leaves_with_path(argument, is_leaf=is_value)
            for keys, leaf in leaves:
                if not isinstance(leaf, Schedule):
                    yield (*path, name, *(jax.tree_util.keystr((key,), simple=True) for key in keys)), leaf
        for part in own:
            if part.argument == name:
                yield from _numbers(part.transform, (*path, part.label))


def _distinct(found: list[Part]) -> list[Part]:
    labels = [part.label for part in found]
    return [
        part._replace(label=f"{part.label}[{labels[:index].count(part.label)}]")
        if labels.count(part.label) > 1
        else part
        for index, part in enumerate(found)
    ]
