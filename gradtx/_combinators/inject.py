"""Hyperparameters in the state, for loops that cannot pass the transform as an argument."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short, wrong_state
from gradtx._base.states import state_class
from gradtx._base.typing import Array, State, Transform
from gradtx._core.compose import with_scalars
from gradtx._core.context import Built
from gradtx._core.hyperparams import Unnamed, places, shortest
from gradtx._core.parts import is_transform, transforms_in
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._core.scheduled import Scheduled
from gradtx._values.registry import REGISTRY
from gradtx._values.schedule import Schedule


@state_class
class Injected(NamedTuple):
    """The state of `inject`.

    Attributes:
        numbers: the hyperparameters, 0-d float arrays by name.
        inner: the state of the inner transform.
    """

    numbers: dict[str, Array]
    inner: Any

    @property
    def hyperparams(self) -> Any:
        raise AttributeError(
            "read them by get_hyperparams(state), and set them by state = set_hyperparams(state, learning_rate=...)"
        )


@transformation(role="wrapper")
def inject(inner: Transform):
    """Injected hyperparameters: moves them into the state, to be read, logged and set without recompilation.

    Scheduled hyperparameters keep their schedule; `get_hyperparams` reads them too. The names are those of the
    arguments (`learning_rate`), prefixed with the path of the part where several are the same (`fast/learning_rate`).

    Args:
        inner: a transform made by factories. The numbers of an `inject` inside it stay in the state of that one.

    State: `Injected(numbers, inner)`: one float32 scalar (float64 with x64) per hyperparameter of `inner` that follows
    no schedule.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = inject(adam(1e-3))
        >>> state = tx.init(jnp.zeros(3))
        >>> state = set_hyperparams(state, learning_rate=1e-4)
        >>> print(get_hyperparams(state)["learning_rate"])
        1e-04
    """
    if is_transform(inner) and not isinstance(inner, GradientTransformation):
        raise GradtxTypeError(
            f"expected a transform made of gradtx's factories, whose numbers can be seen, got {short(inner)}; make the "
            f"same with gradtx, or use the inject_hyperparams of its library"
        )
    inner = as_transformation(inner)
    leaves, treedef = jax.tree.flatten(inner, is_leaf=lambda x: isinstance(x, Schedule))
    found, held = list(places(inner, schedules=False)), list(_injected_in(inner))
    named = zip(shortest([place.path for place in found]), found, strict=True)
    named = [(name, place.path) for name, place in named if not isinstance(place.value, Schedule)]
    free = iter([None if any(path[: len(outer)] == outer for outer in held) else name for name, path in named])
    names = [None if isinstance(leaf, Schedule) else next(free) for leaf in leaves]  # None: stays as it is
    own_names = [name for name in names if name is not None]

    def start() -> tuple:
        return ({name: jnp.asarray(x, float) for name, x in zip(names, leaves, strict=True) if name is not None},)

    def at(own: tuple) -> Built:
        """The transform with the hyperparameters of the state."""
        (found,) = own
        if set(found) != set(own_names):
            raise wrong_state(f"an `Injected` with the hyperparameters {listing(own_names)}", found)
        return treedef.unflatten([found.get(name, x) for name, x in zip(names, leaves, strict=True)])._built()

    first = inner._built()
    work = with_scalars(Injected, first, start, lambda own: (own, own), at)
    return GradientTransformation._of(work, first.stages)


def _injected_in(tx: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the transforms in `tx` that are made by `inject`."""
    if isinstance(tx, GradientTransformation):
        if tx._spec.factory is inject:
            yield path
        else:
            for part in transforms_in(tx):
                yield from _injected_in(part.transform, (*path, part.label))


@explains_calls("get_hyperparams")
def get_hyperparams(state: State) -> dict[str, Array]:
    """The hyperparameters in a state, at any depth: those of `inject`, and the last values of schedules.

    Returns:
        Value by name, copies of those in the state; in Flax NNX the variables in it, which may be assigned to. Where
        several parts of the state have a hyperparameter of the same name, it is prefixed with the names around it,
        `decoder/learning_rate`, or with its place where names are not enough: `1/learning_rate`.

    Raises:
        GradtxTypeError: a transform was given in place of a state.
    """
    return named_numbers("get_hyperparams", state, Injected, Scheduled)


