"""Values: a decorated factory returns a record of itself and its arguments.

Printing, comparison, hashing, pickling, configs and the pytree are derived from that record. The children of the pytree
are the hyperparameters, and the values inside arguments; everything else is structure.
"""

import math
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import numpy as np

from gradtx._base.errors import GradtxTypeError
from gradtx._base.numerics import is_real, is_traced
from gradtx._values.registry import NAMED, REGISTRY, Spec, given_name

if TYPE_CHECKING:

    class NoSuchMethod:
        """The type of a method that values do not have."""

    class Argument(Any):
        """An argument of a factory, read as an attribute: any type but a function, so that misspelt methods are found.

        To call an argument, such as a schedule, read it as `value.arguments[name]`.
        """

        __call__: NoSuchMethod


class Value:
    """An immutable record of a factory and its arguments, which read as attributes: `adam(1e-3).learning_rate`."""

    __slots__ = ("__weakref__", "_arguments", "_cache", "_spec")

    _spec: Spec
    _arguments: dict[str, Any]
    _cache: Any
    _is_data: ClassVar[bool]  # whether it is a pytree with leaves, or structure as a whole
    _elsewhere: ClassVar[Mapping[str, str]] = {}  # by the name of an attribute in other libraries, what to do here

    def __init_subclass__(cls, data: bool = True) -> None:
        cls._is_data = data
        if data:
            jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, cls._flatten)

    @classmethod
    def _make(cls, spec: Spec, arguments: dict[str, Any]) -> Self:
        self = object.__new__(cls)
        self._set(spec, arguments)
        return self

    def _set(self, spec: Spec, arguments: dict[str, Any], cache: Any = None) -> None:
        object.__setattr__(self, "_spec", spec)
        object.__setattr__(self, "_arguments", arguments)
        object.__setattr__(self, "_cache", cache)

    def _check(self) -> None:
        """Raises if it cannot work, as soon as it is made; some arguments are only read when it is used."""

    @property
    def factory_name(self) -> str:
        """The public name of the factory that made it."""
        return self._spec.name

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The factory's arguments by name, defaults filled in."""
        return types.MappingProxyType({name: _read_only(x) for name, x in self._arguments.items()})

    def replace(self, **changes: Any) -> Self:
        """The same value with some arguments changed: `adam(1e-3).replace(b1=0.8)`."""
        unknown = [name for name in changes if name not in self._arguments]
        if unknown:
            raise GradtxTypeError(
                f"{self._spec.name} has no argument {unknown[0]!r}; it has {', '.join(self._arguments)}"
            )
        return self._spec.call(self._spec.factory, self._arguments | changes)

    def __getattr__(self, name: str) -> "Argument":
        if not name.startswith("_") and name in self._arguments:
            return _read_only(self._arguments[name])
        if name in (named := self._named()):
            return named[name]
        hint = f"; {self._elsewhere[name]}" if name in self._elsewhere else ""
        raise AttributeError(f"{type(self).__name__} {self._spec.name!r} has no attribute {name!r}{hint}")

    def __dir__(self) -> list[str]:
        public = [name for kind in type(self).__mro__ for name in vars(kind) if not name.startswith("_")]
        return sorted({*public, *self._arguments, *filter(str.isidentifier, self._named())})

    def _named(self) -> dict[str, Any]:
        """What the arguments have in pairs with a name, as in `chain(("opt", tx))`."""
        items = [x for argument in self._arguments.values() if isinstance(argument, tuple) for x in argument]
        return {x[0]: x[1] for x in items if isinstance(x, tuple) and len(x) == 2 and type(x[0]) is str}

    def __setattr__(self, name: str, _: Any) -> None:
        raise AttributeError(f"{self._spec.name} is immutable; use .replace({name}=...) to make another")

    def __repr__(self) -> str:
        return f"{self._spec.name}({', '.join(self._shown())})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> Any:
        # As hyperparameters 1 and 1.0 are equal; as structure they need not be, and True need not equal 1.
        numbers = self._spec.numbers
        return self._spec, tuple(frozen(x, typed=name not in numbers) for name, x in self._arguments.items())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # immutable; a copy of the functions in it would not be equal

    def __reduce__(self):
        return _remake, (self._spec.factory, {name: _portable(x) for name, x in self._arguments.items()})

    def _shown(self, hide: Callable[[Any], bool] = lambda argument: False) -> list[str]:
        """The arguments as source text, without those for which `hide` is true.

        Options that are keyword-only are shown where they differ from their defaults.
        """
        texts, keyword = [], self._spec.variadic is None
        for name, argument in self._arguments.items():
            parameter = self._spec.signature.parameters[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                texts += [source(x) for x in argument if not hide(x)]
                keyword = True
            elif parameter.kind is parameter.KEYWORD_ONLY and argument is parameter.default:
                continue
            elif not hide(argument):
                texts.append(f"{name}={source(argument)}" if keyword else source(argument))
        return texts

    # The pytree. Each argument is split into two trees of the same structure: its data, and the rest.

    def _flatten_with_keys(self):
        split = {name: self._split(name) for name in self._arguments}
        children = tuple((jax.tree_util.GetAttrKey(name), data) for name, (data, _) in split.items())
        return children, (self._spec, tuple((name, structure) for name, (_, structure) in split.items()))

    def _flatten(self):
        keyed, aux = self._flatten_with_keys()
        return tuple(child for _, child in keyed), aux

    @classmethod
    def _unflatten(cls, aux, children):
        spec, split = aux
        return cls._make(spec, {name: s.merge(data) for (name, s), data in zip(split, children, strict=True)})

    def _split(self, name: str) -> tuple[Any, "_Structure"]:
        argument = self._arguments[name]
        if name in self._spec.numbers:
            return jax.tree.map(_as_number, argument, is_leaf=is_value), _ALL_DATA
        if not holds_value(argument):
            return None, _Structure(None, (argument,))
        leaves, treedef = jax.tree.flatten(argument, is_leaf=is_value)
        data = [x if is_value(x) else None for x in leaves]
        return treedef.unflatten(data), _Structure(treedef, tuple(None if is_value(x) else x for x in leaves))


class _Structure:
    """The part of an argument that is not data, and how to put the data back.

    With `treedef=None` the argument is either all structure, the one element of `rest`, or all data, and `rest` is
    empty.
    """

    __slots__ = ("_rest", "_treedef")

    def __init__(self, treedef: Any, rest: tuple):
        self._treedef, self._rest = treedef, rest

    def merge(self, data: Any) -> Any:
        if self._treedef is None:
            return self._rest[0] if self._rest else data
        pairs = zip(self._treedef.flatten_up_to(data), self._rest, strict=True)
        return self._treedef.unflatten([x if rest is None else rest for x, rest in pairs])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self):
        return self._treedef, frozen(self._rest, typed=True)


