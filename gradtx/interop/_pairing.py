"""Which array of an Optax state is which array of a gradtx state, and how one follows from the other.

Both states are walked at once, with the numbers of their leaves in place of the arrays. The stages of an `optax.chain`
that store something stand in a row; each part of the gradtx transform that stores something takes the next one, which
must be of the type that `STAGES` says. What comes out are recipes, for both directions.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, at_stage, listing
from gradtx._base.numerics import abs_square
from gradtx._base.typing import State
from gradtx._core.parts import Part, parts, share
from gradtx._core.protocol import GradientTransformation, Scheduled, _read, as_transformation, unfolded, unscheduled
from gradtx._inspection.state_dict import names
from gradtx._values.schedule import scheduled_names
from gradtx.interop._clocks import clocks


class Stage(NamedTuple):
    """What a transform of gradtx is in Optax.

    Attributes:
        kind: the name of the type of its state there.
        places: for each field of that state, where gradtx has it: the name within the transform, as in `state_dict`.
        counts: whether the state's `count` says something; for some it is only there.
        only: the arguments, by name, for which Optax has it.
        centred: whether the second field is a mean square, where gradtx has a mean squared deviation.
    """

    kind: str
    places: dict[str, str]
    counts: bool = False
    only: Mapping[str, Any] = MappingProxyType({})
    centred: bool = False


_FIRST, _SECOND = "numerator/scale_by_ema", "denominator/scale_by_ema"

STAGES = {
    "scale_by_adam": Stage("ScaleByAdamState", {"mu": _FIRST, "nu": _SECOND}, True),
    "scale_by_adamax": Stage("ScaleByAdamState", {"mu": _FIRST, "nu": "denominator/running_max"}, True),
    "scale_by_nadam": Stage(
        "ScaleByAdamState", {"mu": "numerator/interpolate/first/scale_by_ema", "nu": _SECOND}, True
    ),
    "scale_by_radam": Stage("ScaleByAdamState", {"mu": _FIRST, "nu": _SECOND}, True),
    "scale_by_yogi": Stage("ScaleByAdamState", {"mu": _FIRST, "nu": "denominator/scale_by_additive_ema"}, True),
    "scale_by_amsgrad": Stage(
        "ScaleByAmsgradState",
        {"mu": _FIRST, "nu": _SECOND, "nu_max": "denominator/running_max"},
        True,
        only={"corrected": True},
    ),
    "scale_by_belief": Stage("ScaleByBeliefState", {"mu": "value/scale_by_ema", "nu": f"body/ratio/{_SECOND}"}, True),
    "scale_by_lion": Stage("ScaleByLionState", {"mu": "interpolate/first/scale_by_ema"}),
    "scale_by_rms": Stage("ScaleByRmsState", {"nu": _SECOND}),
    "scale_by_stddev": Stage(
        "ScaleByRStdDevState", {"mu": "denominator/parallel/scale_by_ema", "nu": _SECOND}, centred=True
    ),
    "scale_by_rss": Stage("ScaleByRssState", {"sum_of_squares": "denominator/running_sum"}),
    "adadelta": Stage("ScaleByAdaDeltaState", {"e_g": "ratio/denominator/scale_by_ema", "e_x": "scale_by_update_rms"}),
    "scale_by_ema": Stage("EmaState", {"ema": ""}),
    "add_momentum": Stage("TraceState", {"trace": ""}),
}

RATE_BEFORE_MOMENTUM = {"rmsprop"}
"""Where Optax has the learning rate before the momentum, and gradtx after it."""


class Recipe(NamedTuple):
    """How one leaf follows from leaves of the other state, given by their numbers."""

    function: Callable[..., Any]
    sources: tuple[int, ...]


@dataclass
class Row:
    """Stages of Optax that follow each other.

    Attributes:
        stages: the states of those that store something, in order.
        schedules: the counts that schedules are read at.
        counts: the other counts.
        rates: the learning rates that the state holds.
        outer: the row in which this one stands, if both count the same steps.
        ours: what tells how many steps were made in gradtx.
    """

    stages: deque[Any] = field(default_factory=deque)
    schedules: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)
    outer: "Row | None" = None
    ours: list[Recipe] = field(default_factory=list)

    def add(self, state: State) -> None:
        """Takes in the state of a stage, or of a chain of them."""
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
                self.counts.append(getattr(state, "count"))  # a method of all tuples, to a type checker  # noqa: B009

    def steps(self) -> tuple[int, ...]:
        """The counts that say how many steps this row has made."""
        own = self.schedules or self.counts
        return tuple(own) if own or self.outer is None else self.outer.steps()

    def changes(self) -> bool:
        """Whether a learning rate may have changed."""
        return bool(self.schedules) or (self.outer is not None and self.outer.changes())


class Pairing:
    """The recipes for two states.

    Attributes:
        ours: for each leaf of the gradtx state the recipe, or None where it stays as it begins.
        theirs: for leaves of the Optax state the recipe; the others stay as they are.
        uncounted: the counts in the Optax state that nothing in the gradtx state tells.
    """

    def __init__(self, tx: GradientTransformation, ours: State, theirs: State):
        self.ours: dict[int, Recipe | None] = {}
        self.theirs: dict[int, Recipe] = {}
        self.uncounted: list[int] = []
        self._rate: float | None = None  # what the momentum of Optax has in it, and that of gradtx has not
        state = _numbered(ours)
        clocks(tx, state)
        self._follow(tx, state, _numbered(theirs))
        lacking = [name for index, name in enumerate(names(tx, ours)) if index not in self.ours]
        if lacking:
            raise GradtxValueError(f"nothing in the Optax state is what {tx.factory_name} stores as {listing(lacking)}")

    def _follow(self, tx: GradientTransformation, ours: State, theirs: State, outer: Row | None = None) -> None:
        """Pairs a transform with all of an Optax state."""
        row = Row(outer=outer)
        row.add(theirs)
        self._visit(tx, ours, row)
        if row.stages:
            left = listing(_kind(stage) for stage in row.stages)
            raise GradtxValueError(f"the Optax state has more than {tx.factory_name} stores: {left}")
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
            if tx.factory_name in RATE_BEFORE_MOMENTUM and tx.momentum is not None:
                self._rate = _constant_rate(tx, row)
            if isinstance(state, Scheduled):
                self._schedule(tx, state, row)
            if jax.tree.leaves(own):
                self._stored(tx, own, row)
        self._rate = around

    def _stored(self, tx: GradientTransformation, state: State, row: Row) -> None:
        if tx.factory_name in STAGES:
            self._stage(tx, state, row)
        elif tx.factory_name in WRAPPERS:
            WRAPPERS[tx.factory_name](self, tx, state, row)
        elif (whole := unfolded(tx)) is not None:
            self._visit(whole, state, row)
        elif found := parts(tx):
            self._parts(found, state, row)
        else:
            self._clock(tx, state, row)

    def _parts(self, found: list[Part], state: State, row: Row) -> None:
        by_key = _by_key(row.stages[0]) if row.stages and all(part.key is not None for part in found) else None
        if by_key is not None and (set(by_key) == {part.key for part in found}):
            row.stages.popleft()
            for index, part in enumerate(found):
                self._follow(as_transformation(part.transform), share(part, index, state), by_key[part.key], row)
        else:
            for index, part in enumerate(found):
                self._visit(as_transformation(part.transform), share(part, index, state), row)

    def _take(self, kind: str, row: Row) -> Any:
        """The next stage of the row, which must be of this kind."""
        if not row.stages or _kind(row.stages[0]) != kind:
            got = f"the next that stores something is a {_kind(row.stages[0])}" if row.stages else "there is no more"
            raise GradtxValueError(f"a {kind} of Optax has what is stored here, but in the Optax state {got}")
        return row.stages.popleft()

    def _stage(self, tx: GradientTransformation, state: State, row: Row) -> None:
        stage = STAGES[tx.factory_name]
        for name, value in stage.only.items():
            if tx.arguments[name] != value:
                raise GradtxValueError(f"Optax has it with {name}={value!r} only; move to that")
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
            (index,) = jax.tree.leaves(own)
            self.ours[index] = Recipe(clock.from_count, (found.count,))
            self.theirs[found.count] = Recipe(clock.to_count, (index,))
            row.ours.append(self.theirs[found.count])

    def _centre(self, decay: Any, own: list[int], other: list[int]) -> None:
        """Optax stores the mean square, and gradtx the mean squared deviation, which is `decay` times the variance."""
        half = len(own) // 2
        for mean, deviation, mu, nu in zip(own[:half], own[half:], other[:half], other[half:], strict=True):
            self.ours[deviation] = Recipe(lambda nu, mu: decay * jnp.maximum(nu - abs_square(mu), 0.0), (nu, mu))
            self.theirs[nu] = Recipe(lambda w, m: w / decay + abs_square(m), (deviation, mean))

    def _schedule(self, tx: GradientTransformation, state: Scheduled, row: Row) -> None:
        steps = row.steps()
        if not steps:
            several = listing(scheduled_names(tx))
            raise GradtxValueError(f"{several} follow a schedule, and nothing in the Optax state counts steps")

        def value(position: int, *counts: Any) -> Any:
            last = jnp.maximum(_agreed(*counts) - 1, 0)
            return jax.tree.leaves(_read(tx, last))[position]

        self.ours[state.count] = Recipe(_agreed, steps)
        for position, index in enumerate(jax.tree.leaves(state.values)):
            self.ours[index] = Recipe(lambda *counts, position=position: value(position, *counts), steps)
        row.ours.insert(0, Recipe(_same, (state.count,)))

    def _clock(self, tx: GradientTransformation, state: State, row: Row) -> None:
        for clock, own in clocks(tx, state):
            (index,) = jax.tree.leaves(own)
            if row.steps():
                self.ours[index] = Recipe(lambda *counts, clock=clock: clock.from_count(_agreed(*counts)), row.steps())
            row.ours.append(Recipe(clock.to_count, (index,)))

    def _accumulate(self, tx: GradientTransformation, state: Any, row: Row) -> None:
        found = self._take("MultiStepsState", row)

        def window(emitted: Any) -> Any:
            length = tx.every(emitted) if callable(tx.every) else tx.every
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


WRAPPERS = {
    "accumulate_gradients": Pairing._accumulate,
    "skip_nonfinite": Pairing._skip,
    "inject": Pairing._inject,
}


def _numbered(state: State) -> State:
    treedef = jax.tree.structure(state)
    return treedef.unflatten(range(treedef.num_leaves))


def _same(x: Any) -> Any:
    return x


def _by_path(mine: Mapping[str, int], theirs: Any, what: str) -> list[tuple[int, int]]:
    """The leaves of both, by the paths of their parameters."""
    paths = trees.paths(theirs)
    if [path.removeprefix("(root)") for path in paths] != [path.removeprefix("(root)") for path in mine]:
        raise GradtxValueError(
            f"the parameters are others: {what} in the Optax state has {listing(paths)}, and here are {listing(mine)}"
        )
    return list(zip(mine.values(), jax.tree.leaves(theirs), strict=True))


def _kind(stage: Any) -> str:
    return type(stage).__name__


def _by_key(stage: Any) -> Mapping[Any, State] | None:
    """The states by name of a named chain, or by label of a partition."""
    found = getattr(stage, "inner_states", stage)
    return found if isinstance(found, Mapping) else None


def _agreed(*counts: Any) -> Any:
    """The one number of steps that the counts are."""
    if len({int(count) for count in counts}) > 1:
        raise GradtxValueError(
            f"the stages of the Optax state have made different numbers of steps: {listing(map(int, counts))}"
        )
    return counts[0]


def _constant_rate(tx: GradientTransformation, row: Row) -> float:
    """What Optax multiplied the updates by before its momentum."""
    if scheduled_names(tx) or row.changes():
        raise GradtxValueError(
            "in Optax the learning rate goes into the momentum, out of which one that changes cannot be divided; use "
            "chain(scale_by_rms(...), scale_by_learning_rate(...), add_momentum(...)), which is Optax's order"
        )
    rate = float(tx.learning_rate)
    if rate == 0:
        raise GradtxValueError("in Optax the learning rate goes into the momentum, and it is 0")
    return rate
