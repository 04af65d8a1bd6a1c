"""Different transforms for different leaves."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, listing, short, wrong_state
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.context import Context, Work
from gradtx._core.facts import Facts, ascending_among
from gradtx._core.identity import identity, set_to_zero
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._values.labels import is_part, resolve, resolve_mask

_IDENTITY = identity()


@transformation(role="wrapper")
def partition(transforms: Mapping[Any, Transform], labels: Any, *, allow_unused: bool = False):
    """Partition: applies a different transform to each group of leaves.

    Each transform sees the whole tree with None in place of the leaves of other groups, so that paths are unchanged.

    Args:
        transforms: a dict from labels to transforms.
        labels: the label of each leaf: a tree or prefix tree of labels, or a function of the parameters that returns
            one (`by_path`). A function sees structure, paths, shapes and dtypes, not values.
        allow_unused: whether a transform may have no leaf at all. Inside another partition, unused labels are always
            allowed.

    State: a dict with the state of each transform, by label. Nothing of its own.

    Raises:
        GradtxTypeError: the labels are not of one sortable type, such as strings.
        GradtxValueError: a label has no transform, or a transform no leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"encoder": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
        >>> tx = partition({"slow": sgd(0.01), "fast": adam(0.1)}, by_path({"encoder/**": "slow", "**": "fast"}))
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["encoder"]["kernel"], updates["head"]["kernel"])
        [-0.01 -0.01] [-0.1 -0.1]
    """
    if isinstance(labels, Mapping) and any(map(is_transform, labels.values())):
        raise GradtxTypeError("transforms and labels are swapped; call partition(transforms, labels)")
    if not isinstance(transforms, Mapping):
        raise GradtxTypeError(f"expected a dict from labels to transforms, got {short(transforms)}")

    def labels_of(params: Params, like: Updates) -> list[Hashable]:
        found = resolve(labels, params, like)
        for index, label in enumerate(found):
            if label not in transforms:
                path = trees.paths(like)[index]
                raise GradtxValueError(
                    f"the leaf {path!r} has the label {label!r}, which has no transform; known labels: "
                    f"{listing(map(repr, transforms))}"
                )
        unused = [label for label in transforms if label not in found]
        if unused and found and not allow_unused and not is_part(like):
            raise GradtxValueError(
                f"no parameter has the labels {listing(map(repr, unused))}; those that there are: "
                f"{listing(sorted(map(repr, set(found))))}; allow_unused=True allows it"
            )
        return found

    return _grouped({label: as_transformation(tx) for label, tx in transforms.items()}, labels_of)


@transformation(role="wrapper")
def masked(inner: Transform, mask: Any, rest: Transform = _IDENTITY):
    """Masked: applies one transform to the leaves that a mask selects, and another to the rest.

    Args:
        inner: the transform of the selected leaves.
        mask: a tree or prefix tree of booleans, or a function of the parameters that returns one (`where`).
        rest: the transform of the other leaves; `set_to_zero()` freezes them. By default they pass
            unchanged to the next part of a chain. As a complete optimizer this would ascend, so `make_train_step`
            refuses it.

    State: a dict with the states of `inner` and `rest`. Nothing of its own.

    Raises:
        GradtxValueError: the mask does not fit the parameters, or contains values other than booleans.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(2)}
        >>> tx = masked(adam(0.1), where(lambda path, p: p.ndim > 1), rest=sgd(0.01))
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["kernel"], updates["bias"])
        [[-0.1 -0.1]] [-0.01 -0.01]
    """
    if isinstance(mask, str):
        raise GradtxTypeError(
            f"mask: expected booleans or a function, got {mask!r}; for a mask by names: "
            f"gradtx.by_path({{{mask if '*' in mask else f'**/{mask}/**'!r}: True, '**': False}})"
        )

    def labels_of(params: Params, like: Updates) -> list[Hashable]:
        return ["inner" if keep else "rest" for keep in resolve_mask(mask, params, like)]

    return _grouped({"inner": as_transformation(inner), "rest": as_transformation(rest)}, labels_of)


@transformation
def freeze(mask: Any):
    r"""Freeze: zeroes the updates of the selected leaves, which stay unchanged; other updates pass through.

    .. math:: u = 0 \text{ where } mask, \text{ else } g

    Put it last, after weight decay for instance. The leaves may be integers.

    Args:
        mask: the leaves to freeze: a tree or prefix tree of booleans, or a function of the parameters that returns one
            (`where`).

    State: only the empty states of a `masked`.

    Raises:
        GradtxValueError: the mask does not fit the parameters, or contains values other than booleans.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"embedding": jnp.ones(2), "head": jnp.ones(2)}
        >>> tx = chain(adamw(0.1), freeze(by_path({"embedding": True, "**": False})))
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["embedding"], updates["head"])
        [0. 0.] [-0.10001 -0.10001]
    """
    return masked(set_to_zero(), mask)


def _grouped(
    transforms: dict[Hashable, GradientTransformation], labels_of: Callable[[Params, Updates], list[Hashable]]
) -> GradientTransformation:
    def init(step: Context, params: Params) -> State:
        labels = labels_of(params, params)
        states = {}
        for label, tx in transforms.items():
            with at_stage(str(label)):
                states[label] = step.init(tx, _group(params, labels, label))
        return states

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, Mapping) or set(state) != set(transforms):
            raise wrong_state(f"one with the groups {listing(map(repr, transforms))}", state)
        labels = labels_of(params, updates)
        if params is not None:
            trees.leaves_like(updates, params, "updates", "parameters")
        outputs, states = {}, {}
        for label, tx in transforms.items():
            with at_stage(str(label)):
                own_params = None if params is None else _group(params, labels, label)
                out, states[label] = step.update(tx, _group(updates, labels, label), state[label], own_params)
            outputs[label] = jax.tree.structure(updates).flatten_up_to(out)
        merged = [outputs[label][index] for index, label in enumerate(labels)]
        return jax.tree.structure(updates).unflatten(merged), states

    works = [tx._built().work for tx in transforms.values()]
    place = {label: index for index, label in enumerate(transforms)}
    ascending = ascending_among(
        [work.facts for work in works], lambda params: [place[label] for label in labels_of(params, params)]
    )
    return GradientTransformation._of(
        Work(init, update, is_cheap=all(work.is_cheap for work in works), facts=Facts(ascending=ascending))
    )


def _group(full: Any, labels: list[Hashable], label: Hashable) -> Any:
    """The tree with None in place of the leaves that have another label."""
    leaves, treedef = jax.tree.flatten(full)
    return treedef.unflatten([x if own == label else None for x, own in zip(leaves, labels, strict=True)])
