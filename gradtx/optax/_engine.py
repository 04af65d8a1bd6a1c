"""Transforms of gradtx, with the states that Optax has.

An entry of Optax's state is an array per parameter that gradtx's transform stores too, or the number of steps, from
which gradtx's sums of logarithms are computed. Both states are kept apart by one list of names: of the arrays per
parameter, in the order in which the expression has them.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import widened
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.pairs import missing_extra
from gradtx._core.protocol import GradientTransformation as Native
from gradtx.interop._clocks import clocks
from gradtx.optax._numerics import safe_increment
from gradtx.optax._states import EmptyState
from gradtx.optax._tree_math import full_like, zeros_like
from gradtx.optax._types import GradientTransformationExtraArgs

NONE: Mapping[str, Any] = MappingProxyType({})

Conversion = tuple[Callable[[Array, Array], Array], Callable[[Array], Array]]
"""How an entry of Optax's becomes gradtx's, from its value and the step count; and the way back."""


def init_empty_state(params: Params) -> EmptyState:
    """The state of a transform without one."""
    return EmptyState()


def zero_count() -> Array:
    """The step count before the first step, int32."""
    return jnp.zeros((), jnp.int32)


def taken(extra: dict[str, Any], *names: str) -> list[Any]:
    """The extra arguments of these names, which must be there, out of the dict."""
    for name in names:
        if name not in extra:
            raise missing_extra(name)
    return [extra.pop(name) for name in names]


def without_state(tx: Native) -> GradientTransformationExtraArgs:
    """A transform of gradtx that stores nothing."""

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        return tx.update(updates, tx.init(updates), params, **extra)[0], state

    return GradientTransformationExtraArgs(init_empty_state, update)


def with_state(
    tx: Native | Callable[[Array], Native],
    kind: Any,
    *fields: str,
    counts: tuple[str, ...] = ("count",),
    dtypes: Mapping[str, Any] = NONE,
    start: Mapping[str, Any] = NONE,
    convert: Mapping[str, Conversion] = NONE,
) -> GradientTransformationExtraArgs:
    """A transform of gradtx with Optax's state.

    Entries have the dtypes of the parameters, as in Optax; the computation between them has at least 32 bits.

    Args:
        tx: the transform, or a function of the step count that makes it, where schedules are read.
        kind: the class of the state.
        fields: the entries that hold an array per parameter, in the order of the state of `tx`.
        counts: the entries that count the steps, where `kind` has them.
        dtypes: by entry, the dtype in place of the parameter's, or None.
        start: by entry, the number that it starts from.
        convert: by entry, how it differs from what `tx` stores.
    """
    at = tx if not isinstance(tx, Native) else lambda count: tx
    layout = _Layout(at, fields)
    counts = tuple(name for name in counts if name in kind._fields)

    def entries(
        new: State, steps: Array, dtype_of: Callable[[str, Array, Any], Any], likes: Mapping[str, Any]
    ) -> dict[str, Any]:
        def one(name: str, x: Array, like: Any) -> Array:
            x = convert[name][1](x) if name in convert else x
            return x.astype(dtype_of(name, x, like))

        arrays = {name: jax.tree.map(partial(one, name), tree, likes[name]) for name, tree in layout.taken(new).items()}
        return dict.fromkeys(counts, steps) | arrays

    def init(params: Params) -> State:
        def dtype(name: str, x: Array, p: Any) -> Any:
            if dtypes.get(name) is not None:
                return dtypes[name]
            p = jnp.result_type(p)
            is_half = jnp.issubdtype(p, jnp.complexfloating) and not jnp.iscomplexobj(x)
            return jnp.finfo(p).dtype if is_half else p  # finfo of complex numbers is that of their parts

        zeros = zeros_like(params)  # of abstract parameters too
        found = entries(at(zero_count()).init(zeros), zero_count(), dtype, dict.fromkeys(fields, params))
        for name, number in start.items():
            found[name] = full_like(found[name], number)
        return kind(**found)

    def update(updates: Updates, state: State, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        if not isinstance(state, kind):
            raise GradtxTypeError(
                f"expected Optax's {kind.__name__} as the second argument, got {short(state)}; create the state with "
                f"state = tx.init(params), or convert one of gradtx: gradtx.interop.optax.to_state"
            )
        own = state._asdict()
        steps = own[counts[0]] if counts else zero_count()

        def one(name: str, x: Any) -> Array:
            x = widened(jnp.asarray(x))
            return convert[name][0](x, steps) if name in convert else x

        arrays = {name: jax.tree.map(partial(one, name), own[name]) for name in fields}
        updates, new = at(steps).update(updates, layout.put(arrays, steps), params, **extra)
        return updates, kind(**entries(new, safe_increment(steps), lambda name, x, old: jnp.result_type(old), own))

    return GradientTransformationExtraArgs(init, update)


class _Layout:
    """Where the arrays per parameter lie in the state of a transform, and where what depends on the step count does."""

    def __init__(self, at: Callable[[Array], Native], fields: tuple[str, ...]):
        self._at, self._fields = at, fields

    @cached_property
    def _treedef(self) -> Any:
        one = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.tree.structure(jax.eval_shape(lambda p: self._at(zero_count()).init(p), one))

    def _places(self, count: Array) -> tuple[dict[str, int], dict[int, Callable[[Array], Array]]]:
        """By name the index of an array in the state, and by index how the rest follows from the step count."""
        numbered = self._treedef.unflatten(range(self._treedef.num_leaves))
        recipes = dict(pair for clock, own in clocks(self._at(count), numbered) for pair in clock.recipes(own))
        arrays = [index for index in range(self._treedef.num_leaves) if index not in recipes]
        return dict(zip(self._fields, arrays, strict=True)), recipes

    def taken(self, state: State) -> dict[str, Any]:
        """The arrays per parameter, a tree by name."""
        parts = self._treedef.flatten_up_to(state)
        return {name: parts[index] for name, index in self._places(zero_count())[0].items()}

    def put(self, arrays: Mapping[str, Any], count: Array) -> State:
        """The state of the transform with these arrays, after `count` steps."""
        places, recipes = self._places(count)  # not stored: a decay may be an array of the trace that is running
        parts = {index: recipe(count) for index, recipe in recipes.items()}
        parts |= {index: arrays[name] for name, index in places.items()}
        return self._treedef.unflatten([parts[index] for index in range(self._treedef.num_leaves)])
