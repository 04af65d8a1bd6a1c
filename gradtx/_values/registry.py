"""What is known of a factory when it is decorated, and the names by which configs find factories and functions."""

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

import jax.numpy as jnp

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
        switches: the arguments that are True or False.
        constants: the arguments that are whole numbers or strings, in words.
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
        kind: type,
        role: Role | None = None,
        factory: Callable[..., Any] | None = None,
        switches: frozenset[str] | set[str] = frozenset(),
        constants: Mapping[str, str] = {},
    ):
        self.name, self.body, self.numbers, self.kind, self.role = name, body, numbers, kind, role
        self.factory = factory or body
        self.switches, self.constants = switches, constants
        self.latest: tuple | None = None
        self.signature = inspect.signature(body)
        parameters = self.signature.parameters.values()
        self.defaults = {p.name: p.default for p in parameters}
        self.positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.required = {p.name for p in parameters if p.default is p.empty}
        self._keyword_only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"latest": None}

    @property
    def is_ours(self) -> bool:
        """Whether the factory is of this package."""
        return (self.body.__module__ or "").startswith(f"{__name__.partition('.')[0]}.")

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
