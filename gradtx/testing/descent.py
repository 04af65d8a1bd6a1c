"""Minimization of a loss by a transform, with all extra arguments that a transform may need."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import schedules
from gradtx._base.typing import Array, Params, State
from gradtx._core.averages import eval_params
from gradtx._core.protocol import GradientTransformation
from gradtx._core.updates import apply_updates
from gradtx.testing.case import Case


def solver(case: Case, problem: str) -> tuple[GradientTransformation, int]:
    """The transform and the number of steps with which the case solves the named problem."""
    given, steps = case.solves[problem]
    if isinstance(given, GradientTransformation):
        return given, steps
    rate = schedules.cosine_decay(given, steps) if isinstance(given, (int, float)) else given
    return case.transform.replace(learning_rate=rate), steps


def descend(tx: Any, loss: Callable[[Params], Array], start: Params, steps: Any) -> Array:
    """The loss after `steps` steps, at the averaged parameters if the transform averages them."""

    def gradient(params: Params) -> Params:
        # For complex parameters, jax.grad returns the conjugate of the direction of steepest ascent.
        return jax.tree.map(jnp.conj, jax.grad(loss)(params))

    def step(count: Any, carry: Any) -> Any:
        params, state = carry
        value, grads = loss(params), gradient(params)
        functions = {"value_fn": loss, "grad_fn": gradient}
        key = jax.random.fold_in(jax.random.key(0), count)
        updates, state = tx.update(grads, state, params, value=value, grad=grads, key=key, **functions)
        return apply_updates(params, updates), state

    params, state = jax.lax.fori_loop(0, steps, step, (start, tx.init(start)))
    return loss(eval_params(state, params) if _averages(state) else params)


def _averages(state: State) -> bool:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: hasattr(node, "eval_params"))
    return any(hasattr(node, "eval_params") for node in nodes)
