"""Runs several transforms in one compiled scan."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx._base.errors import at_stage
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._core.updates import apply_updates
from gradtx.plot._style import by_name


def transforms_by_name(given: Any) -> dict[str, GradientTransformation]:
    """The transforms of a dict, or a single one, by name."""
    transforms = {}
    for name, tx in by_name("transform", given, lambda tx: getattr(tx, "factory_name", type(tx).__name__)).items():
        with at_stage(name):
            transforms[name] = as_transformation(tx)
    return transforms


def drive(
    names: tuple[str, ...],
    transforms: list[GradientTransformation],
    loss: Callable[[Params, Any], Array],
    start: Params,
    inputs: Array,
) -> list[tuple[Updates, Params]]:
    """The updates and the parameters of each transform, stacked over the steps.

    Args:
        names: the names of the transforms in error messages.
        transforms: the transforms.
        loss: a function of the parameters and one input. `update` gets it in all extra arguments of `gradtx`
            transforms, and a random key.
        start: the initial parameters of each transform.
        inputs: one input per step, along the first axis.
    """

    def advance(tx: GradientTransformation, params: Params, state: State, x: Array, key: Array) -> tuple:
        def loss_of(p: Params) -> Array:
            return loss(p, x)

        value, grads = jax.value_and_grad(loss_of)(params)
        functions = {"grad_fn": jax.grad(loss_of), "value_fn": loss_of}
        updates, state = tx.update(grads, state, params, value=value, grad=grads, key=key, **functions)
        return apply_updates(params, updates), state, updates

    def step(carry: list, x_and_key: tuple) -> tuple[list, list]:
        moved = []
        for name, tx, (params, state) in zip(names, transforms, carry, strict=True):
            with at_stage(name):
                moved.append(advance(tx, params, state, *x_and_key))
        return [(params, state) for params, state, _ in moved], [(updates, params) for params, _, updates in moved]

    carry = []
    for name, tx in zip(names, transforms, strict=True):
        with at_stage(name):
            carry.append((start, tx.init(start)))
    keys = jax.random.split(jax.random.key(0), len(inputs))
    return jax.lax.scan(step, carry, (inputs, keys))[1]
