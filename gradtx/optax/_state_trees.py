"""Reading and changing states by the names of their fields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from gradtx.optax._masking import ParamsPlaceholder


@dataclass(frozen=True)
class NamedTupleKey:
    """In a path, the field of a named tuple.

    Attributes:
        tuple_name: the name of its class.
        name: the name of the field.
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


Path = tuple[Any, ...]
Filtering = Callable[[Path, Any], bool] | None


def get_all_with_path(tree: Any, key: Any, filtering: Filtering = None) -> list[tuple[Path, Any]]:
    """All values under a name, with their paths: fields of named tuples, entries of dicts, and named tuples themselves.

    Args:
        tree: the state.
        key: the name of a field, of an entry, or of the class of a named tuple.
        filtering: `(path, value) -> bool`, which of them to take.
    """
    return [(path, x) for path, name, x in _walk(tree) if name == key and (filtering is None or filtering(path, x))]


def get(tree: Any, key: Any, default: Any = None, filtering: Filtering = None) -> Any:
    """The one value under a name; `default` if there is none.

    Raises:
        KeyError: there are several.
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        where = ", ".join(".".join(map(str, path)) for path, _ in found)
        raise KeyError(f"Found multiple values for {key!r}: {where}; give filtering to choose one")
    return found[0][1] if found else default


def set(tree: Any, filtering: Filtering = None, /, **kwargs: Any) -> Any:
    """The state with other values under these names.

    Raises:
        KeyError: there is no value under a name.
    """
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            raise KeyError(f"Found no values matching {key!r} in the state")

    def replaced(path: Path, name: Any, x: Any) -> Any:
        if name in kwargs and (filtering is None or filtering(path, x)):
            return kwargs[name]
        return rebuilt(path, x)

    def rebuilt(path: Path, x: Any) -> Any:
        if _is_named(x) and type(x).__name__ in kwargs and (filtering is None or filtering(path, x)):
            return kwargs[type(x).__name__]
        children = [(key, name, child) for key, name, child in _children(x)]
        if not children:
            return x
        new = [replaced((*path, key), name, child) for key, name, child in children]
        if _is_named(x):
            return x._make(new)
        if isinstance(x, Mapping):
            kind: Any = type(x)
            return kind(zip((name for _, name, _ in children), new, strict=True))
        return jax.tree.structure(x, is_leaf=lambda node: node is not x).unflatten(new)

    return rebuilt((), tree)


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Applies a function to those parts of a state that have an entry for each parameter.

    Args:
        initable: the transform, or its `init`.
        f: the function of an array, and of the corresponding leaves of `rest`.
        state: the state.
        *rest: trees with the structure of the parameters.
        transform_non_params: a function for the other arrays; None leaves them.
        is_leaf: what a leaf is, as in `jax.tree.map`.
    """
    init = getattr(initable, "init", initable)

    def one(place: Any, part: Any) -> Any:
        if isinstance(place, ParamsPlaceholder):
            return jax.tree.map(f, part, *rest, is_leaf=is_leaf)
        return part if transform_non_params is None else transform_non_params(part)

    return jax.tree.map(one, init(ParamsPlaceholder()), state, is_leaf=lambda x: isinstance(x, ParamsPlaceholder))


def _is_named(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")


def _children(x: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Of each child, the key in a path, the name by which it is found, or None, and itself."""
    if _is_named(x):
        yield from ((NamedTupleKey(type(x).__name__, name), name, getattr(x, name)) for name in x._fields)
    elif isinstance(x, Mapping):
        yield from ((jax.tree_util.DictKey(name), name, child) for name, child in x.items())
    else:
        found = jax.tree_util.tree_leaves_with_path(x, is_leaf=lambda node: node is not x)
        yield from ((keys[0], None, child) for keys, child in found if keys)


def _walk(x: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """All that has a name, outermost first."""
    if _is_named(x):
        yield path, type(x).__name__, x
    children = list(_children(x))
    for key, name, child in children:
        if name is not None:
            yield (*path, key), name, child
    for key, _, child in children:
        yield from _walk(child, (*path, key))