def is_value(x: Any) -> bool:
    """Whether `x` is a value that is a pytree with leaves."""
    return isinstance(x, Value) and x._is_data


def holds_value(x: Any) -> bool:
    return any(map(is_value, jax.tree.leaves(x, is_leaf=is_value)))


def holds(x: Any, *kinds: type) -> bool:
    """Whether `x`, or anything among its arguments or items, is of one of these kinds."""
    if isinstance(x, kinds):
        return True
    items = x._arguments if isinstance(x, Value) else x
    items = items.values() if isinstance(items, dict) else items if isinstance(items, (tuple, list)) else ()
    return any(holds(item, *kinds) for item in items)


def is_plain(x: Any) -> bool:
    """Whether all hyperparameters in `x` are Python numbers, so that the work built from it may be cached."""
    return not holds(x, jax.Array, np.ndarray)


def frozen(x: Any, typed: bool = False) -> Any:
    """A hashable key of an argument: keys are equal if the arguments are, and with `typed` of one type too."""
    if isinstance(x, Value):
        return x
    if isinstance(x, dict):
        items = tuple((key, frozen(item, typed)) for key, item in x.items())
        # JAX sorts the keys of the dicts that it rebuilds, so in a dict with values inside the order does not matter.
        return (dict, frozenset(items) if holds_value(x) else items)
    if isinstance(x, (list, tuple)):
        return (type(x), tuple(frozen(item, typed) for item in x))
    if is_traced(x):
        return ("traced", id(x))
    if isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return ("array", str(x.dtype), np.shape(x), np.asarray(x).tobytes())
    leaves, treedef = jax.tree.flatten(x)
    if treedef != _LEAF:
        return (treedef, tuple(frozen(leaf, typed) for leaf in leaves))
    return (type(x), x) if typed and isinstance(x, (int, float)) else x


