"""The state of a running Optax optimizer as a gradtx state, and back.

    import optax
    tx = gradtx.adamw(1e-3)                            # instead of optax.adamw(1e-3)
    state = gradtx.interop.optax.from_state(state, tx)   # and training goes on with the same numbers

What is moved: the states of `sgd`, `adam`, `adamw`, `adamax`, `adamaxw`, `nadam`, `nadamw`, `amsgrad`, `yogi`, `radam`,
`adabelief`, `lamb`, `lars`, `rmsprop`, `adagrad`, `adadelta`, `lion`, `signum` and of their parts, in chains with and
without names, with learning rates that follow schedules, in `MultiSteps`, `apply_if_finite`, `masked` and `partition`,
and in `inject_hyperparams`. Optax itself is not imported: its states are known by the names of their types.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, at_stage
from gradtx._base.typing import Params, State
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.state_dict import in_place_of, names
from gradtx.interop._pairing import STAGES, Pairing


def from_state(optax_state: State, tx: GradientTransformation, params: Params = None) -> State:
    """The state of `tx` that goes on where an Optax optimizer has come to.

    Args:
        optax_state: the state of the Optax optimizer.
        tx: the same optimizer made with gradtx; it may have other numbers, and more parts that store nothing. With
            `inject`, of the numbers of `inject_hyperparams` the learning rate is taken over, the others are those of
            `tx`.
        params: the parameters. Without them the moments in the state stand for them, which is enough unless there are
            masks or partitions.

    Returns:
        The state. Arrays are copied, in the dtypes and on the devices of `tx.init(params)`. Sums of logarithms, which
        gradtx has for its bias corrections, are made from the counts of steps; what stands in the middle of a window
        of `MultiSteps`, and the momentum of `rmsprop`, which Optax has after the learning rate, are scaled.

    Raises:
        GradtxValueError: a part of `tx` stores something that the Optax state has not, or the reverse; the parameters
            have other paths or shapes; a decay follows a schedule; or the learning rate of an `rmsprop` with momentum
            does.
    """
    optax_state = trees.without_variables(optax_state)
    template = as_transformation(tx).init(_stand_in(optax_state) if params is None else params)
    recipes = _pairing("from_state", tx, template, optax_state).ours
    theirs, (mine, treedef) = jax.tree.leaves(optax_state), jax.tree.flatten(template)
    moved = list(mine)
    for (index, recipe), name in zip(sorted(recipes.items()), names(tx, template), strict=True):
        if recipe is not None:
            new = recipe.function(*(jnp.asarray(theirs[source]) for source in recipe.sources))
            moved[index] = in_place_of(mine[index], new, f"from_state: {name!r}")
    return treedef.unflatten(moved)


def to_state(state: State, tx: GradientTransformation, like: State) -> State:
    """The state of an Optax optimizer that goes on where `tx` has come to: the way back of `from_state`.

    Args:
        state: the state of `tx`.
        tx: the transform.
        like: a state of the same optimizer made with Optax, from its `init`. What gradtx does not know, such as the
            other numbers of `inject_hyperparams`, stays as it is there.

    Returns:
        The state. Arrays are copied, in the dtypes and on the devices of `like`.

    Raises:
        GradtxValueError: as for `from_state`, or Optax reads a schedule at a count of steps that gradtx does not have.
    """
    state, bare = trees.without_variables(state), trees.without_variables(like)
    pairing = _pairing("to_state", tx, state, bare)
    if pairing.uncounted:
        raise GradtxValueError(
            f"to_state: Optax counts steps for its schedules, and {tx.factory_name} counts none; give the schedule to it too"
        )
    mine, theirs, paths = jax.tree.leaves(state), jax.tree.leaves(bare), trees.paths(bare)
    moved = list(theirs)
    for index, recipe in pairing.theirs.items():
        new = recipe.function(*(jnp.asarray(mine[source]) for source in recipe.sources))
        moved[index] = in_place_of(theirs[index], new, f"to_state: {paths[index]!r}")
    return jax.tree.structure(like).unflatten(moved)


def _pairing(who: str, tx: GradientTransformation, ours: State, theirs: State) -> Pairing:
    with at_stage(who):
        return Pairing(as_transformation(tx), ours, theirs)


def _stand_in(optax_state: State) -> Params:
    """Zeros like the moments of the state, for the parameters."""
    nodes = jax.tree.leaves(optax_state, is_leaf=lambda node: bool(_moments(node)))
    found = [moments[0] for moments in map(_moments, nodes) if moments]
    if any(map(_has_gaps, found)):
        raise GradtxValueError(
            "from_state: masks and partitions ask for the parameters; call from_state(optax_state, tx, params)"
        )
    return tree.zeros_like(found[0]) if found else ()


def _moments(node: Any) -> list[Any]:
    """The trees in a node that are as the parameters are."""
    fields = {"acc_grads", *(name for stage in STAGES.values() for name in stage.places)}
    return [getattr(node, name) for name in getattr(node, "_fields", ()) if name in fields]


def _has_gaps(moments: Any) -> bool:
    def is_gap(node: Any) -> bool:
        return type(node).__name__ == "MaskedNode"

    return any(map(is_gap, jax.tree.leaves(moments, is_leaf=is_gap)))
