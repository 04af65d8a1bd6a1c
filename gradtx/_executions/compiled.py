"""Compiled updates, for training loops without `jax.jit`."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import jax

from gradtx._base.errors import GradtxTypeError, inner_in_tuple, short
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.context import Context, Encoding, Work
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="wrapper")
def compiled(inner: Transform):
    """Compiled: runs `update` under `jax.jit`, for training loops that are not compiled.

    Outside `jax.jit` a transform is dispatched op by op, with some hundreds of ops for a model; here it is one program.
    Its hyperparameters are traced, so transforms of one kind share a program for all learning rates, whenever they were
    created. Inside `jax.jit` it changes nothing.

    Args:
        inner: a transform.

    State: a tuple of length 1 with the state of `inner`. Nothing of its own.

    Raises:
        GradtxTypeError: an extra argument is neither an array nor valid as a static argument of `jax.jit`. Functions
            are static: pass the same object at each step, or each step recompiles.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        return (step.init(inner, params),)  # not compiled: `jit` would lose the placement of slots on devices

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        arrays = {name: x for name, x in step.extra.items() if _is_data(x)}
        rest = tuple((name, x) for name, x in step.extra.items() if name not in arrays)
        for name, x in rest:
            if not isinstance(x, Hashable):
                raise GradtxTypeError(
                    f"expected an array or a hashable object as the extra argument {name!r}, got {short(x)}"
                )
        encoding = step.encoding
        codec, count = (None, None) if encoding is None else encoding
        own = (arrays, dict(step.names), step.active, count)
        fixed = rest, codec, step.of_matrices
        new, inner_state = _update(inner, updates, inner_in_tuple(state), params, own, fixed)
        return new, (inner_state,)

    return GradientTransformation._of(Work(init, update, is_cheap=inner._built().work.is_cheap))


def _is_data(x: Any) -> bool:
    """Whether all leaves are scalars or arrays."""
    return all(isinstance(leaf, (bool, int, float, complex)) or hasattr(leaf, "dtype") for leaf in jax.tree.leaves(x))


@partial(jax.jit, static_argnums=5)
def _update(
    inner: GradientTransformation, updates: Updates, state: State, params: Params, own: tuple, fixed: tuple
) -> tuple[Updates, State]:
    (arrays, names, active, count), (rest, codec, of_matrices) = own, fixed
    encoding = None if codec is None else Encoding(codec, count)
    extra = {**arrays, **dict(rest)}
    step = Context(extra, names, active, encoding, is_traced=True, of_matrices=of_matrices)
    return step.update(inner, updates, state, params)
