"""Values: a decorated factory returns a record of itself and its arguments.

Printing, comparison, hashing, pickling, configs and the pytree are derived from that record. The children of the pytree
are the hyperparameters, and the values inside arguments; everything else is structure.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.errors import GradtxTypeError
from gradtx._base.numerics import is_real, is_traced
from gradtx._base.typing import Number

F = TypeVar("F")

REGISTRY: dict[str, "Spec"] = {}
"""The factories that a config may name: those of gradtx, and users' own as they are decorated."""

NAMED: dict[str, Any] = {
    f"jnp.{name}": getattr(jnp, name) for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
}
"""The functions and codecs that `repr` and configs refer to by name: these of JAX, and some of gradtx."""


def nameable(name: str) -> Callable[[F], F]:
    """Registers an object under a name for `repr` and configs; for a function, it serves as a decorator."""

    def named(x: F) -> F:
        NAMED[name] = x
        return x

    return named


def given_name(x: Any) -> str | None:
    """The name of `x` in `repr` and configs, or None."""
    return next((name for name, known in NAMED.items() if known is x), None)


class Role(Enum):
    """How a factory composes the transforms among its arguments, whose states are parts of its own state."""

    SERIES = "series"  # one after the other
    SIDE_BY_SIDE = "side by side"  # each has the same input, and the outputs are joined
    NAMING = "naming"  # the output of the first has a name in the second
    WRAPPER = "wrapper"  # anything else
    READING = "reading"  # no transforms: it reads a name


class Spec:
    """The properties of a factory, found when it is decorated.

    Attributes:
        name: the public name, with its module where that is part of the address (`schedules.linear`).
        body: the undecorated function.
        signature: its signature.
        numbers: the arguments that are hyperparameters, with the range of each.
        kind: the class of the values.
        role: how it composes the transforms among its arguments; None for primitives and expressions.
        factory: the decorated function, or the class for values that no factory made.
        defaults: every argument in order, with its default.
        positional: the arguments that may be given by position.
        variadic: the argument that takes any number by position, or None.
        required: the arguments without a default.
        latest: the types and arguments of the latest call with numbers and strings only, and the value it returned.
    """

    factory: Callable[..., Any]

    def __init__(
        self,
        name: str,
        body: Callable[..., Any],
        numbers: dict[str, Number],
        kind: type["Value"],
        role: Role | None = None,
        factory: Callable[..., Any] | None = None,
    ):
        self.name, self.body, self.numbers, self.kind, self.role = name, body, numbers, kind, role
        self.factory = factory or body
        self.latest: tuple | None = None
        self.signature = inspect.signature(body)
        parameters = self.signature.parameters.values()
        self.defaults = {p.name: p.default for p in parameters}
        self.positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.required = {p.name for p in parameters if p.default is p.empty}
        self._keyword_only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    @property
    def usage(self) -> str:
        """How it is called: `adam(learning_rate, b1=0.9, ...)`."""
        bare = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
        return f"{self.name}{self.signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments by name, defaults filled in; None if they do not fit the signature."""
        # By hand: `inspect.Signature.bind` is a third of the time of an eager step with a schedule.
        given = dict(zip(self.positional, args, strict=False))
        count, more = len(given) + len(kwargs), args[len(self.positional) :]
        given |= kwargs
        fits = len(given) == count and given.keys() <= self.defaults.keys() and self.variadic not in given
        if self.variadic is not None:
            given[self.variadic] = more
        elif more:
            return None
        return self.defaults | given if fits and self.required <= given.keys() else None

    def call(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """`function` of the arguments, passed by position or by name as the signature has them."""
        args = [arguments[name] for name in self.positional]
        if self.variadic is not None:
            args += arguments[self.variadic]
        return function(*args, **{name: arguments[name] for name in self._keyword_only})


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

    @property
    def factory_name(self) -> str:
        """The public name of the factory that made it."""
        return self._spec.name

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The factory's arguments by name, defaults filled in."""
        return types.MappingProxyType(self._arguments)

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
            return self._arguments[name]
        raise AttributeError(f"{type(self).__name__} {self._spec.name!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        public = [name for kind in type(self).__mro__ for name in vars(kind) if not name.startswith("_")]
        return sorted({*public, *self._arguments})

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
        return _remake, (self._spec.factory, self._arguments)

    def _shown(self, hide: Callable[[Any], bool] = lambda argument: False) -> list[str]:
        """The arguments as source text, without those for which `hide` is true."""
        texts, keyword = [], True
        kinds = {name: p.kind for name, p in self._spec.signature.parameters.items()}
        if inspect.Parameter.VAR_POSITIONAL in kinds.values():
            keyword = False
        for name, argument in self._arguments.items():
            if kinds[name] is inspect.Parameter.VAR_POSITIONAL:
                texts += [source(x) for x in argument if not hide(x)]
                keyword = True
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


def is_plain(x: Any) -> bool:
    """Whether all hyperparameters in `x` are Python numbers, so that the work built from it may be cached."""
    if isinstance(x, Value):
        return all(map(is_plain, x._arguments.values()))
    if isinstance(x, (tuple, list)):
        return all(map(is_plain, x))
    if isinstance(x, dict):
        return all(map(is_plain, x.values()))
    return not isinstance(x, jax.Array)


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
        numbers = np.asarray(shortest).reshape(np.shape(x)).tolist()
        return f"jnp.{x.dtype}({numbers!r})" if x.ndim == 0 else f"jnp.array({numbers!r}, dtype=jnp.{x.dtype})"
    if name := given_name(x):
        return name
    if callable(x) and hasattr(x, "__name__"):
        return f"<function {getattr(x, '__qualname__', x.__name__)}>"
    return repr(x)


def _as_number(x: Any) -> Any:
    return float(x) if isinstance(x, int) and not isinstance(x, bool) else x


def _remake(factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    # Without checks: derivatives and differences of values need not be in the ranges of hyperparameters.
    spec = getattr(factory, "spec", None)
    return factory(**arguments) if spec is None else spec.kind._make(spec, arguments)


_ALL_DATA = _Structure(None, ())
_LEAF = jax.tree.structure(0)
