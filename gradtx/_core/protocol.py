"""The protocol: a gradient transformation is a pair of pure functions, and a value.

    init(params) -> state
    update(updates, state, params=None, **extra) -> (updates, state)

A factory decorated with `@transformation` returns the record of its call; the work is built from the factory's body
when it is first used.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import jax
import numpy as np

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.counterparts import METHODS
from gradtx._base.errors import (
    GradtxError,
    GradtxTypeError,
    add_stages,
    at_stage,
    short,
    without_machinery,
)
from gradtx._base.numerics import any_traced
from gradtx._base.optax_class import OptaxClass
from gradtx._base.typing import Params, State, Updates
from gradtx._core.boundary import (
    admitted,
    as_arrays,
    check_params,
    check_shapes,
    check_structure,
    rounded,
    unshared,
    varying_like,
)
from gradtx._core.context import Built, Context, Work
from gradtx._core.facts import of_role
from gradtx._core.meshes import on_any_mesh
from gradtx._core.pairs import check_pair, work_of_pair
from gradtx._core.parts import holds_pairs, is_transform, parts
from gradtx._core.scheduled import following_schedules
from gradtx._core.state_errors import explained, of_arrays
from gradtx._values.factory import P, make_factory
from gradtx._values.registry import REGISTRY, Role, Spec
from gradtx._values.schedule import Schedule, prepared, scheduled_names
from gradtx._values.value import Value, holds, is_plain


class GradientTransformation(Value, OptaxClass):  # pyright: ignore[reportGeneralTypeIssues]
    """A pair of pure functions, unpackable as `init, update = tx`.

    Most are made by factories (`adam(1e-3)`, `chain(...)`); a bare pair is legal everywhere and only prints less.

    Args:
        init: `params -> state`. The state is a pytree of arrays, and in structure, shapes and dtypes a fixed point of
            `update`.
        update: `(updates, state, params=None, **extra) -> (updates, state)`. Extras are keyword-only arguments that it
            names; the others are not passed to it, unless it takes `**extra`.
    """

    __slots__ = ()
    _elsewhere = METHODS

    def __init__(self, init: Callable[..., State], update: Callable[..., Any]):
        check_pair(init, update)
        self._set(_PAIR, {"init": init, "update": update}, Built((), work_of_pair(init, update)))

    @classmethod
    def _of(cls, work: Work, stages: tuple[str, ...] = ()) -> "GradientTransformation":
        """A transform that does this work; the stages are those of the transform in it, for errors."""
        self = object.__new__(cls)
        self._set(_WORK, {"work": work}, Built(stages, on_any_mesh(work) if work.mixes_axes else work))
        return self

    @explains_calls("tx.init")
    def init(self, /, params: Params) -> State:
        """The state before the first update, for parameters of this structure."""
        if trees.is_nnx_module(params):
            raise GradtxTypeError(
                f"the parameters are a module, {type(params).__name__}; give nnx.state(model, nnx.Param)"
            )
        try:
            check_params(params)
            return varying_like(unshared(Context().init(self, as_arrays(params)), params, self), params)
        except Exception as error:
            error.__traceback__ = without_machinery(error.__traceback__)
            better = of_arrays(error, parameters=params)
            if better is error:
                raise
            raise better from None

    @explains_calls("tx.update")
    def update(self, /, updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        """The updates transformed, and the state after them. Give `params` and extras by keyword where needed.

        Each array that goes out has the dtype of its parameter; of the update that came in, without the parameters.
        """
        return self._checked(Built.update, updates, state, params, extra)

    def _checked(self, call: Any, updates: Updates, state: State, params: Params, extra: dict) -> tuple[Any, State]:
        """Runs `Built.update` or `Built.apply`, with the checks and the rounding of the outermost call."""
        step = Context(extra)
        if any_traced(updates):
            step = step._replace(is_traced=True)
        try:
            updates, params = admitted(updates, params)
            out, new = call(self._built(), step, updates, state, params)
            check_structure(new, state, updates)
            if params is not None:
                check_shapes(out, params)
            out = rounded(out, updates if params is None else params)
            new = varying_like(new, state) if step.is_traced else new
            return out, unshared(new, out, updates, params, extra, () if self._cache else self)
        except Exception as error:
            error.__traceback__ = without_machinery(error.__traceback__)
            better = explained(error, self, updates, state, params)
            if better is error:
                better = of_arrays(error, updates=updates, state=state, parameters=params)
            if better is error:
                raise
            raise better from None

    if not TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> None:
            raise GradtxTypeError("a transform is not called; call tx.update(updates, state, params)")

        def __getitem__(self, key: Any) -> None:
            raise GradtxTypeError(f"a transform has no item {short(key)}; its arguments are attributes, as in tx.parts")

        def __add__(self, other: Any) -> None:
            raise GradtxTypeError("transforms have functions, not operators: chain(a, b) in series, add(a, b) for sums")

        __mul__ = __rmul__ = __or__ = __rshift__ = __matmul__ = __sub__ = __truediv__ = __add__

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter((self.init, self.update))

    @property
    def expression(self) -> "GradientTransformation | None":
        """The expression that the factory returns; None for a primitive and a bare pair."""
        if self._is_bare:
            return None
        with at_stage(self._spec.name):
            whole = self._spec.call(self._spec.body, self._arguments)
        return whole if isinstance(whole, GradientTransformation) and not whole._is_bare else None

    def _check(self) -> None:
        # Built at once, so that mistakes are found where it is made; with a schedule inside when it is first used, for
        # to read one starts a backend. One among transforms, as in `chain(adam, schedule)`, is a mistake.
        variadic = self._spec.variadic
        is_misplaced = variadic not in self._spec.numbers and any(
            isinstance(x, Schedule) for x in self._arguments.get(variadic or "", ())
        )
        if is_misplaced or not holds(self, jax.Array, np.ndarray, Schedule):
            self._built()

    @property
    def _is_bare(self) -> bool:
        """Whether no factory made it."""
        return self._spec is _PAIR or self._spec is _WORK

    def _built(self) -> Built:
        """The work of the transform, hyperparameters ready for use."""
        if self._cache is not None:
            return self._cache
        if not is_plain(self):
            return self._build()
        with jax.ensure_compile_time_eval():  # a cached value must not hold tracers of the current trace
            built = self._build()
        object.__setattr__(self, "_cache", built)
        return built

    def _build(self) -> Built:
        name = self._spec.name
        try:
            if scheduled_names(self):
                return following_schedules(self, self._built_at)
            whole = as_transformation(self._called(prepared(self)))
            stages, work = whole._built()
            if whole._spec is _WORK and not self._is_bare:
                work = self._with_facts(whole._arguments["work"], work)
        except Exception as error:
            if isinstance(error, GradtxError) and error.lacks_transform and not error.stages:
                error.complaint += f"; it is called as {self._spec.usage}"
            add_stages(error, (name,))
            raise
        return whole._built() if self._is_bare else Built((name, *stages), work)

    def _built_at(self, values: dict[str, Any]) -> Built:
        """What it is built as with these values for its scheduled hyperparameters."""
        return type(self)._make(self._spec, self._arguments | values)._build()

    def _with_facts(self, own: Work, work: Work) -> Work:
        """The work of a primitive or a combinator, with what follows from the transforms in it."""
        if own.mixes_axes:
            work = on_any_mesh(own, self, lambda tx: tx._build().work)
        if not (self._spec.is_ours and is_plain(self)) or holds_pairs(self._arguments):
            return work  # others may turn a sign, and what is not cached would be built again at each level
        inside = [as_transformation(part.transform)._built().work.facts for part in parts(self)]
        return replace(work, facts=of_role(self._spec.role, work.facts, inside))

    def _called(self, arguments: dict[str, Any]) -> Any:
        """What the body of the factory returns for the arguments."""
        try:
            return self._spec.call(self._spec.body, arguments)
        except jax.errors.TracerBoolConversionError as error:
            raise GradtxTypeError(
                f"the body of {self._spec.name} branches on a hyperparameter, which may be traced; use jnp.where, or "
                f"remove the annotation if it is a choice and no hyperparameter"
            ) from error


@overload
def transformation(body: Callable[P, Any], /) -> Callable[P, GradientTransformation]: ...
@overload
def transformation(
    *, role: Role | str | None = None
) -> Callable[[Callable[P, Any]], Callable[P, GradientTransformation]]: ...
@explains_calls("transformation")
def transformation(body: Any = None, /, *, role: Any = None) -> Any:
    """Decorates a factory of transforms: a function whose body returns a transform, or a pair `(init, update)`.

    Arguments annotated `Scalar` (or `Decay`, `NonNegative`) become leaves: `jit` traces them, `vmap` batches them,
    `grad` differentiates them, and each may be a schedule. In the body they are floats or 0-d arrays; do not branch on
    them.

    Args:
        body: the function.
        role: what it does with the transforms among its arguments, where their states are parts of its state: a
            `Role`, or its value. None, the default, for primitives and expressions.

    Raises:
        GradtxTypeError: an argument has the name of an attribute of transforms, such as `init`.

    Example:
        >>> @transformation
        ... def clipped_sgd(learning_rate: Scalar, max_norm: Positive = 1.0):
        ...     return chain(clip_by_global_norm(max_norm), scale_by_learning_rate(learning_rate))
        >>> clipped_sgd(schedules.linear(0.1, 0.0, 100))
        clipped_sgd(learning_rate=schedules.linear(init_value=0.1, end_value=0.0, steps=100), max_norm=1.0)
    """
    if body is None:
        return lambda body: make_factory(body, GradientTransformation, role)
    return make_factory(body, GradientTransformation, role)


def as_transformation(pair: Any) -> GradientTransformation:
    """Anything with `.init` and `.update`, or a tuple of the two, as a `GradientTransformation`."""
    if isinstance(pair, GradientTransformation):
        return pair
    if is_transform(pair):
        return GradientTransformation(pair.init, pair.update)
    if isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair)):
        return GradientTransformation(*pair)
    hint = "; is `return` missing?" if pair is None else ""
    if isinstance(pair, list):
        hint = "; give the transforms one by one, as in chain(*transforms)"
    elif spec := getattr(pair, "spec", None):
        hint = f"; that is a factory, call it: {spec.usage}"
    elif isinstance(pair, str) and pair in REGISTRY:
        hint = f"; give {REGISTRY[pair].usage}"
    elif isinstance(pair, Schedule):
        hint = "; that is a schedule: give it as the learning rate, adam(schedule), or as a factor, scale(schedule)"
    elif inspect.isfunction(pair):
        hint = "; that is a function: call it if it makes a transform; of a gradient it is one by elementwise(function)"
    error = GradtxTypeError(f"expected a transform, something with .init and .update, got {short(pair)}{hint}")
    error.lacks_transform = not hint
    raise error


_PAIR = Spec("GradientTransformation", GradientTransformation, {}, GradientTransformation)
_WORK = Spec("GradientTransformation", lambda work: GradientTransformation._of(work), {}, GradientTransformation)