@explains_calls("set_hyperparams")
def set_hyperparams(state: State, by_name: Mapping[str, Any] | None = None, /, **others: Any) -> State:
    """The state with new values for hyperparameters that `inject` stores.

    Args:
        state: a state with an `inject` anywhere in it.
        by_name: new value by name, with the names of `get_hyperparams`; the dtype in the state is kept.
        **others: the same, as keywords.

    Raises:
        GradtxTypeError: `by_name` is not a mapping, or a value is a function.
        GradtxValueError: a name is unknown or ambiguous, its hyperparameter follows a schedule, or the number is not in
            the range of any argument of this name.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = partition({"a": inject(sgd(0.1)), "b": inject(sgd(0.2))}, {"encoder": "a", "head": "b"})
        >>> state = tx.init({"encoder": jnp.zeros(2), "head": jnp.zeros(2)})
        >>> state = set_hyperparams(state, {"b/learning_rate": 0.3})
        >>> print({name: f"{x:.1f}" for name, x in get_hyperparams(state).items()})
        {'a/learning_rate': '0.1', 'b/learning_rate': '0.3'}
    """
    if by_name is not None and not isinstance(by_name, Mapping):
        raise GradtxTypeError(
            f"set_hyperparams: expected numbers by name, got {short(by_name)}; say which: learning_rate=..."
        )
    changes = {**(by_name or {}), **others}
    known = named_numbers("set_hyperparams", state, Injected, Scheduled)
    scheduled = named_numbers("set_hyperparams", state, Scheduled)
    for name in changes:
        if name in scheduled:
            raise GradtxValueError(
                f"set_hyperparams: {name!r} follows a schedule, which would overwrite it at the next step; make the "
                f"transform with a number in place of the schedule, as in inject(adam(learning_rate=1e-3))"
            )
        if not known:
            nodes = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, Injected))
            if any(isinstance(node, Injected) for node in nodes):
                hint = (
                    "`inject` is around a transform without numbers that it can see: a bare pair, one of another "
                    "library, or one whose factory does not annotate them `gradtx.Scalar`"
                )
            else:
                hint = "wrap the transform: inject(tx)"
            raise GradtxValueError(f"set_hyperparams: the state has no hyperparameters; {hint}")
        if name not in known:
            alike = [other for other in known if other.split("/")[-1] == name]
            one = f"set_hyperparams(state, {{{alike[0]!r}: ...}})" if alike else ""
            hint = (
                f"several have that name: {listing(alike)}; say which: {one}"
                if alike
                else f"known names: {listing(known)}"
            )
            raise GradtxValueError(f"set_hyperparams: the state has no hyperparameter {name!r}; {hint}")
        if callable(changes[name]):
            raise GradtxTypeError(
                f"set_hyperparams: {name}: expected a number, got {short(changes[name])}; schedules are given to the "
                f"factory: adam(schedule)"
            )
        _check_range(name, changes[name])

    unique = iter(_unique_names(state))

    def change(path: tuple, node: Any) -> Any:
        scalars = {}
        for name, old in _scalars(node).items():
            key = next(unique)
            # A map over leaves, because some libraries wrap the arrays of a state.
            new = partial(trees.replaced_in, new=changes.get(key), who=f"set_hyperparams: {key}")
            scalars[name] = jax.tree.map(new, old) if key in changes else old
        return node if isinstance(node, Scheduled) else node._replace(numbers=scalars)

    return _map_holders(change, state)


def _check_range(name: str, number: Any) -> None:
    """Raises if no factory takes the number by this name: a state does not know which factory made it."""
    argument = next(word for word in reversed(name.split("/")) if not word.isdecimal())
    ranges = {spec.numbers[argument] for spec in REGISTRY.values() if argument in spec.numbers}
    if isinstance(number, (int, float)) and ranges and not any(range.allows(number) for range in ranges):
        raise GradtxValueError(
            f"set_hyperparams: {name}: expected {listing(sorted(set(map(str, ranges))))}, got {number!r}"
        )


def named_numbers(
    who: str, state: State, *kinds: type, among: tuple[type, ...] = (Injected, Scheduled)
) -> dict[str, Any]:
    """Copies of the scalars that nodes of these kinds hold, by names that are unique in all nodes of the kinds `among`.

    Copies, because a step that is given the memory of the state would delete what somebody keeps in a list.
    """
    if isinstance(state, GradientTransformation):
        raise GradtxTypeError(f"{who}: expected a state, got the transform {short(state)}; call {who}(state)")
    found = []

    def note(path: tuple, node: Any) -> Any:
        found.extend((x, type(node)) for x in _scalars(node).values())
        return node

    _map_holders(note, state, among)
    pairs = zip(_unique_names(state, among), found, strict=True)
    return {name: x if trees.is_variable(x) else jnp.copy(x) for name, (x, kind) in pairs if issubclass(kind, kinds)}


def _unique_names(state: State, among: tuple[type, ...] = (Injected, Scheduled)) -> list[str]:
    """The name of each scalar: the shortest end of its path that no other path ends in, as in `inject`."""
    paths = []

    def note(path: tuple, node: Any) -> Any:
        own = [Unnamed(key.idx) if hasattr(key, "idx") else trees.path_text((key,)) for key in path]
        paths.extend((*own, name) for name in _scalars(node))
        return node

    _map_holders(note, state, among)
    return shortest(paths)


def _scalars(node: Any) -> dict[str, Any]:
    """The scalars of a node by name; those of a sequence are `momentums/0`, `momentums/1`."""
    found = {}
    for name, x in (node.values if isinstance(node, Scheduled) else node.numbers).items():
        if isinstance(x, (tuple, list)):
            found |= {f"{name}/{index}": item for index, item in enumerate(x)}
        else:
            found[name] = x
    return found


def _map_holders(
    function: Callable[[tuple, Any], Any],
    state: State,
    kinds: tuple[type, ...] = (Injected, Scheduled),
    path: tuple = (),
) -> State:
    """The state with `function(path, node)` in place of each node that holds scalars, outermost first."""

    def holds(node: Any) -> bool:
        return isinstance(node, kinds)

    def visit(keys: tuple, node: Any) -> Any:
        if not holds(node):
            return node
        node = function(path + keys, node)
        inner = getattr(node, "inner", None)
        return node if inner is None else node._replace(inner=_map_holders(function, inner, kinds, path + keys))

    return jax.tree_util.tree_map_with_path(visit, state, is_leaf=holds)
