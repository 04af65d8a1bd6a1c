"""The transforms inside a transform, and their shares of its state."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

from gradtx._base.typing import State
from gradtx._values.value import Value


class Part(NamedTuple):
    """A transform inside another.

    Attributes:
        label: its name in a chain or label in a partition; the argument's name where it is the argument; or else its
            factory's name, `scale[1]` for the second of one name.
        argument: the argument of the outer transform that holds it.
        key: its name or label there, or None where it has none.
        transform: the transform, perhaps of another library.
    """

    label: str
    argument: str
    key: Any
    transform: Any

    @property
    def is_named(self) -> bool:
        """Whether the label is a name of its own, and not only that of the factory."""
        return self.key is not None or self.label == self.argument


def parts(tx: Value) -> list[Part]:
    """The transforms inside `tx` whose states are parts of its state, in the order of the state."""
    return [] if tx._spec.role is None else transforms_in(tx)


def transforms_in(value: Value) -> list[Part]:
    """The transforms among the arguments of `value`, in the order of its leaves."""
    found = []
    for argument, content in value._arguments.items():
        for keys, leaf in jax.tree_util.tree_leaves_with_path(content, is_leaf=is_transform):
            if is_transform(leaf):
                key = _key(content, keys)
                own = leaf._spec.name if isinstance(leaf, Value) else "GradientTransformation"
                found.append(Part(str(key) if key is not None else own if keys else argument, argument, key, leaf))
    labels = told_apart(part.label for part in found)
    return [part._replace(label=label) for part, label in zip(found, labels, strict=True)]


def _key(argument: Any, keys: tuple) -> Any:
    """What a combinator calls the part at `keys` of its argument: a name, a label, or None."""
    if not keys:
        return None
    if isinstance(keys[0], jax.tree_util.DictKey):
        return keys[0].key
    return argument[keys[0].idx][0] if len(keys) == 2 else None  # a (name, transform) pair


def is_transform(x: Any) -> bool:
    if isinstance(x, Value):
        return hasattr(type(x), "update")
    return hasattr(x, "init") and hasattr(x, "update") and not hasattr(x, "spec")  # factories have a `spec`


def holds_pairs(arguments: Any) -> bool:
    """Whether there is a transform among the arguments that is a tuple of two functions."""
    return any(map(_is_pair, jax.tree.leaves(arguments, is_leaf=_is_pair)))


def _is_pair(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) == 2 and all(map(callable, x)) and not any(map(is_transform, x))


def holds_transforms(argument: Any) -> bool:
    return any(map(is_transform, jax.tree.leaves(argument, is_leaf=is_transform)))


def share(part: Part, index: int, state: State) -> State:
    """The state of the `index`-th part within the state of the transform around it.

    The convention of all transforms with a role: the state around is a tuple in the order of the parts, or a dict by
    their keys, or has a field named as the argument.
    """
    if isinstance(state, dict):
        return state[part.argument if part.key is None else part.key]
    if part.argument in getattr(state, "_fields", ()):  # not any attribute: tuples have methods called count and index
        return getattr(state, part.argument)
    if not isinstance(state, (tuple, list)):  # an array has items too
        raise TypeError
    return state[index]


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
