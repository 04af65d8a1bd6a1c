"""The protocol: a gradient transformation is a pair of pure functions, and a value.

    init(params) -> state
    update(updates, state, params=None, **extra) -> (updates, state)

A factory decorated with `@transformation` returns the record of its call; the pair is built from the factory's body
when it is first used. Schedules are read here, in one place, so no transform holds code for them.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, at_stage, listing, short, wrong_state
from gradtx._base.numerics import increment
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.gate import chosen
from gradtx._core.kernel import Begin, Clock, Flow, Kernel, Slot, Step
from gradtx._values.factory import P, make_factory
from gradtx._values.schedule import Schedule, is_constant, prepared, scheduled_names
from gradtx._values.value import Spec, Value, is_value


class GradientTransformation(Value):
    """A pair of pure functions, unpackable as `init, update = tx`.

    Most are made by factories (`adam(1e-3)`, `chain(...)`); a bare pair is legal everywhere and only prints less.

    Args:
        init: `params -> state`. The state is a pytree of arrays, and in structure, shapes and dtypes a fixed point of
            `update`.
        update: `(updates, state, params=None, **extra) -> (updates, state)`. Extras are keyword-only arguments that it
            names; the others are not passed to it, unless it takes `**extra`.
        kernel: what the pair does to one array, if it can be said; the constructors know.
        factor: `(updates, state, params, opened=None) -> (factor, state)` where all that the pair does is to multiply
            the whole tree by one number. Where it is closed what it says does not count, and derivatives are finite.
        gated: `(opened, often) -> update`, the update where the 0-d boolean says so, else zero updates and the state as
            it was, chosen in the loops over the arrays, or None; where a kernel does not say it already. `often` is
            whether it is opened at most steps.
    """

    __slots__ = ()

    def __init__(
        self,
        init: Callable[..., State],
        update: Callable[..., Any],
        kernel: Kernel | None = None,
        factor: Callable[..., tuple[Array, State]] | None = None,
        gated: Callable[[Array, bool], Callable[..., Any] | None] | None = None,
    ):
        self._set(_PAIR, {"init": init, "update": update, "kernel": kernel, "factor": factor, "gated": gated})

    def init(self, params: Params) -> State:
        """The state before the first update, for parameters of this structure."""
        if self._spec is _PAIR:
            return self._arguments["init"](params)
        with at_stage(self.name):
            return self._built().init(params)

    def update(self, updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        """The updates transformed, and the state after them. Give `params` and extras by keyword where needed."""
        if self._spec is _PAIR:
            return self._call_update(updates, state, params, extra)
        with at_stage(self.name):
            return self._built().update(updates, state, params, **extra)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter((self.init, self.update))

    @property
    def kernel(self) -> Kernel | None:
        """What the transform does to one array, or None if it needs more than one array at a time."""
        if self._spec is _PAIR:
            return self._arguments["kernel"]
        kernel = _scheduled_kernel(self) if scheduled_names(self) else self._built().kernel
        if kernel is None or kernel.needs_params is None:
            return kernel
        return replace(kernel, needs_params=f"{self.name} > {kernel.needs_params}".removesuffix(" > "))

    @property
    def factor(self) -> Callable[..., tuple[Array, State]] | None:
        """What the whole tree is multiplied by, where that is all; see the class."""
        if self._spec is _PAIR:
            return self._arguments["factor"]
        return None if scheduled_names(self) else self._built().factor

    @property
    def gated(self) -> Callable[[Array, bool], Callable[..., Any] | None] | None:
        """The update behind a gate, where there is no kernel to put behind it; see the class."""
        if self._spec is _PAIR:
            return self._arguments["gated"]
        return _scheduled_gated(self) if scheduled_names(self) else self._built().gated

    @property
    def takes_pending(self) -> bool:
        """Whether `update` takes a number, `pending`, by which it multiplies what comes in while it works on it."""
        if self._spec is not _PAIR:
            return self._built().takes_pending
        _, wanted = _extras_of(self._arguments["update"])
        return wanted is not None and "pending" in wanted

    @property
    def expression(self) -> "GradientTransformation | None":
        """What a named optimizer stands for; None for what is not made of parts."""
        if self._spec is _PAIR:
            return None
        with at_stage(self.name):
            whole = self._spec.call(self._spec.body, self._arguments)
        return whole if isinstance(whole, GradientTransformation) and whole._spec is not _PAIR else None

    def _built(self) -> "GradientTransformation":
        """What the factory's body returns for the arguments, numbers ready for use."""
        if self._cache is not None:
            return self._cache
        if scheduled_names(self):
            return _following_schedules(self)
        if not is_constant(self):
            return self._call_body()
        with jax.ensure_compile_time_eval():  # what is kept must not hold tracers of the trace it was made in
            built = self._call_body()
        object.__setattr__(self, "_cache", built)
        return built

    def _call_body(self) -> "GradientTransformation":
        try:
            return as_transformation(self._spec.call(self._spec.body, prepared(self)))
        except jax.errors.TracerBoolConversionError as error:
            raise GradtxTypeError(
                f"the body of {self.name} branches on a number, which may be traced; use jnp.where, or take the "
                f"annotation away if it is no number but a choice"
            ) from error

    def _call_update(self, updates: Updates, state: State, params: Params, extra: dict[str, Any]) -> Any:
        update = self._arguments["update"]
        needed, wanted = self._cache or _extras_of(update)
        object.__setattr__(self, "_cache", (needed, wanted))
        for name in needed:
            if name not in extra:
                raise GradtxTypeError(
                    f"the extra argument {name!r} is missing; call tx.update(updates, state, params, {name}=...)"
                )
        if wanted is not None:
            extra = {name: value for name, value in extra.items() if name in wanted}
        return update(updates, state, params, **extra)


