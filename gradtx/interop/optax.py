"""Converts Optax states to gradtx states and back.

    import optax
    tx = gradtx.adamw(1e-3)                            # instead of optax.adamw(1e-3)
    state = gradtx.interop.optax.from_state(state, tx)   # training continues with the same values

Supported optimizers: `sgd`, `adam`, `adamw`, `adamax`, `adamaxw`, `nadam`, `nadamw`, `amsgrad`, `yogi`, `radam`,
`adabelief`, `lamb`, `lars`, `rmsprop`, `adagrad`, `adadelta`, `lion`, `signum`, and their parts. Supported wrappers:
chains with and without names, learning rate schedules, `MultiSteps`, `apply_if_finite`, `masked`, `partition` and
`inject_hyperparams`. Optax is not imported for that; its states are recognized by their type names.

`to_optax` is for libraries that ask whether an optimizer is one of Optax's.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage
from gradtx._base.typing import Params, State, Transform
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.state_dict import in_place_of, names
from gradtx.interop._pairing import Pairing
from gradtx.interop._stages import STAGES

if TYPE_CHECKING:
    import optax

__all__ = [
    "from_state",
    "to_optax",
    "to_state",
]


def __dir__() -> list[str]:
    return __all__


@explains_calls("interop.optax.to_optax")
def to_optax(tx: Transform) -> "optax.GradientTransformationExtraArgs":
    """The transform as Optax's class, for libraries that ask for one by `isinstance`; needs Optax.

    `init`, `update` and states are those of `tx`.

    Args:
        tx: a transform.
    """
    import optax

    tx = as_transformation(tx)
    return optax.GradientTransformationExtraArgs(tx.init, tx.update)


@explains_calls("interop.optax.from_state")
def from_state(optax_state: State, tx: GradientTransformation, params: Params = None) -> State:
    """Converts the state of an Optax optimizer to a state of `tx`, so that training continues with gradtx.

    Args:
        optax_state: the state of the Optax optimizer.
        tx: the same optimizer made with gradtx. It may have other hyperparameters and additional stateless parts. With
            `inject`, the learning rate is taken from the `inject_hyperparams` state; all other hyperparameters are
            those of `tx`.
        params: the parameters. By default their structure is inferred from the moments in the state; masks and
            partitions require `params`.

    Returns:
        The state of `tx`. Arrays are copied, with the dtypes and devices of `tx.init(params)`. The sums of logarithms
        that gradtx uses for bias correction are computed from Optax's step counts. Two arrays are rescaled: the
        accumulated gradient of an unfinished `MultiSteps` window, and the momentum of `rmsprop`, which Optax applies
        after the learning rate.

    Raises:
        GradtxValueError: a stateful part of `tx` has no counterpart in the Optax state, or the reverse; the parameters
            have other paths or shapes; a decay follows a schedule; or the learning rate of an `rmsprop` with momentum
            follows a schedule.
    """
    if is_transform(optax_state):
        raise GradtxTypeError("from_state: the state comes first; call from_state(optax_state, tx, params)")
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


@explains_calls("interop.optax.to_state")
def to_state(state: State, tx: GradientTransformation, like: State) -> State:
    """Converts a state of `tx` to the state of an Optax optimizer: the inverse of `from_state`.

    Args:
        state: the state of `tx`.
        tx: the transform.
        like: a state of the same optimizer made with Optax, from its `init`. Entries without a counterpart in gradtx,
            such as the other hyperparameters of `inject_hyperparams`, keep their values from `like`.

    Returns:
        The Optax state. Arrays are copied, with the dtypes and devices of `like`.

    Raises:
        GradtxValueError: the cases of `from_state`, or Optax needs a step count for a schedule and `tx` has none.
    """
    state, bare = trees.without_variables(state), trees.without_variables(like)
    pairing = _pairing("to_state", tx, state, bare)
    if pairing.uncounted:
        raise GradtxValueError(
            f"to_state: expected a step count in the state of {tx.factory_name} for Optax's schedule, got none; give "
            f"{tx.factory_name} the same schedule"
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
    """Zeros with the structure of the moments in the state, in place of the parameters."""
    nodes = jax.tree.leaves(optax_state, is_leaf=lambda node: bool(_moments(node)))
    found = [moments[0] for moments in map(_moments, nodes) if moments]
    if any(map(_has_gaps, found)):
        raise GradtxValueError(
            "from_state: expected the parameters for a state with a mask or a partition, got None; call "
            "from_state(optax_state, tx, params)"
        )
    return tree.zeros_like(found[0]) if found else ()


def _moments(node: Any) -> list[Any]:
    """The fields of a node that have the structure of the parameters."""
    fields = {"acc_grads", *(name for stage in STAGES.values() for name in stage.places)}
    return [getattr(node, name) for name in getattr(node, "_fields", ()) if name in fields]


def _has_gaps(moments: Any) -> bool:
    def is_gap(node: Any) -> bool:
        return type(node).__name__ == "MaskedNode"

    return any(map(is_gap, jax.tree.leaves(moments, is_leaf=is_gap)))