def source(x: Any) -> str:
    """The source text of an argument; for numbers, values and plain containers it evaluates back."""
    if isinstance(x, dict):
        return "{" + ", ".join(f"{source(key)}: {source(item)}" for key, item in x.items()) + "}"
    if type(x) in (tuple, list):
        inside = ", ".join(map(source, x)) + ("," if type(x) is tuple and len(x) == 1 else "")
        return f"({inside})" if type(x) is tuple else f"[{inside}]"
    if is_traced(x):
        return f"<traced {x.dtype}{list(x.shape)}>"
    if isinstance(x, (jax.Array, np.ndarray)):
        # The shortest decimals that round to these numbers in their own precision.
        shortest = [float(str(number)) if is_real(x) else number for number in np.asarray(x).ravel()]
        numbers = source(np.asarray(shortest).reshape(np.shape(x)).tolist())
        return f"jnp.{x.dtype}({numbers})" if x.ndim == 0 else f"jnp.array({numbers}, dtype=jnp.{x.dtype})"
    if isinstance(x, float) and not math.isfinite(x):
        return f"float({str(x)!r})"
    if name := given_name(x):
        return name
    if callable(x) and hasattr(x, "__name__"):
        return f"<function {getattr(x, '__qualname__', x.__name__)}>"
    return repr(x)


def _read_only(x: Any) -> Any:
    """A view of a dict, a copy of a list: what is read from a value cannot be used to change it."""
    if isinstance(x, dict):
        return types.MappingProxyType({key: _read_only(item) for key, item in x.items()})
    return type(x)(map(_read_only, x)) if type(x) in (list, tuple) else x


def _as_number(x: Any) -> Any:
    return float(x) if isinstance(x, int) and not isinstance(x, bool) else x


def _remake(factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    # Without checks: derivatives and differences of values need not be in the ranges of hyperparameters.
    spec = getattr(factory, "spec", None)
    if spec is None:
        return factory(**arguments)
    spec = _known(spec)
    return spec.kind._make(spec, arguments)


def _known(spec: Spec) -> Spec:
    """The spec of the same factory that is registered: cloudpickle makes a new one of a script's own each time."""
    known = REGISTRY.setdefault(spec.name, spec)
    ours, theirs = ((body.__module__, getattr(body, "__code__", body)) for body in (known.body, spec.body))
    return known if ours == theirs else spec


class _Reference:
    """What is pickled in place of an object with a name."""

    def __init__(self, name: str):
        self.name = name

    def __reduce__(self):
        return _named, (self.name,)


def _named(name: str) -> Any:
    return NAMED[name]


def _portable(x: Any) -> Any:
    """An argument for pickle: functions of JAX, copied, would not be equal."""
    if isinstance(x, dict):
        return {key: _portable(item) for key, item in x.items()}
    if type(x) in (list, tuple):
        return type(x)(map(_portable, x))
    name = given_name(x)
    return x if name is None else _Reference(name)


_ALL_DATA = _Structure(None, ())
_LEAF = jax.tree.structure(0)
