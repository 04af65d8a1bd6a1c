"""What the laws have in common: example trees, runs over some steps, and comparisons that say what differs."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx._base import trees
from gradtx._base.typing import Params, State, Updates
from gradtx._core.updates import apply_updates
from gradtx._values.value import Value
from gradtx.testing.case import Case

STEPS = 3


class BrokenLawError(AssertionError):
    """A law that a transform does not keep, and how."""


def params_of(dtype: Any = jnp.float32) -> Params:
    """A small tree of parameters: nested, of several ranks."""
    return _random_tree(0, dtype)


def updates_of(case: Case, count: int = STEPS, dtype: Any = jnp.float32, scale: float = 1.0) -> list[Updates]:
    """Gradients for `count` steps, of ordinary size times `scale`."""
    trees = [_random_tree(1 + step, jnp.float32, scale) for step in range(count)]
    if case.nonnegative:
        trees = [jax.tree.map(jnp.abs, one) for one in trees]
    return [tree.cast(one, dtype) for one in trees]


def _random_tree(seed: int, dtype: Any, scale: float = 1.0) -> Any:
    random = np.random.default_rng(seed)
    shapes = {"layer": {"w": (3, 2), "b": (2,)}, "out": (4,)}
    return jax.tree.map(
        lambda shape: jnp.asarray(random.standard_normal(shape) * scale, dtype),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


class ByIdentity:
    """A case as a key: cases hold functions and dicts, and are compared by what they are, not by what they hold."""

    def __init__(self, case: Case):
        self.case = case

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and self.case is other.case

    def __hash__(self) -> int:
        return id(self.case)


def run(
    case: Case, params: Params, updates: Sequence[Updates], tx: Any = None, move: bool = True
) -> tuple[list[Updates], State]:
    """The updates of each step, and the last state. With `move`, parameters move with the updates.

    It runs op by op, loops and branches too: operations are compiled once for all transforms, programs for each.
    """
    tx, out = case.transform if tx is None else tx, []
    with jax.disable_jit():
        state = tx.init(params)
        for one in updates:
            one, state = tx.update(one, state, params, **case.extras(params))
            params = apply_updates(params, one) if move else params
            out.append(one)
    return out, state


@functools.cache
def compiled_step(case: ByIdentity) -> Callable[..., Any]:
    """One update, `(updates, state, params) -> (updates, state)`, compiled, once for all laws that want it."""
    tx, extras = case.case.transform, case.case.extras
    return jax.jit(lambda updates, state, params: tx.update(updates, state, params, **extras(params)))


@functools.cache
def _compiled_scan(case: ByIdentity) -> Callable[..., Any]:
    def scan(params: Params, updates: Updates) -> Any:
        def step(carry: Any, one: Updates) -> Any:
            params, state = carry
            one, state = case.case.transform.update(one, state, params, **case.case.extras(params))
            return (apply_updates(params, one), state), one

        (_, state), out = jax.lax.scan(step, (params, case.case.transform.init(params)), updates)
        return out, state

    return jax.jit(scan)


def scanned(case: Case, params: Params, updates: Sequence[Updates]) -> tuple[list[Updates], State]:
    """`run` inside `lax.scan`, compiled, once for all laws that want it."""
    out, state = _compiled_scan(ByIdentity(case))(params, jax.tree.map(lambda *xs: jnp.stack(xs), *updates))
    return [jax.tree.map(operator.itemgetter(index), out) for index in range(len(updates))], state


def numbers_of(tx: Any) -> Any:
    """The transform with its numbers as arrays, so that they are traced."""
    return jax.tree.map(lambda x: jnp.asarray(x, float), tx) if isinstance(tx, Value) else tx


def require(holds: Any, complaint: str) -> None:
    if not holds:
        raise BrokenLawError(complaint)


def same_form(got: Any, wanted: Any, what: str, dtypes: bool = True) -> None:
    """Structure, shapes and (with `dtypes`) dtypes and weak types are the same."""
    require(
        jax.tree.structure(got) == jax.tree.structure(wanted),
        f"{what}: the structure is {jax.tree.structure(got)}, wanted {jax.tree.structure(wanted)}",
    )
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        require(jnp.shape(a) == jnp.shape(b), f"{what} at {path}: shape {jnp.shape(a)}, wanted {jnp.shape(b)}")
        if dtypes:
            require(a.dtype == b.dtype, f"{what} at {path}: dtype {a.dtype}, wanted {b.dtype}")
            weak = getattr(a, "weak_type", False)
            require(weak == getattr(b, "weak_type", False), f"{what} at {path}: weak type {weak}")


def close(got: Any, wanted: Any, what: str, rtol: float = 2e-5, atol: float = 1e-6) -> None:
    """All numbers agree: `atol` counts in units of the largest number of the leaf."""
    same_form(got, wanted, what, dtypes=False)
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype.kind not in "fciub":  # the half precisions are foreign to NumPy
            x, y = x.astype(np.float32), y.astype(np.float32)
        finite = np.abs(y[np.isfinite(y)])
        unit = float(np.max(finite, initial=0.0))
        agree = np.isclose(x, y, rtol=rtol, atol=atol * max(unit, 1e-30), equal_nan=True)
        require(np.all(agree), f"{what} at {path}:\n{x}\nwanted\n{y}")


def identical(got: Any, wanted: Any, what: str) -> None:
    """All numbers agree to the last bit."""
    same_form(got, wanted, what)
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        require(np.asarray(a).tobytes() == np.asarray(b).tobytes(), f"{what} at {path}:\n{a}\nwanted\n{b}")


def finite(what: str, *found: Any) -> None:
    for one in found:
        for path, leaf in zip(trees.paths(one), jax.tree.leaves(one), strict=True):
            require(np.all(np.isfinite(np.asarray(leaf, np.complex128))), f"{what} at {path}: {leaf}")
