"""Branches: only one of several computations runs."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import eval_jaxpr

from gradtx._base.numerics import is_float0, is_traced, strong
from gradtx._base.typing import Array, State, Updates
from gradtx._base.varying import axes_of, varied


def branch(index: Array, works: Sequence[Callable[[State], Any]], state: State) -> Any:
    """`works[index](state)`, the first or last for an index outside; only that one is computed."""
    whole = jnp.asarray(index).astype(jnp.int32)  # infinity is the largest whole number
    if is_traced(index):
        return lax.switch(whole, works, state)
    # Op by op the answer is known already: nothing has to be compiled for the choice.
    return works[min(max(int(whole), 0), len(works) - 1)](state)


def one_of(is_first: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """`first()` where a condition holds, otherwise `second()`; only that one is computed."""
    if is_traced(is_first):
        return lax.cond(is_first, first, second)
    return first() if is_first else second()


def once(active: Array, work: Callable[[State], State], state: State) -> State:
    """`work(state)` where active, else the state, which stays where it is.

    A while loop of at most one turn in place of a conditional: XLA copies the outputs of a conditional, and updates
    what a loop carries in place. While loops have no derivatives in reverse mode; here they are those of a conditional.
    """
    # All that `work` reads has to be an operand for that, whole numbers and keys too: `jax.closure_convert` would leave
    # them where they are.
    program = jax.make_jaxpr(work)(state)
    jaxpr, constants, (leaves, treedef) = program.jaxpr, program.consts, jax.tree.flatten(state)
    del program  # what is defined below must not hold on to the constants
    varying = [varied(x, axes_of(active) | axes_of(out.aval)) for x, out in zip(leaves, jaxpr.outvars, strict=True)]
    if any(map(operator.is_not, varying, leaves)):
        return once(active, work, treedef.unflatten(varying))

    def turn(state: State, constants: list[Any]) -> State:
        return treedef.unflatten(eval_jaxpr(jaxpr, constants, *jax.tree.leaves(state)))

    @jax.custom_jvp
    def loop(active: Array, state: State, constants: list[Any]) -> State:
        def body(carry: tuple[Array, State]) -> tuple[Array, State]:
            return jnp.zeros_like(carry[0]), turn(carry[1], constants)

        return lax.while_loop(lambda carry: carry[0], body, (active, state))[1]

    @loop.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple[State, State]:
        def conditional(active: Array, state: State, constants: list[Any]) -> State:
            return lax.cond(active, turn, lambda state, _: state, state, constants)

        return jax.jvp(conditional, primals, tangents)

    return loop(active, state, constants)


def settled(work: Callable[[State], Any], form: Updates) -> Callable[[State], Any]:
    """`work` with its updates in the dtypes of `form`, and its state in the dtypes that it had."""

    def settled(state: State) -> tuple[Updates, State]:
        out, new = work(state)
        return jax.tree.map(cast_like, out, form), jax.tree.map(cast_like, new, state)

    return settled


def cast_like(x: Any, other: Any) -> Any:
    """`x` in the dtype of `other`, varying over its mesh axes; the empty gradient of an integer as it is."""
    if is_float0(x):
        return x
    if getattr(x, "dtype", None) != getattr(other, "dtype", float):
        x = strong(x, jnp.result_type(other))
    return varied(x, axes_of(other))


def zeros_of(form: Updates) -> Updates:
    """Zeros of this form; with Explicit axes the sharding is a part of it."""

    def zeros(u: Any) -> Any:
        if is_float0(u):
            return np.zeros(u.shape, u.dtype)
        return varied(jnp.zeros(u.shape, u.dtype, device=getattr(u, "sharding", None)), axes_of(u))

    return jax.tree.map(zeros, form)
