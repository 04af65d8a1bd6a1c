"""Shared helpers of the laws: example trees, runs over a few steps, and comparisons that report the difference."""

import functools
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx._base import trees
from gradtx._base.numerics import is_key
from gradtx._base.typing import Params, State, Updates
from gradtx._core.context import Context
from gradtx._core.updates import apply_updates
from gradtx._values.value import Value
from gradtx.testing.case import Case

STEPS = 3


class BrokenLawError(AssertionError):
    """A law does not hold for a transform; the message describes the difference."""


def params_of(case: Case, dtype: Any = jnp.float32, alike: bool = False) -> Params:
    """A small nested tree of parameters with several ranks; of matrices only, if the case is about those.

    With `alike` all have one shape: a third of the operations to compile, where ranks make no difference.
    """
    return _random_tree(case, 0, dtype, alike=alike)


def updates_of(
    case: Case, count: int = STEPS, dtype: Any = jnp.float32, scale: float = 1.0, alike: bool = False
) -> list[Updates]:
    """Standard normal gradients times `scale` for `count` steps."""
    trees = [_random_tree(case, 1 + step, jnp.float32, scale, alike) for step in range(count)]
    if case.nonnegative:
        trees = [jax.tree.map(jnp.abs, one) for one in trees]
    return [tree.cast(one, dtype) for one in trees]


def _random_tree(case: Case, seed: int, dtype: Any, scale: float = 1.0, alike: bool = False) -> Any:
    random = np.random.default_rng(seed)
    shapes = {"layer": {"w": (3, 2), "b": (2, 4) if case.matrices else (2,)}, "out": (4, 4) if case.matrices else (4,)}
    return jax.tree.map(
        lambda shape: jnp.asarray(random.standard_normal((3, 2) if alike else shape) * scale, dtype),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


class ByIdentity:
    """A hashable wrapper that compares cases by identity, because their fields include functions and dicts."""

    def __init__(self, case: Case):
        self.case = case

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and self.case is other.case

    def __hash__(self) -> int:
        return id(self.case)


def run(
    case: Case, params: Params, updates: Sequence[Updates], tx: Any = None, move: bool = True, inside: bool = False
) -> tuple[list[Updates], State]:
    """Runs a transform eagerly; returns the updates of each step and the last state.

    With `move`, the updates are applied to the parameters; with `inside`, they are what another transform around it
    gets, and not rounded to the dtypes of the parameters.
    """
    tx, out = case.transform if tx is None else tx, []
    state = tx.init(params)
    for one in updates:
        extras = case.extras(params)
        update = partial(Context(extras).update, tx) if inside else partial(tx.update, **extras)
        one, state = update(one, state, params)
        params = apply_updates(params, one) if move else params
        out.append(one)
    return out, state


@functools.cache
def compiled_step(case: ByIdentity) -> Callable[..., Any]:
    """The jitted update `(updates, state, params) -> (updates, state)`, compiled once and shared by the laws."""
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
    """The same as `run`, in a jitted `lax.scan` that is compiled once and shared by the laws."""
    out, state = _compiled_scan(ByIdentity(case))(params, jax.tree.map(lambda *xs: jnp.stack(xs), *updates))
    return [jax.tree.map(operator.itemgetter(index), out) for index in range(len(updates))], state


def numbers_of(tx: Any) -> Any:
    """The transform with its hyperparameters as arrays, so that they are traced."""
    return jax.tree.map(lambda x: jnp.asarray(x, float), tx) if isinstance(tx, Value) else tx


def without_keys(tree: Any) -> Any:
    """The tree with the data of typed random keys, which NumPy does not know, in their place."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)


def require(holds: Any, complaint: str) -> None:
    if not holds:
        raise BrokenLawError(complaint)


def same_form(got: Any, wanted: Any, what: str, dtypes: bool = True) -> None:
    """Requires equal structure and shapes, and with `dtypes` equal dtypes and weak types."""
    require(
        jax.tree.structure(got) == jax.tree.structure(wanted),
        f"{what}: expected the structure {jax.tree.structure(wanted)}, got {jax.tree.structure(got)}",
    )
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        require(
            jnp.shape(a) == jnp.shape(b), f"{what} at {path}: expected the shape {jnp.shape(b)}, got {jnp.shape(a)}"
        )
        if dtypes:
            require(a.dtype == b.dtype, f"{what} at {path}: expected {b.dtype}, got {a.dtype}")
            weak, expected = (getattr(x, "weak_type", False) for x in (a, b))
            require(weak == expected, f"{what} at {path}: expected weak_type={expected}, got {weak}")


def close(got: Any, wanted: Any, what: str, rtol: float = 2e-5, atol: float = 1e-6, magnified: float = 1.0) -> None:
    """Requires all values to agree; `atol` is relative to the largest magnitude of the leaf, and both are magnified."""
    rtol, atol = magnified * rtol, magnified * atol
    same_form(got, wanted, what, dtypes=False)
    got, wanted = without_keys((got, wanted))
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype.kind not in "fciub":  # bfloat16, which NumPy does not know
            x, y = x.astype(np.float32), y.astype(np.float32)
        finite = np.abs(y[np.isfinite(y)])
        unit = float(np.max(finite, initial=0.0))
        agree = np.isclose(x, y, rtol=rtol, atol=atol * max(unit, 1e-30), equal_nan=True)
        require(np.all(agree), f"{what} at {path}: expected\n{y}\ngot\n{x}")


def identical(got: Any, wanted: Any, what: str) -> None:
    """Requires all values to be identical bit for bit."""
    same_form(got, wanted, what)
    got, wanted = without_keys((got, wanted))
    for path, a, b in zip(trees.paths(wanted), jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        require(np.asarray(a).tobytes() == np.asarray(b).tobytes(), f"{what} at {path}: expected\n{b}\ngot\n{a}")


def finite(what: str, *found: Any) -> None:
    for one in found:
        for path, leaf in zip(trees.paths(one), jax.tree.leaves(without_keys(one)), strict=True):
            require(
                np.all(np.isfinite(np.asarray(leaf, np.complex128))),
                f"{what} at {path}: expected finite values, got {leaf}",
            )
