"""Gates: work whose outcome counts at some steps only."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._base.numerics import is_float0, is_traced, strong
from gradtx._base.typing import Array, State, Updates


def chosen(opened: Array, new: Any, old: Any = None) -> Any:
    """The arrays of `new` where it is opened, else those of `old`, or zeros of their form."""
    if old is None:
        return jax.tree.map(lambda x: lax.select(opened, x, jnp.zeros_like(x)), new)
    return jax.tree.map(lambda x, y: lax.select(opened, x, y), new, old)


def derived_where(opened: Array, function: Callable[[list[Array]], Any], arrays: list[Array]) -> Any:
    """`function(arrays)`, with derivatives as for zeros where it is closed.

    Where it is closed the numbers may be NaN, and 0 times NaN would go into the derivatives. Zeros themselves would be
    written to memory for a norm.
    """
    converted, constants = jax.closure_convert(function, arrays)

    @jax.custom_jvp
    def call(opened: Array, arrays: list[Array], constants: list[Array]) -> Any:
        return converted(arrays, *constants)

    @call.defjvp
    def derivative(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
        opened, arrays, constants = primals
        at, along = (chosen(opened, arrays), constants), tangents[1:]
        return call(*primals), jax.jvp(lambda arrays, constants: converted(arrays, *constants), at, along)[1]

    return call(opened, arrays, constants)


def gate(opened: Array, state: State, work: Callable[[State], tuple[Updates, State]]) -> tuple[Updates, State]:
    """Updates and state from `work(state)` where it is opened; else zero updates of the same form, and `state`."""
    form, _ = jax.eval_shape(work, state)

    def nothing(state: State) -> tuple[Updates, State]:
        return zeros_like(form), state

    return branch(opened, [nothing, settled(work, form)], state)


def branch(index: Array, works: Sequence[Callable[[State], Any]], state: State) -> Any:
    """`works[index](state)`, the first or last for an index outside; only that one is computed."""
    if is_traced(index):
        return lax.switch(index.astype(jnp.int32), works, state)
    # Op by op the answer is known already: nothing has to be compiled for the choice.
    return works[min(max(int(index), 0), len(works) - 1)](state)


def settled(work: Callable[[State], Any], form: Updates) -> Callable[[State], Any]:
    """`work` with its updates in the dtypes of `form`, and its state in the dtypes that it had."""

    def settled(state: State) -> tuple[Updates, State]:
        out, new = work(state)
        return jax.tree.map(like, out, form), jax.tree.map(like, new, state)

    return settled


def like(x: Any, other: Any) -> Any:
    """`x` in the dtype of `other`; the empty gradient of an integer as it is."""
    return x if is_float0(x) or jnp.result_type(x) == other.dtype else strong(x, other.dtype)


def zeros_like(updates: Updates) -> Updates:
    """Zeros of their form; with Explicit axes the spread over devices is a part of it."""

    def zeros(u: Any) -> Any:
        if is_float0(u):
            return np.zeros(u.shape, u.dtype)
        return jnp.zeros(u.shape, u.dtype, device=getattr(u, "sharding", None))

    return jax.tree.map(zeros, updates)
