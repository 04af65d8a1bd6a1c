"""Laws of numerics: finite values, accuracy in every precision, and declared symmetries."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx._base import trees
from gradtx._base.numerics import abs_square
from gradtx.testing.case import Case
from gradtx.testing.descent import descend, solver
from gradtx.testing.trials import close, finite, params_of, require, run, updates_of, without_keys


def derivatives_are_finite(case: Case) -> None:
    """Derivatives of the updates by gradients, parameters and hyperparameters are finite, also for gradients of 0."""

    def total(tx: Any, params: Any, updates: Any) -> jax.Array:
        out = run(case, params, updates, tx)[0]
        return jnp.stack([jnp.sum(abs_square(u)) for u in jax.tree.leaves(out)]).sum()

    derivative = jax.grad(total, argnums=(0, 1, 2), allow_int=True)
    for scale in (1.0, 0.0):
        params, *updates = [one["layer"]["w"] for one in [params_of(case), *updates_of(case, 2, scale=scale)]]
        found = derivative(case.transform, params, updates)
        for by, one in zip(("its hyperparameters", "the parameters", "the gradients"), found, strict=True):
            finite(f"derivatives by {by}, at gradients times {scale},", one)


def extremes_stay_finite(case: Case) -> None:
    """Zero, tiny and huge gradients give finite updates in every precision, and no NaN in the state.

    The same holds if all gradients and parameters are 0.
    """
    scales = {jnp.float32: (0.0, 1e-30, 1e25), jnp.bfloat16: (0.0, 1e-30, 1e25), jnp.float16: (0.0, 1e-4, 6e4)}
    signs = jax.tree.map(jnp.sign, updates_of(case))
    for dtype, sizes in scales.items():
        for size in sizes:
            updates = tree.cast(jax.tree.map(partial(jnp.multiply, min(size, case.largest)), signs), dtype)
            what = f"{dtype.__name__} gradients of {size:g}"
            _stays_finite(what, *run(case, params_of(case, dtype), updates, move=False, inside=True))
    zeros = jax.tree.map(jnp.zeros_like, [params_of(case), *signs])
    _stays_finite("zeros for gradients and parameters", *run(case, zeros[0], zeros[1:]))


def _stays_finite(what: str, out: Any, state: Any) -> None:
    finite(f"updates of {what}", *out)
    for path, leaf in zip(trees.paths(state), jax.tree.leaves(without_keys(state)), strict=True):
        has_nan = np.any(np.isnan(np.asarray(leaf, np.complex128)))
        require(not has_nan, f"expected no NaN in the state at {path} after {what}, got {leaf}")


def half_precision_is_right(case: Case) -> None:
    """Half-precision parameters or gradients give the updates that float32 ones of the same values give.

    That is what other transforms get; those that go out are rounded once, to the dtypes of the parameters.
    """
    brain, half, single = jnp.bfloat16, jnp.float16, jnp.float32
    sizes = [(brain, single, 1.0), (single, brain, 1.0), (brain, brain, 1.0), (half, half, 1e-4)]
    for params_dtype, updates_dtype, size in sizes:
        # One step only: afterwards half-precision parameters differ, because they round the updates.
        params, updates = params_of(case, params_dtype), updates_of(case, 1, updates_dtype, size)
        wide = [tree.cast(one, single) for one in updates]
        wanted = run(case, tree.cast(params, single), wide)[0]
        what = f"{updates_dtype.__name__} updates of {size:g} for {params_dtype.__name__} parameters"
        close(run(case, params, updates, inside=True)[0], wanted, what, rtol=1e-5, magnified=case.magnified)


def x64_changes_nothing(case: Case) -> None:
    """With x64 enabled, float32 leaves keep float32 states and updates, with the same values."""
    params, updates = params_of(case), updates_of(case)
    shapes = {p.shape for p in jax.tree.leaves(params)}
    wanted, state = run(case, params, updates, inside=True)
    with jax.enable_x64(True):
        got, new = run(case, params, updates, inside=True)
    for a, b in zip(jax.tree.leaves((got, new)), jax.tree.leaves((wanted, state)), strict=True):
        # Scalars per step (0-d, or a few) may have the default precision; moments have the shapes of leaves.
        numbers = a.shape in ((), (2,)) or a.shape not in shapes
        require(a.dtype == b.dtype or numbers, f"expected {b.dtype} with x64, got {a.dtype}")
    close(got, wanted, "updates with x64", rtol=1e-4, magnified=case.magnified)


def double_precision_is_kept(case: Case) -> None:
    """With x64 enabled, float64 leaves have float64 updates and states, and nothing is rounded to float32 on the way.

    Updates agree with those of float32 leaves, to their precision. And a change of gradients and parameters by 1e-9,
    which float32 does not resolve, changes the updates a thousandth as much as one by 1e-6 does.
    """
    params, updates = params_of(case, alike=True), updates_of(case, alike=True)
    random, shapes = np.random.default_rng(5), {p.shape for p in jax.tree.leaves(params)}
    ways = jax.tree.map(lambda x: random.uniform(0.5, 1.0, x.shape) * np.sign(x), [params, *updates])

    def moved(by: float) -> Any:
        points = jax.tree.map(lambda x, way: np.asarray(x, np.float64) + by * way, [params, *updates], ways)
        first, *rest = jax.tree.map(jnp.asarray, points)
        return run(case, first, rest, move=False, inside=True)

    wanted, single = run(case, params, updates, move=False)
    with jax.enable_x64(True):
        (got, state), (near, _), (far, _) = map(moved, (0.0, _NEAR, _FAR))
    for path, u in zip(trees.paths(got), jax.tree.leaves(got), strict=True):
        require(u.dtype == np.float64, f"the updates of float64 leaves at {path}: expected float64, got {u.dtype}")
    for path, a, b in zip(trees.paths(state), jax.tree.leaves(state), jax.tree.leaves(single), strict=True):
        is_narrow = a.dtype == b.dtype == jnp.float32 and a.shape in shapes
        require(not is_narrow, f"the state of float64 leaves at {path}: expected float64, got float32")
    close(got, wanted, "float64 against float32", rtol=1e-3, atol=5e-3, magnified=case.magnified)
    for path, *leaves in zip(trees.paths(got), *map(jax.tree.leaves, (got, near, far)), strict=True):
        u, v, w = map(np.asarray, leaves)
        slope = (w - u) / _FAR
        error, unit, size = (np.max(np.abs(x), initial=0.0) for x in ((v - u) / _NEAR - slope, slope, u))
        require(
            error <= case.magnified * (0.05 * unit + 1e-3 * size),
            f"the updates of float64 leaves at {path} are rounded to float32: where gradients and parameters change by "
            f"{_FAR:g} they change by\n{w - u}\nand where by {_NEAR:g} by\n{v - u}\ninstead of a thousandth of it",
        )


_NEAR, _FAR = 1e-9, 1e-6


def agrees_with_its_reference(case: Case) -> None:
    """Ten steps in float32 agree with the reference of the case, which is NumPy in float64."""
    assert case.reference is not None
    random = np.random.default_rng(7)
    params, *gradients = random.standard_normal((11, *(case.shape or (6,)))).astype(np.float32)
    wanted = case.reference(np.asarray(gradients, np.float64), params.astype(np.float64))
    got = run(case, jnp.asarray(params), list(map(jnp.asarray, gradients)))[0]
    close(np.stack(got), wanted, "against the reference", rtol=1e-5, magnified=case.magnified)


def is_odd(case: Case) -> None:
    """Negated gradients give negated updates, at parameters of 0."""
    params, updates = jax.tree.map(jnp.zeros_like, params_of(case)), updates_of(case)
    wanted = jax.tree.map(jnp.negative, run(case, params, updates)[0])
    close(run(case, params, jax.tree.map(jnp.negative, updates))[0], wanted, "negated", magnified=case.magnified)


def is_scale_invariant(case: Case) -> None:
    """Gradients scaled by 1,024 give the same updates, up to eps."""
    params, updates = params_of(case), updates_of(case)
    scaled = jax.tree.map(partial(jnp.multiply, 1024), updates)
    close(run(case, params, scaled)[0], run(case, params, updates)[0], "scaled", rtol=1e-4, magnified=case.magnified)


@jax.jit
def _complex_loss(tx: Any, steps: Any, target: Any) -> jax.Array:
    return descend(tx, lambda z: 0.5 * jnp.sum(abs_square(z - target)), jnp.ones_like(target), steps)


def descends_on_complex_parameters(case: Case) -> None:
    """It finds a complex target, by conjugated gradients, in the steps that the case declares for a real one."""
    random, (tx, steps) = np.random.default_rng(3), solver(case, "quadratic")
    real, imaginary = random.standard_normal((2, *(case.shape or (4,))))
    target = jnp.asarray(real + 1j * imaginary, jnp.complex64)
    loss = _complex_loss(tx, steps, target)
    require(loss < 1e-2, f"expected a loss below 0.01 after {steps} steps of {tx!r}, got {loss:.3g}")


LAWS = [
    extremes_stay_finite,
    derivatives_are_finite,
    half_precision_is_right,
    x64_changes_nothing,
    double_precision_is_kept,
    agrees_with_its_reference,
    is_odd,
    is_scale_invariant,
    descends_on_complex_parameters,
]