def transformation(body: Callable[P, Any]) -> Callable[P, GradientTransformation]:
    """Decorates a factory of transforms: a function whose body returns a transform, or a pair `(init, update)`.

    Arguments annotated `Scalar` (or `Decay`, `NonNegative`) become leaves: `jit` traces them, `vmap` batches them,
    `grad` differentiates them, and each may be a schedule. In the body they are floats or 0-d arrays; do not branch on
    them.
    """
    return make_factory(body, GradientTransformation)


def _extras_of(update: Callable[..., Any]) -> tuple[list[str], set[str] | None]:
    """The extras without which `update` cannot do, and all that it takes; None for any."""
    parameters = list(inspect.signature(update).parameters.values())
    needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return needed, None if anything else {p.name for p in parameters[3:]}


def as_transformation(pair: Any) -> GradientTransformation:
    """Anything with `.init` and `.update`, or a tuple of the two, as a `GradientTransformation`."""
    if isinstance(pair, GradientTransformation):
        return pair
    if hasattr(pair, "init") and hasattr(pair, "update"):
        return GradientTransformation(pair.init, pair.update)
    if isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair)):
        return GradientTransformation(*pair)
    hint = ""
    if isinstance(pair, list):
        hint = "; give the transforms one by one, as in chain(*transforms)"
    elif spec := getattr(pair, "spec", None):
        hint = f"; that is a factory, call it: {spec.usage}"
    raise GradtxTypeError(f"a transform is wanted, something with .init and .update, got {short(pair)}{hint}")


class Scheduled(NamedTuple):
    """The state of a transform with numbers that follow schedules.

    Attributes:
        count: int32, the number of updates so far.
        values: the scheduled numbers as they were in the last update (as they will be in the first, before it).
        inner: the state of the transform itself.
    """

    count: Any
    values: dict[str, Any]
    inner: Any


def _following_schedules(tx: GradientTransformation) -> GradientTransformation:
    """`tx` with its schedules read at each step: at 0 for the first update."""

    def init(params: Params) -> Scheduled:
        values = _read(tx, 0)
        return Scheduled(jnp.zeros((), jnp.int32), values, _at(tx, values).init(params))

    def update(updates: Updates, state: Scheduled, params: Params = None, **extra: Any) -> tuple[Updates, Scheduled]:
        if not isinstance(state, Scheduled):
            raise wrong_state(f"a `Scheduled`, because of the schedules for {listing(scheduled_names(tx))}", state)
        values = _read(tx, state.count)
        updates, inner = _at(tx, values).update(updates, state.inner, params, **extra)
        return updates, Scheduled(increment(state.count), values, inner)

    return GradientTransformation(init, update)


