"""Updates compiled, for loops that are not."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import jax

from gradtx._base.errors import GradtxTypeError, short, wrong_state
from gradtx._base.typing import Params, State, Updates
from gradtx._core.constructors import combinator
from gradtx._core.context import Context, Encoding
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="wrapper")
def compiled(inner: Any):
    """Compiles `update`, for training loops that do not.

    Called outside `jax.jit`, a transform runs operation by operation, some hundreds for a model; this is one program.
    Its numbers are traced, so one program serves all learning rates of one kind of transform, whenever it was made.
    Inside `jax.jit` it changes nothing.

    Args:
        inner: a transform.

    State: a tuple of one, the state of `inner`. Nothing of its own.

    Raises:
        GradtxTypeError: an extra is neither an array nor something that can be a static argument of `jax.jit`.
            Functions are static: give the same object at each step, or each step compiles anew.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        return (step.init(inner, params),)  # as it is: compiled, it would not put slots where their parameters are

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if not isinstance(state, (tuple, list)) or len(state) != 1:
            raise wrong_state("a tuple of one", state)
        arrays = {name: x for name, x in step.extra.items() if _is_data(x)}
        rest = tuple((name, x) for name, x in step.extra.items() if name not in arrays)
        for name, x in rest:
            if not isinstance(x, Hashable):
                raise GradtxTypeError(f"the extra {name!r} can be no argument of a compiled function: got {short(x)}")
        encoding = step.encoding
        codec, number = (None, None) if encoding is None else encoding
        own = (arrays, dict(step.names), step.active, number)
        new, inner_state = _update(inner, updates, state[0], params, own, rest, codec)
        return new, (inner_state,)

    return combinator(init, update, is_cheap=inner._built().work.is_cheap)


def _is_data(x: Any) -> bool:
    """Whether all leaves are numbers or arrays."""
    return all(isinstance(leaf, (bool, int, float, complex)) or hasattr(leaf, "dtype") for leaf in jax.tree.leaves(x))


@partial(jax.jit, static_argnums=(5, 6))
def _update(
    inner: GradientTransformation, updates: Updates, state: State, params: Params, own: tuple, rest: tuple, codec: Any
) -> tuple[Updates, State]:
    arrays, names, active, number = own
    encoding = None if codec is None else Encoding(codec, number)
    step = Context({**arrays, **dict(rest)}, names, active, encoding, None, True, jax.named_scope)
    return step.update(inner, updates, state, params)
