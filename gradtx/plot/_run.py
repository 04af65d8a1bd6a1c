"""Several transforms under way at once: all in one compiled scan."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx._base.errors import at_stage
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._core.updates import apply_updates
from gradtx.plot._style import by_name


def transforms_by_name(given: Any) -> dict[str, GradientTransformation]:
    """Transforms by name, of a dict or of a single one."""
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
        names: what messages call the transforms.
        transforms: the transforms.
        loss: of parameters and one of the inputs. Updates get it as extras too, in all the ways in which `gradtx`
            transforms ask for it, and a random key.
        start: the parameters of each before the first step.
        inputs: one for each step, along the first axis.
    """

    def advance(tx: GradientTransformation, params: Params, state: State, x: Array, key: Array) -> tuple:
        def loss_of(p: Params) -> Array:
            return loss(p, x)

        value, grads = jax.value_and_grad(loss_of)(params)
        functions = {"grad_fn": jax.grad(loss_of), "value_fn": loss_of, "obj_fn": loss_of}
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