def _scheduled_kernel(tx: GradientTransformation) -> Kernel | None:
    """The kernel of `_following_schedules(tx)`."""
    inner = _at(tx, _read(tx, 0)).kernel
    if inner is None:
        return None

    def kernel_at(values: dict[str, Any]) -> Kernel:
        kernel = _at(tx, values).kernel
        assert kernel is not None, "whether there is a kernel must not depend on a number"
        return kernel

    def start() -> tuple[Begin, Clock]:
        first = _read(tx, 0)  # here and not above: a kernel may be kept, and the width of floats may change
        begin, clock = kernel_at(first).start()
        memory = Scheduled(None, dict.fromkeys(first), None)
        return lambda p: memory._replace(inner=begin(p)), Scheduled(jnp.zeros((), jnp.int32), first, clock)

    def tick(clock: Clock) -> tuple[Step, Clock]:
        values = _read(tx, clock.count)
        work, inner_clock = kernel_at(values).tick(clock.inner)

        def step(g: Flow, memory: Any, p: Array | None) -> tuple[Flow, Any]:
            g, inner = work(g, memory.inner, p)
            return g, memory._replace(inner=inner)

        return step, Scheduled(increment(clock.count), values, inner_clock)

    layout = Scheduled(Slot.CLOCK, dict.fromkeys(scheduled_names(tx), Slot.CLOCK), inner.layout)
    return Kernel(layout, start, tick, inner.needs_params)


def _scheduled_gated(tx: GradientTransformation) -> Callable[..., Any] | None:
    """The update of `_following_schedules(tx)` behind a gate."""
    if _at(tx, _read(tx, 0)).gated is None:
        return None

    def behind(opened: Array, often: bool) -> Callable[..., Any] | None:
        def gated_at(values: dict[str, Any]) -> Any:
            gated = _at(tx, values).gated
            return None if gated is None else gated(opened, often)

        def update(updates: Updates, state: Scheduled, params: Params = None, **extra: Any) -> tuple[Updates, State]:
            values = _read(tx, state.count)
            updates, inner = gated_at(values)(updates, state.inner, params, **extra)
            count, values = chosen(opened, (increment(state.count), values), (state.count, state.values))
            return updates, Scheduled(count, values, inner)

        return None if gated_at(_read(tx, 0)) is None else update

    return behind


def _read(tx: GradientTransformation, count: Any) -> dict[str, Any]:
    """The scheduled numbers of `tx` at `count`."""
    numbers = {name: tx._arguments[name] for name in scheduled_names(tx)}
    return jax.tree.map(lambda x: x(count) if isinstance(x, Schedule) else x, numbers, is_leaf=is_value)


def _at(tx: GradientTransformation, values: dict[str, Any]) -> GradientTransformation:
    """What `tx` is built as with its scheduled numbers replaced by `values`."""
    return GradientTransformation._make(tx._spec, tx._arguments | values)._built()


def apply_updates(params: Params, updates: Updates) -> Params:
    r"""Adds the updates to the parameters, in the wider dtype of the two, and returns the parameters' dtypes.

    .. math:: p \leftarrow p + u

    Args:
        params: a pytree of arrays.
        updates: a pytree of the same structure and shapes; where it has None, or the empty gradient that JAX gives for
            integers, the parameter stays as it is.

    Raises:
        GradtxValueError: structures or shapes differ.
    """
    leaves, treedef = jax.tree.flatten(params)
    parts = trees.leaves_like(params, updates, "parameters", "updates", absent=True)
    return treedef.unflatten([p if u is None else _add(p, u) for p, u in zip(leaves, parts, strict=True)])


def _add(p: Any, u: Any) -> Array:
    dtype = jnp.result_type(p)
    if dtype == jnp.result_type(u):
        return p + u
    wide = _wider(dtype, jnp.result_type(u))
    return (jnp.asarray(p, wide) + jnp.asarray(u, wide)).astype(dtype)


def _wider(*dtypes: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(*dtypes)


def _pair(init: Any, update: Any, kernel: Any = None, factor: Any = None, gated: Any = None) -> Any:
    return GradientTransformation(init, update, kernel, factor, gated)


_PAIR = Spec("GradientTransformation", _pair, inspect.signature(_pair), {}, GradientTransformation)
_PAIR.factory = GradientTransformation
