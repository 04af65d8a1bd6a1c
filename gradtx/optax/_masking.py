"""Transforms of some of the parameters."""

from typing import Any

import jax

from gradtx._base.errors import GradtxValueError, listing
from gradtx._base.typing import Params, State, Updates
from gradtx.optax import _states as states
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import Labels, Transforms, with_extra_args_support


@jax.tree_util.register_pytree_node_class
class ParamsPlaceholder:
    """In place of parameters, to see where a state has entries for them; see `tree.map_params`."""

    def tree_flatten(self) -> tuple[tuple, None]:
        return (), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple) -> "ParamsPlaceholder":
        return cls()


def masked(inner: Any, mask: Any, *, mask_compatible_extra_args: bool = False) -> Pair:
    """Applies a transform where the mask is True, and hands on the other updates; see `gradtx.masked`.

    Args:
        inner: the transform. It sees `MaskedNode()` in place of the other leaves.
        mask: a tree or prefix tree of booleans, or a function of the parameters that returns one.
        mask_compatible_extra_args: whether extra arguments with the structure of the updates are masked too.
    """
    inner = with_extra_args_support(inner)

    def seen(tree: Any, chosen: Any) -> Any:
        return jax.tree.map(lambda m, x: x if m else states.MaskedNode(), chosen, tree)

    def init(params: Params) -> State:
        if not jax.tree.leaves(params):  # as where `tree.map_params` asks by a placeholder
            return states.MaskedState(inner.init(params))
        return states.MaskedState(inner.init(seen(params, _called(mask, params))))

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        chosen = _called(mask, updates)
        if mask_compatible_extra_args:
            treedef = jax.tree.structure(updates)
            extra = {name: seen(x, chosen) if jax.tree.structure(x) == treedef else x for name, x in extra.items()}
        of_params = None if params is None else seen(params, chosen)
        new, own = inner.update(seen(updates, chosen), state.inner_state, of_params, **extra)
        return jax.tree.map(lambda m, u, g: u if m else g, chosen, new, updates), states.MaskedState(own)

    return Pair(init, update)


def _called(mask: Any, tree: Any) -> Any:
    """The mask, which may be a function of the tree; an Equinox module of booleans is callable and no function."""
    leaves = jax.tree.leaves(mask)
    return mask(tree) if leaves and all(map(callable, leaves)) else mask


def partition(transforms: Transforms, param_labels: Labels, *, mask_compatible_extra_args: bool = False) -> Pair:
    """A transform for each label; see `gradtx.partition`.

    Args:
        transforms: the transforms, by label.
        param_labels: a tree or prefix tree of labels, or a function of the parameters that returns one.
        mask_compatible_extra_args: as of `masked`.
    """
    transforms = {label: with_extra_args_support(tx) for label, tx in transforms.items()}

    def groups(params: Params) -> dict[Any, Pair]:
        labels = param_labels(params) if callable(param_labels) else param_labels
        unknown = {label for label in jax.tree.leaves(labels) if label not in transforms}
        if unknown:
            raise GradtxValueError(
                f"the labels {listing(sorted(map(repr, unknown)))} have no transform; known labels: "
                f"{listing(map(repr, transforms))}"
            )

        def of(label: Any, tx: Pair) -> Pair:
            chosen = jax.tree.map(lambda x: x == label, labels)
            return masked(tx, chosen, mask_compatible_extra_args=mask_compatible_extra_args)

        return {label: of(label, tx) for label, tx in transforms.items()}

    def init(params: Params) -> State:
        return states.PartitionState({label: tx.init(params) for label, tx in groups(params).items()})

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        new = {}
        for label, tx in groups(updates).items():
            updates, new[label] = tx.update(updates, state.inner_states[label], params, **extra)
        return updates, states.PartitionState(new)

    return Pair(init, update)
