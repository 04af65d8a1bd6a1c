"""The protocol: a gradient transformation is a pair of pure functions, and a value.

    init(params) -> state
    update(updates, state, params=None, **extra) -> (updates, state)

A factory decorated with `@transformation` returns the record of its call; the work is built from the factory's body
when it is first used.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.branch import like
from gradtx._base.calls import explains_calls
from gradtx._base.errors import (
    GradtxError,
    GradtxTypeError,
    GradtxValueError,
    add_stages,
    at_stage,
    short,
    without_machinery,
)
from gradtx._base.numerics import any_traced, increment, is_traced
from gradtx._base.optax_class import OptaxClass
from gradtx._base.states import state_class
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
from gradtx._core.compose import around
from gradtx._core.context import Built, Context, Work
from gradtx._core.facts import of_alternatives, of_branches
from gradtx._core.meshes import on_any_mesh
from gradtx._core.pairs import check_pair, work_of_pair
from gradtx._core.parts import holds_pairs, is_transform, parts
from gradtx._core.state_errors import explained
from gradtx._values.factory import P, make_factory
from gradtx._values.registry import REGISTRY, Role, Spec
from gradtx._values.schedule import Schedule, prepared, scheduled_names
from gradtx._values.value import Value, is_plain, is_value


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

    def __init__(self, init: Callable[..., State], update: Callable[..., Any]):
        check_pair(init, update)
        self._set(_PAIR, {"init": init, "update": update}, Built((), work_of_pair(init, update)))

    @classmethod
    def _of(cls, work: Work) -> "GradientTransformation":
        """A transform that does this work."""
        self = object.__new__(cls)
        self._set(_WORK, {"work": work}, Built((), on_any_mesh(work) if work.mixes_axes else work))
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
            better = _of_memory(error, parameters=params)
            if better is error:
                raise
            raise better from None

    @explains_calls("tx.update")
    def update(self, /, updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        """The updates transformed, and the state after them. Give `params` and extras by keyword where needed.

        Each array that goes out has the dtype of its parameter; of the update that came in, without the parameters.
        """
        step = Context(extra)
        if any_traced(updates):
            step = step._replace(is_traced=True, scope=jax.named_scope)
        try:
            updates, params = admitted(updates, params)
            out, new = self._built().update(step, updates, state, params)
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
                better = _of_memory(error, updates=updates, state=state, parameters=params)
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
        if not is_plain(self):
            return
        leaves = jax.tree.leaves(self, is_leaf=lambda x: isinstance(x, Schedule))
        name = self._spec.variadic
        is_misplaced = name not in self._spec.numbers and any(
            isinstance(x, Schedule) for x in self._arguments.get(name or "", ())
        )
        if is_misplaced or not any(isinstance(x, Schedule) for x in leaves):  # to read one starts a backend
            self._built()

    @property
    def _is_bare(self) -> bool:
        """Whether no factory made it."""
        return self._spec is _PAIR or self._spec is _WORK

    def _built(self) -> Built:
        """The work of the transform, hyperparameters ready for use."""
        if self._cache is not None:
            return self._cache
        if self._is_bare:  # taken apart and put together as a pytree
            work = self._arguments.get("work") or work_of_pair(**self._arguments)
            return Built((), on_any_mesh(work) if work.mixes_axes else work)
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
                first = _at(self, read_schedules(self, 0))
                return Built((name, *first.stages[1:]), _following_schedules(self, first))
            whole = as_transformation(self._called(prepared(self)))
            stages, work = whole._built()
            if whole._spec is _WORK:
                work = self._with_facts(name, whole._arguments["work"], work)
        except Exception as error:
            if isinstance(error, GradtxError) and error.lacks_transform and not error.stages:
                error.complaint += f"; it is called as {self._spec.usage}"
            add_stages(error, (name,))
            raise
        return Built((name, *stages), work)

    def _with_facts(self, name: str, own: Work, work: Work) -> Work:
        """The work of a primitive or a combinator, with what follows from the transforms in it."""
        if own.mixes_axes:
            work = on_any_mesh(own, self, lambda tx: tx._build().work)
        if not (self._spec.is_ours and is_plain(self)) or holds_pairs(self._arguments):
            return work  # others may turn a sign, and what is not cached would be built again at each level
        inside = [as_transformation(part.transform)._built().work for part in parts(self)]
        if inside and self._spec.role is Role.WRAPPER:
            work = replace(work, **of_alternatives(work, inside))
        elif self._spec.role is Role.NAMING:  # the output is that of the last
            work = replace(work, **of_alternatives(work, inside[-1:]))
        elif self._spec.role is Role.SIDE_BY_SIDE:
            work = replace(work, **of_branches(work, inside))
        is_turned = work.descends or work.is_step or work.is_zero
        if own.keeps_sign is None:
            work = replace(work, keeps_sign=not is_turned and all(inner.keeps_sign for inner in inside))
        return work

    def _called(self, arguments: dict[str, Any]) -> Any:
        """What the body of the factory returns for the arguments."""
        try:
            return self._spec.call(self._spec.body, arguments)
        except jax.errors.TracerBoolConversionError as error:
            raise GradtxTypeError(
                f"the body of {self._spec.name} branches on a hyperparameter, which may be traced; use jnp.where, or "
                f"remove the annotation if it is a choice and no hyperparameter"
            ) from error


def _of_memory(error: Exception, **trees_by_name: Any) -> Exception:
    """The error, or a better one if the cause is an array without values: a shape, or memory that was given away."""
    if isinstance(error, GradtxError):
        return error
    if any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(trees_by_name)):
        return GradtxTypeError(
            "some arrays have shapes only, and no values; for the shapes of the state: jax.eval_shape(tx.init, params)"
        )
    for path, x in jax.tree_util.tree_leaves_with_path(trees_by_name):
        if isinstance(x, jax.Array) and not is_traced(x) and x.is_deleted():
            return GradtxValueError(
                f"the memory of {trees.path_text(path)} was given to the results of an earlier step; go on with what "
                f"that step returned, or make it with donate=False"
            )
    return error


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


@state_class
class Scheduled(NamedTuple):
    """The state of a transform with hyperparameters that follow schedules.

    Attributes:
        count: int32, the number of updates so far.
        values: the scheduled hyperparameters as they were in the last update (as they will be in the first, before it).
        inner: the state of the transform itself.
    """

    count: Any
    values: dict[str, Any]
    inner: Any


def _following_schedules(tx: GradientTransformation, first: Built) -> Work:
    """The work of `tx`, whose schedules are read at each step: at 0 for the first update."""

    def start() -> tuple:
        values = read_schedules(tx, 0)
        _check_first(tx, values)
        return jnp.zeros((), jnp.int32), values

    def advance(own: tuple) -> tuple[tuple, tuple]:
        count, old = own
        values = jax.tree.map(like, read_schedules(tx, count), old)
        return (count, values), (increment(count), values)

    return around(Scheduled, first, start, advance, lambda own: _at(tx, own[1]))


def read_schedules(tx: GradientTransformation, count: Any) -> dict[str, Any]:
    """The scheduled hyperparameters of `tx` at `count`."""
    numbers = {name: tx._arguments[name] for name in scheduled_names(tx)}
    return jax.tree.map(
        lambda x: x(count) if isinstance(x, Schedule) else jnp.asarray(x, float), numbers, is_leaf=is_value
    )


def _check_first(tx: GradientTransformation, values: dict[str, Any]) -> None:
    """Raises if a schedule begins outside of the range of its hyperparameter; in a trace its values are not known."""
    for name, given in values.items():
        number = tx._spec.numbers[name]
        for x in jax.tree.leaves(given):
            if is_traced(x) or jnp.ndim(x) or number.low <= x <= number.high:
                continue  # a decay may be 1, or rounded to it
            hint = "; the minus of a descent step is built in" if x < 0 and number.allows(-float(x)) else ""
            raise GradtxValueError(f"{name}: expected {number} from the schedule, got {float(x):.6g} at step 0{hint}")


def _at(tx: GradientTransformation, values: dict[str, Any]) -> Built:
    """What `tx` is built as with its scheduled hyperparameters replaced by `values`."""
    return GradientTransformation._make(tx._spec, tx._arguments | values)._build()


def _pair(init: Any, update: Any) -> Any:
    return GradientTransformation(init, update)


def _work(work: Any) -> Any:
    return GradientTransformation._of(work)


_PAIR = Spec("GradientTransformation", _pair, {}, GradientTransformation, factory=GradientTransformation)
_WORK = Spec("GradientTransformation", _work, {}, GradientTransformation, factory=GradientTransformation._of)
