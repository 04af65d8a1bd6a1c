"""Transforms that multiply the whole tree, or each array, by a scalar."""

from collections.abc import Callable

import jax

from gradtx._base import trees
from gradtx._base.numerics import widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import required_params
from gradtx._core.context import Context, Work
from gradtx._core.norms import Each, norm, scaled
from gradtx._core.protocol import GradientTransformation


def rescaling(
    factor: Callable[[Array, State], tuple[Array, State]], init: Callable[[Params], State] = lambda params: ()
) -> GradientTransformation:
    """A transform that multiplies the whole tree by one scalar, which depends on its norm.

    Args:
        factor: `(norm, state) -> (factor, state)`; the factor is weakly typed.
        init: parameters to state; none by default.
    """

    def init_checked(step: Context, params: Params) -> State:
        trees.floating_leaves(params, "parameters")
        return init(params)

    def update_factor(step: Context, updates: Updates, state: State) -> tuple[Array, State]:
        # Half precision as it is: widened here, XLA would keep it for the work that follows.
        by, new = factor(norm(trees.floating_leaves(updates), step.active), state)
        return by, step.keep(new, state)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        by, new = update_factor(step, updates, state)
        return jax.tree.map(lambda g: by * g, step.safe(trees.widened(updates))), new

    return GradientTransformation._of(Work(init_checked, update, is_cheap=True, update_factor=update_factor))


def rescaling_each(
    factors: Callable[[Each, list[Array], list[Array]], list[Array]], needs_params: bool = False
) -> GradientTransformation:
    """A transform that multiplies each array by a scalar of its own, and within `as_matrices` each matrix.

    Args:
        factors: what knows the norms of each, arrays of the updates, and of the parameters with `needs_params`, to a
            scalar for each.
        needs_params: whether it reads the parameters; without it there are none in the list.
    """

    def init(step: Context, params: Params) -> State:
        trees.floating_leaves(params, "parameters")
        return ()

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        leaves, treedef = jax.tree.flatten(step.safe(trees.widened(updates)))
        ps = []
        if needs_params:
            ps = [
                widened(p)
                for p in trees.leaves_like(updates, required_params(params, updates), "updates", "parameters")
            ]
        rows = zip(factors(Each(step.of_matrices), leaves, ps), leaves, strict=True)
        return treedef.unflatten(for_each(scaled, list(rows))), state

    return GradientTransformation._of(Work(init, update))
