"""Matches the arrays of an Optax state with the arrays of a gradtx state, and gives the conversion for each.

`Pairing` traverses both states together; each leaf is replaced by its index. The stateful stages of an `optax.chain`
form a queue. Each stateful part of the gradtx transform takes the next stage from the queue and checks that its type is
the type in `STAGES`. The result is a `Recipe` per leaf, in both directions.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, at_stage, listing
from gradtx._base.numerics import abs_square
from gradtx._base.typing import State
from gradtx._combinators.accumulation import accumulate_gradients
from gradtx._combinators.condition import skip_nonfinite
from gradtx._combinators.inject import inject
from gradtx._core.parts import Part, parts
from gradtx._core.protocol import GradientTransformation
from gradtx._core.scheduled import Scheduled, read_schedules
from gradtx._inspection.state_dict import names
from gradtx._inspection.walking import shares, unfolded, unscheduled
from gradtx._values.registry import Spec
from gradtx._values.schedule import scheduled_names
from gradtx.interop._clocks import clocks
from gradtx.interop._specs import spec_of
from gradtx.interop._stages import RATE_BEFORE_MOMENTUM, STAGES


class Recipe(NamedTuple):
    """Computes one leaf from leaves of the other state.

    Attributes:
        function: maps the source arrays to the leaf.
        sources: the indices of the source leaves in the other state.
    """

    function: Callable[..., Any]
    sources: tuple[int, ...]


def _count_of(to_count: Callable[[State], Any], own: State) -> Recipe:
    """The step count, from the leaves of the state of a clock; `own` has their indices."""
    indices, treedef = jax.tree.flatten(own)
    return Recipe(lambda *leaves: to_count(treedef.unflatten(leaves)), tuple(indices))


@dataclass
class Row:
    """A sequence of Optax stages.

    Attributes:
        stages: the stateful stages, in order.
        schedules: the step counts of schedules.
        counts: the other step counts.
        rates: the learning rates stored in the state.
        outer: the enclosing row, if both count the same steps.
        ours: recipes for the step count from the gradtx state.
    """

    stages: deque[Any] = field(default_factory=deque)
    schedules: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)
    outer: "Row | None" = None
    ours: list[Recipe] = field(default_factory=list)

    def add(self, state: State) -> None:
        """Adds the state of a stage or of a chain of stages."""
        fields, kind = getattr(state, "_fields", ()), type(state).__name__
        if kind == "MaskedState":
            self.add(state.inner_state)
        elif "hyperparams" in fields:
            self.add(state.inner_state)
            held = jax.tree_util.tree_leaves_with_path(getattr(state, "hyperparams_states", ()))
            self.schedules += [state.count, *(x for path, x in held if trees.path_text(path).endswith("count"))]
            self.rates += [x for name, x in state.hyperparams.items() if name == "learning_rate"]
        elif kind == "ScaleByScheduleState":
            self.schedules.append(state.count)
        elif isinstance(state, (tuple, list)) and not fields:
            for stage in state:
                self.add(stage)
        elif jax.tree.leaves(state):
            self.stages.append(state)
            if "count" in fields:
                self.counts.append(getattr(state, "count"))  # type checkers see tuple.count  # noqa: B009

    def steps(self) -> tuple[int, ...]:
        """The indices of the leaves that count the steps of this row."""
        own = self.schedules or self.counts
        return tuple(own) if own or self.outer is None else self.outer.steps()

    def changes(self) -> bool:
        """Whether a schedule may have changed a learning rate of this row or of an enclosing one."""
        return bool(self.schedules) or (self.outer is not None and self.outer.changes())


class Pairing:
    """The recipes that convert between two states.

    Attributes:
        ours: the recipe per leaf of the gradtx state; None if the leaf keeps its initial value.
        theirs: the recipe per leaf of the Optax state; a leaf without a recipe keeps its value.
        uncounted: the schedule counts of the Optax state that have no counterpart in the gradtx state.
    """

    def __init__(self, tx: GradientTransformation, ours: State, theirs: State):
        self.ours: dict[int, Recipe | None] = {}
        self.theirs: dict[int, Recipe] = {}
        self.uncounted: list[int] = []
        self._rate: float | None = None  # a factor in Optax's momentum buffer that gradtx's does not have
        state = _numbered(ours)
        clocks(tx, state)
        self._follow(tx, state, _numbered(theirs))
        lacking = [name for index, name in enumerate(names(tx, ours)) if index not in self.ours]
        if lacking:
            raise GradtxValueError(f"the Optax state has no counterpart for {listing(lacking)} of {tx.factory_name}")

    def _follow(self, tx: GradientTransformation, ours: State, theirs: State, outer: Row | None = None) -> None:
        """Pairs a transform with an entire Optax state."""
        row = Row(outer=outer)
        row.add(theirs)
        self._visit(tx, ours, row)
        if row.stages:
            left = listing(_kind(stage) for stage in row.stages)
            raise GradtxValueError(f"the Optax state has stages without a counterpart in {tx.factory_name}: {left}")
        for count in [*row.schedules, *row.counts]:
            if row.ours:
                self.theirs.setdefault(count, row.ours[0])
            elif count in row.schedules:
                self.uncounted.append(count)
        if outer is not None:
            outer.ours += row.ours

    def _visit(self, tx: GradientTransformation, state: State, row: Row) -> None:
        own, around = unscheduled(state), self._rate
        with at_stage(tx.factory_name):
            if tx._spec in RATE_BEFORE_MOMENTUM and tx.momentum is not None:
                self._rate = _constant_rate(tx, row)
            if isinstance(state, Scheduled):
                self._schedule(tx, state, row)
            if jax.tree.leaves(own):
                self._stored(tx, own, row)
        self._rate = around

    def _stored(self, tx: GradientTransformation, state: State, row: Row) -> None:
        if tx._spec in STAGES:
            self._stage(tx, state, row)
        elif tx._spec in WRAPPERS:
            WRAPPERS[tx._spec](self, tx, state, row)
        elif (whole := unfolded(tx)) is not None:
            self._visit(whole, state, row)
        elif found := shares(tx, state):
            self._parts(found, row)
        else:
            self._clock(tx, state, row)

    def _parts(self, found: list[tuple[GradientTransformation, Part, State]], row: Row) -> None:
        by_key = _by_key(row.stages[0]) if row.stages and all(part.key is not None for _, part, _ in found) else None
        if by_key is not None and (set(by_key) == {part.key for _, part, _ in found}):
            row.stages.popleft()
            for inner, part, state in found:
                self._follow(inner, state, by_key[part.key], row)
        else:
            for inner, _, state in found:
                self._visit(inner, state, row)

    def _take(self, kind: str, row: Row) -> Any:
        """Removes the next stage of the row and returns it; raises if it is not of this kind."""
        if not row.stages or _kind(row.stages[0]) != kind:
            got = f"a {_kind(row.stages[0])}" if row.stages else "no further stage"
            raise GradtxValueError(
                f"expected a {kind} as the next stateful stage of the Optax state, got {got}; give the transform "
                f"that is made as the one of Optax was: adam for optax.adam"
            )
        return row.stages.popleft()

    def _stage(self, tx: GradientTransformation, state: State, row: Row) -> None:
        stage = STAGES[tx._spec]
        for name, value in stage.only.items():
            if tx.arguments[name] != value:
                raise GradtxValueError(
                    f"Optax supports {name}={value!r} only, got {tx.arguments[name]!r}; set {name}={value!r}"
                )
        found = self._take(stage.kind, row)
        named = dict(zip(names(tx, state), jax.tree.leaves(state), strict=True))
        for name, place in stage.places.items():
            start = "/".join(filter(None, (tx.factory_name, place)))
            mine = {key[len(start) + 1 :]: x for key, x in named.items() if f"{key}/".startswith(f"{start}/")}
            for own, other in _by_path(mine, getattr(found, name), f"{stage.kind}.{name}"):
                self._link(own, other, self._rate if name == "trace" else None)
        if stage.centred:
            self._centre(tx.decay, list(named.values()), jax.tree.leaves((found.mu, found.nu)))
        for clock, own in clocks(tx, state):
            for index, recipe in clock.recipes(own):
                self.ours[index] = Recipe(recipe, (found.count,))
            if clock.to_count is not None:
                self.theirs[found.count] = _count_of(clock.to_count, own)
                row.ours.append(self.theirs[found.count])

    def _centre(self, decay: Any, own: list[int], other: list[int]) -> None:
        """Converts the second moment of a centred RMSProp.

        Optax stores the mean square. gradtx stores the mean squared deviation, which is `decay` times the variance.
        """
        half = len(own) // 2
        for mean, deviation, mu, nu in zip(own[:half], own[half:], other[:half], other[half:], strict=True):
            self.ours[deviation] = Recipe(lambda nu, mu: decay * jnp.maximum(nu - abs_square(mu), 0.0), (nu, mu))
            self.theirs[nu] = Recipe(lambda w, m: w / decay + abs_square(m), (deviation, mean))

    def _schedule(self, tx: GradientTransformation, state: Scheduled, row: Row) -> None:
        steps = row.steps()
        if not steps:
            scheduled = listing(scheduled_names(tx))
            raise GradtxValueError(
                f"expected a step count in the Optax state for the schedule of {scheduled}, got none"
            )

        def value(position: int, *counts: Any) -> Any:
            last = jnp.maximum(_agreed(*counts) - 1, 0)
            return jax.tree.leaves(read_schedules(tx, last))[position]

        self.ours[state.count] = Recipe(_agreed, steps)
        for position, index in enumerate(jax.tree.leaves(state.values)):
            self.ours[index] = Recipe(lambda *counts, position=position: value(position, *counts), steps)
        row.ours.insert(0, Recipe(_same, (state.count,)))

    def _clock(self, tx: GradientTransformation, state: State, row: Row) -> None:
        for clock, own in clocks(tx, state):
            if row.steps():
                for index, recipe in clock.recipes(own):
                    self.ours[index] = Recipe(lambda *counts, recipe=recipe: recipe(_agreed(*counts)), row.steps())
            if clock.to_count is not None:
                row.ours.append(_count_of(clock.to_count, own))

    def _accumulate(self, tx: GradientTransformation, state: Any, row: Row) -> None:
        found = self._take("MultiStepsState", row)

        def window(emitted: Any) -> Any:
            every = tx.arguments["every"]
            length = every(emitted) if callable(every) else every
            return jnp.maximum(jnp.round(jnp.asarray(length, float)), 1.0)

        def mean(acc: Any, count: Any, emitted: Any) -> Any:
            return acc * (count.astype(float) / window(emitted)).astype(acc.real.dtype)

        def accumulated(mean: Any, count: Any, emitted: Any) -> Any:
            factor = window(emitted) / jnp.maximum(count.astype(float), 1.0)
            return mean * jnp.where(count == 0, 0.0, factor).astype(mean.real.dtype)

        mine = dict(zip(trees.paths(state.mean), jax.tree.leaves(state.mean), strict=True))
        for own, other in _by_path(mine, found.acc_grads, "MultiStepsState.acc_grads"):
            self.ours[own] = Recipe(mean, (other, found.mini_step, found.gradient_step))
            self.theirs[other] = Recipe(accumulated, (own, state.count, state.emitted))
        self._link(state.count, found.mini_step)
        self._link(state.emitted, found.gradient_step)
        self._follow(parts(tx)[0].transform, state.inner, found.inner_opt_state)

    def _skip(self, tx: GradientTransformation, state: Any, row: Row) -> None:
        found = self._take("ApplyIfFiniteState", row)
        self._link(state.total, found.total_notfinite)
        self._link(state.consecutive, found.notfinite_count)
        self.ours[state.skipped] = Recipe(jnp.logical_not, (found.last_finite,))
        self.theirs[found.last_finite] = Recipe(jnp.logical_not, (state.skipped,))
        self._follow(parts(tx)[0].transform, state.inner, found.inner_state)

    def _inject(self, tx: GradientTransformation, state: Any, row: Row) -> None:
        for name, index in state.numbers.items():
            self.ours[index] = None
            if name == "learning_rate" and row.rates:
                self._link(index, row.rates[0])
        self._visit(parts(tx)[0].transform, state.inner, row)

    def _link(self, own: int, other: int, rate: float | None = None) -> None:
        there, back = (_same, _same) if rate is None else (lambda x: x * (-1 / rate), lambda x: x * -rate)
        self.ours[own], self.theirs[other] = Recipe(there, (other,)), Recipe(back, (own,))


WRAPPERS: dict[Spec, Callable[..., None]] = {
    spec_of(accumulate_gradients): Pairing._accumulate,
    spec_of(skip_nonfinite): Pairing._skip,
    spec_of(inject): Pairing._inject,
}
"""The wrappers whose Optax state has its own type."""


def _numbered(state: State) -> State:
    treedef = jax.tree.structure(state)
    return treedef.unflatten(range(treedef.num_leaves))


def _same(x: Any) -> Any:
    return x


def _by_path(mine: Mapping[str, int], theirs: Any, what: str) -> list[tuple[int, int]]:
    """Pairs the leaves of both by the paths of their parameters; raises if the paths differ."""
    paths = trees.paths(theirs)
    if [path.removeprefix("(root)") for path in paths] != [path.removeprefix("(root)") for path in mine]:
        raise GradtxValueError(
            f"expected the parameters {listing(mine)}, got {listing(paths)} in {what} of the Optax state"
        )
    return list(zip(mine.values(), jax.tree.leaves(theirs), strict=True))


def _kind(stage: Any) -> str:
    return type(stage).__name__


def _by_key(stage: Any) -> Mapping[Any, State] | None:
    """The states of a named chain by name, or of a partition by label; None for other stages."""
    found = getattr(stage, "inner_states", stage)
    return found if isinstance(found, Mapping) else None


def _agreed(*counts: Any) -> Any:
    """The common value of the step counts; raises if they differ."""
    if len({int(count) for count in counts}) > 1:
        raise GradtxValueError(f"the stages of the Optax state have different step counts: {listing(map(int, counts))}")
    return counts[0]


def _constant_rate(tx: GradientTransformation, row: Row) -> float:
    """The learning rate that Optax multiplies into its momentum buffer; raises if it is scheduled or 0."""
    if scheduled_names(tx) or row.changes():
        raise GradtxValueError(
            "Optax's momentum buffer is scaled by the learning rate, and a scheduled learning rate cannot be divided "
            "out; use chain(scale_by_rms(...), scale_by_learning_rate(...), add_momentum(...)), which is Optax's order"
        )
    rate = float(tx.learning_rate)
    if rate == 0:
        raise GradtxValueError(
            "Optax's momentum buffer is scaled by the learning rate, and a learning rate of 0 cannot be divided out"
        )
    return rate
