"""The step context: what one call of `update` hands to every transform inside it.

An author of a combinator knows two things: inner transforms are called through the context (`step.init(tx, params)`,
`step.update(tx, updates, state, params)`), and where their states lie in one's own. Everything that has to reach all
transforms inside (the user's extra arguments, names, whether this step counts, a codec) is a field here, so it passes
through every combinator without its doing anything.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._base.branch import branch, cast_like, once, settled, zeros_of
from gradtx._base.errors import add_stages
from gradtx._base.numerics import is_float0, is_traced
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.boundary import check_shapes, rounded
from gradtx._core.facts import Facts
from gradtx._core.updates import apply_updates


class Encoding(NamedTuple):
    """The codec in force, and the step count that it may round by."""

    codec: Any
    step: Array


class Context(NamedTuple):
    """What is the same for all transforms in one step. Immutable, but for `notes`, which `summary` collects.

    Attributes:
        extra: the user's extra arguments, whole and untouched.
        names: the values named by `let`: trees, or the arrays of one leaf inside the work on one leaf.
        active: a 0-d boolean, whether this step counts; None if every step does.
        encoding: how slots are stored; None as they are computed.
        factor: a scalar by which the next transform has yet to multiply its input; see `gradtx._cpu.rescaling`.
        is_traced: whether the step is traced for a compiled program, and not run op by op.
        of_matrices: whether every array is a batch of matrices, along its last two axes; see `as_matrices`.
        notes: where `summary` wants to know it, what leaves are taken for, in words, by path.
    """

    extra: dict[str, Any] = {}  # noqa: RUF012 - never written to
    names: dict[str, Any] = {}  # noqa: RUF012
    active: Array | None = None
    encoding: Encoding | None = None
    factor: Array | None = None
    is_traced: bool = False
    of_matrices: bool = False
    notes: dict[str, str] | None = None

    def init(self, tx: Any, params: Params) -> State:
        """The state of `tx` before the first update."""
        return _built(tx).init(self, params)

    def update(self, tx: Any, updates: Updates, state: State, params: Params = None) -> tuple[Updates, State]:
        """`tx.update`, in this context."""
        return _built(tx).update(self, updates, state, params)

    def update_where(
        self, active: Array, tx: Any, updates: Updates, state: State, params: Params = None
    ) -> tuple[Updates, State]:
        """`tx.update` where `active`, else zero updates and the state as it is.

        Where the transform is cheap, the choice is made inside the arithmetic on each array, so that the new state can
        be written over the old one: a select afterwards would need both. Where it is not, a branch around it saves its
        computation. So only cheap transforms ever see an inactive step.
        """
        built = _built(tx)
        if built.work.is_cheap:
            assert self.active is None, "a cheap transform contains only cheap ones, and none of them calls this"
            out, new = built.update(self._replace(active=active), updates, state, params)
            return zeroed(active, out), new

        def work(state: State) -> tuple[Updates, State]:
            return built.update(self, updates, state, params)

        if not is_traced(active) and active:
            out, new = work(state)  # op by op no other branch has to have the same form
            return out, jax.tree.map(cast_like, new, state)
        form, _ = jax.eval_shape(work, state)
        return branch(active, [lambda state: (zeros_of(form), state), settled(work, form)], state)

    def apply_where(
        self, active: Array, tx: Any, updates: Updates, state: State, params: Params
    ) -> tuple[Params, State]:
        """Parameters and state after `tx.update` where `active`, else both as they are, and not copied."""
        built = _built(tx)

        def work(carry: tuple[Params, State]) -> tuple[Params, State]:
            return jax.tree.map(cast_like, built.apply(self, updates, carry[1], carry[0]), carry)

        return once(active, work, (params, state))

    def scope(self, name: str) -> AbstractContextManager:
        """Names the operations in it after a stage, where they are traced for a program."""
        return jax.named_scope(name) if self.is_traced else nullcontext()

    def with_name(self, name: str, value: Any) -> "Context":
        """The context in which `use(name)` reads `value`."""
        return self._replace(names={**self.names, name: value})

    def safe(self, updates: Updates) -> Updates:
        """The updates where the step counts, else zeros: NaN there would reach the derivatives as 0 * NaN."""
        return updates if self.active is None else zeroed(self.active, updates)

    def keep(self, new: State, old: State) -> State:
        """The new state where the step counts, else the old one."""
        return new if self.active is None else kept(self.active, new, old)


def kept(active: Array, new: Any, old: Any) -> Any:
    """The arrays of `new` where active, else those of `old`."""
    return jax.tree.map(lambda x, y: x if x is y else lax.select(active, x, y), new, old)


def zeroed(active: Array, updates: Updates) -> Updates:
    """The updates where active, else zeros."""

    def one(u: Any) -> Any:
        if is_float0(u):
            return u
        u = jnp.asarray(u)
        return lax.select(active, u, jnp.zeros_like(u))

    return jax.tree.map(one, updates)


def _built(tx: Any) -> "Built":
    """Also of a bare pair, and of a transform of another library."""
    if hasattr(tx, "_built"):
        return tx._built()
    from gradtx._core.protocol import as_transformation  # which imports this module

    return as_transformation(tx)._built()


@dataclass(frozen=True, eq=False)
class Work:
    """What a transform does, behind its value: two functions that get the context first.

    Attributes:
        init: `(step, params) -> state`.
        update: `(step, updates, state, params) -> (updates, state)`.
        leaf: what it does to one array, if each array can be worked on by itself.
        is_cheap: whether to compute it at inactive steps too, because a branch around it would cost more; what it
            stores then has to go through `step.keep`.
        update_factor: `(step, updates, state) -> (factor, state)`, where it only multiplies the whole tree by one
            scalar.
        takes_factor: whether it multiplies its input by `step.factor` itself.
        facts: what it says of its input and output.
        mixes_axes: whether it works along the axes of arrays, as products of matrices do; see `meshes`.
        apply: `(step, updates, state, params) -> (params, state)`: `update` and `apply_updates` in one, if that moves
            fewer bytes than the two one after the other.
    """

    def __repr__(self) -> str:
        return "Work(...)"

    init: Callable[[Context, Params], State]
    update: Callable[[Context, Updates, State, Params], tuple[Updates, State]]
    leaf: Any = None
    is_cheap: bool = False
    update_factor: Callable[..., tuple[Array, State]] | None = None
    takes_factor: bool = False
    facts: Facts = Facts()  # noqa: RUF009 - immutable
    mixes_axes: bool = False
    apply: Callable[[Context, Updates, State, Params], tuple[Params, State]] | None = None


class Built(NamedTuple):
    """The work of a transform, and the names of the factories that it stands behind, outermost first."""

    stages: tuple[str, ...]
    work: Work

    def init(self, step: Context, params: Params) -> State:
        try:
            return self.work.init(step, params)
        except Exception as error:
            add_stages(error, self.stages)
            raise

    def update(self, step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        return self._called(self.work.update, step, updates, state, params)

    def apply(self, step: Context, updates: Updates, state: State, params: Params) -> tuple[Params, State]:
        """`update`, and the updates applied to the parameters."""
        if self.work.apply is not None:
            return self._called(self.work.apply, step, updates, state, params)
        out, state = self.update(step, updates, state, params)
        check_shapes(out, params)
        return apply_updates(params, rounded(out, params)), state

    def _called(self, function: Callable[..., Any], step: Context, *arguments: Any) -> Any:
        try:
            with step.scope("/".join(self.stages) or "pair"):
                return function(step, *arguments)
        except Exception as error:
            add_stages(error, self.stages)
            raise
