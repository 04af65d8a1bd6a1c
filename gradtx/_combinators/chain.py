"""Series composition."""

from typing import Any

import jax

from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, wrong_state
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.constructors import gated_update, lift
from gradtx._core.gate import chosen
from gradtx._core.kernel import in_series
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._cpu import single_pass


@transformation
def chain(*parts: Any):
    r"""Series: the updates of each part are the input of the next.

    .. math:: u = part_n(\dots part_2(part_1(g)))

    Associative, with `identity()` as its unit.

    Args:
        *parts: transforms, or all of them `(name, transform)` pairs; Optax transforms are welcome.

    State: a tuple with the state of each part, or a dict by name. Nothing of its own.

    Raises:
        GradtxTypeError: some parts are named and some not, or one is no transform.
        GradtxValueError: two parts have the same name.
    """
    names, transforms = _named(parts)
    kernels = [tx.kernel for tx in transforms]
    if all(kernel is not None for kernel in kernels):
        return lift(in_series([kernel for kernel in kernels if kernel is not None], names))
    keys = list(range(len(transforms))) if names is None else names

    def pack(states: list[State]) -> State:
        return tuple(states) if names is None else dict(zip(names, states, strict=True))

    def init(params: Params) -> State:
        states = []
        for tx in transforms:
            states.append(tx.init(params))
            if tx.kernel is not None:
                params = jax.tree.map(tx.kernel.like_output, params)
        return pack(states)

    def work(
        updates_of: list[Any], opened: Array | None, updates: Updates, state: State, params: Params, extra: Any
    ) -> tuple[Updates, State]:
        _check(state, keys)
        states, pending = [], {}
        for key, tx, update, following in zip(keys, transforms, updates_of, [*transforms[1:], None], strict=True):
            if tx.factor is not None and _takes_over(following):
                by, new = tx.factor(updates, state[key], params, opened)
                pending, new = {"pending": by}, new if opened is None else chosen(opened, new, state[key])
            else:
                updates, new = update(updates, state[key], params, **extra, **pending)
                pending = {}
            states.append(new)
        return updates, pack(states)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        return work([tx.update for tx in transforms], None, updates, state, params, extra)

    def behind(opened: Array, often: bool) -> Any:
        updates_of = [gated_update(tx, opened, often) for tx in transforms]
        if None in updates_of:
            return None
        return lambda updates, state, params=None, **extra: work(updates_of, opened, updates, state, params, extra)

    return GradientTransformation(init, update, gated=behind)


def _takes_over(following: GradientTransformation | None) -> bool:
    """Whether to leave a multiplication to what follows, where it would be a pass of its own before it."""
    if following is None:
        return False
    if following.kernel is not None:
        return single_pass.is_on()  # else XLA puts it into the loops that follow by itself
    return following.takes_pending


def _named(parts: tuple) -> tuple[list[str] | None, list[GradientTransformation]]:
    named = [isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) for part in parts]
    if not parts or not any(named):
        return None, [as_transformation(part) for part in parts]
    if not all(named):
        raise GradtxTypeError("either every part is a (name, transform) pair, or none is")
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise GradtxValueError(f"names must differ, got {', '.join(names)}")
    return names, [as_transformation(part) for _, part in parts]


def _check(state: State, keys: list) -> None:
    got = (
        list(state) if isinstance(state, dict) else list(range(len(state))) if isinstance(state, (tuple, list)) else []
    )
    if set(got) != set(keys):
        raise wrong_state(f"one with the parts {listing(keys)}", state)
