"""`minimize` with line searches: counts of evaluations beside SciPy's, scales of the loss, and why it stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from references import PROBLEMS

import gradtx as gx
from gradtx import StopReason

ROSENBROCK = [jnp.asarray(PROBLEMS[f"rosenbrock {n}"][1], jnp.float32) for n in (2, 10)]


def _rosenbrock(x):
    return PROBLEMS["rosenbrock 2"][0](x, jnp)[0]


def _losses():
    """The loss, the start and the least value of each problem; several for one where chance decides the counts."""
    known = PROBLEMS.items()
    losses = {name: [(lambda x, f=f: f(x, jnp)[0], start, least)] for name, (f, start, least) in known}
    quadratic, start, _ = PROBLEMS["quadratic"]
    losses["quadratic"] = [(lambda x, seed=s: quadratic(x, jnp, seed=seed)[0], start, 0.0) for s in range(8)]
    for factor in (1e6, 1e-6):
        scaled = lambda x, c=factor: c * quadratic(x, jnp, 100.0)[0]
        losses[f"quadratic times {factor}"] = [(scaled, np.ones(20), 0.0)]
    losses["logistic regression"] = [_regression()]
    return losses


def _regression():
    """Logistic regression of ten classes on correlated features, with a small penalty."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 20)) @ (rng.normal(size=(20, 20)) * np.geomspace(1, 0.05, 20))
    labels = np.argmax(x @ rng.normal(size=(20, 10)) + rng.gumbel(size=(500, 10)), 1)

    def loss_fn(w):
        scores = jnp.asarray(x, w.dtype) @ w.reshape(20, 10)
        return jnp.mean(jax.nn.logsumexp(scores, 1) - scores[np.arange(500), labels]) + 1e-4 * jnp.sum(w**2)

    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(loss_fn))
        evaluate = lambda w: tuple(np.asarray(x, float) for x in both(jnp.asarray(w)))
        found = scipy.optimize.minimize(evaluate, np.zeros(200), jac=True, options={"gtol": 1e-12, "maxiter": 2000})
    return loss_fn, np.zeros(200), float(found.fun)


def _of_scipy(loss_fn, start, target, dtype):
    """The evaluations of SciPy's L-BFGS-B until the loss is below the target; infinite if it does not come there."""
    both, seen, found = jax.jit(jax.value_and_grad(loss_fn)), [], []

    def evaluate(x):
        value, grads = both(jnp.asarray(x, dtype))
        seen.append(float(value))
        if value <= target and not found:
            found.append(len(seen))
        return float(value), np.asarray(grads, float)

    options = {"maxcor": 10, "ftol": 0, "gtol": 0, "maxiter": 2000, "maxfun": 3000}
    scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
    return found[0] if found else np.inf


def _of_ours(loss_fn, start, target, dtype):
    """The same of `lbfgs`."""
    both, tx = jax.value_and_grad(loss_fn), gx.lbfgs()

    @jax.jit
    def run(params):
        def step(carry):
            params, state = carry
            updates, state = tx.update(state.grads, state, params, value=state.value, value_and_grad_fn=both)
            return gx.apply_updates(params, updates), state

        value, grads = both(params)
        state = tx.init(params)._replace(value=value.astype(float), grads=grads)
        goes_on = lambda carry: (carry[1].value > target) & (carry[1].evaluations < 3000)
        return jax.lax.while_loop(goes_on, step, (params, state))[1]

    state = run(jnp.asarray(start, dtype))
    return int(state.evaluations) + 1 if state.value <= target else np.inf


def _counts(dtype, rel):
    """The evaluations of ours and of SciPy's, for each problem."""
    rows = {}
    for name, losses in _losses().items():
        found = []
        for loss_fn, start, least in losses:
            target = least + rel * (float(loss_fn(jnp.asarray(start, dtype))) - least)
            found.append([count(loss_fn, start, target, dtype) for count in (_of_ours, _of_scipy)])
        rows[name] = tuple(np.sum(found, 0))
    return rows


@pytest.mark.slow
def test_lbfgs_needs_no_more_evaluations_than_scipy():
    with jax.enable_x64(True):
        rows = _counts(jnp.float64, 1e-10)
    assert len(rows) == 11
    assert sum(ours <= theirs for ours, theirs in rows.values()) >= 10, rows
    assert all(ours <= 1.03 * theirs for ours, theirs in rows.values()), rows


@pytest.mark.slow
def test_lbfgs_in_single_precision_needs_no_more_either():
    rows = _counts(jnp.float32, 1e-6)
    assert all(np.isfinite(ours) and ours <= 1.03 * theirs for ours, theirs in rows.values()), rows


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_iterates_are_the_same_to_the_bit_for_any_scale_of_the_loss(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        start = ROSENBROCK[1].astype(dtype)
        scaled = lambda x, factor: factor * _rosenbrock(x)
        found = [
            gx.minimize(scaled, gx.lbfgs(), start, jnp.asarray(2.0**k, dtype), max_steps=20, gtol=0.0)
            for k in (0, -40, -7, 40)
        ]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0].params, other.params)
            assert int(found[0].evaluations) == int(other.evaluations)


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e30])
def test_it_minimizes_at_extreme_scales_of_the_loss(factor):
    found = gx.minimize(lambda x: factor * _rosenbrock(x), gx.lbfgs(), ROSENBROCK[0], gtol=0.0)
    np.testing.assert_allclose(found.params, 1.0, atol=2e-3)


OPTIMIZERS = {
    "lbfgs": (gx.lbfgs(), StopReason.GRADIENT),
    "newton_cg": (gx.newton_cg(), StopReason.GRADIENT),
    "backtracking": (gx.backtracking(gx.chain(gx.precondition_by_lbfgs(), gx.scale(-1.0))), StopReason.GRADIENT),
    "adam": (gx.adam(0.05), StopReason.GRADIENT),
    "an Optax-like pair": (gx.GradientTransformation(*gx.sgd(0.02, 0.9)), StopReason.GRADIENT),
}


def _bent(params, center):
    """A bent bowl with the minimum at the center."""
    x, y = params["x"] - center, params["y"]
    return jnp.sum(x**2 + 0.25 * x**4) + jnp.sum((y - 0.5) ** 2) + 0.5 * jnp.sum(x) * jnp.sum(y - 0.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_works_with_anything(name):
    tx, reason = OPTIMIZERS[name]
    params = {"x": jnp.asarray([2.0, -1.0]), "y": jnp.zeros(1)}
    found = gx.minimize(_bent, tx, params, 1.0, gtol=1e-4)
    np.testing.assert_allclose(found.params["x"], 1.0, atol=2e-3)
    np.testing.assert_allclose(found.params["y"], 0.5, atol=2e-3)
    assert bool(found.converged)
    assert StopReason(int(found.reason)) in (reason, StopReason.VALUE)
    np.testing.assert_allclose(found.value, _bent(found.params, 1.0), atol=1e-6)
    if name in ("lbfgs", "newton_cg"):
        assert int(found.evaluations) == int(found.state.evaluations) + 1
        assert int(found.evaluations) < 30


REASONS = {
    "at the minimum": (lambda x: jnp.sum((x - 1) ** 2), StopReason.GRADIENT, True),
    "constant": (lambda x: 0 * jnp.sum(x) + 3, StopReason.GRADIENT, True),
    "NaN": (lambda x: jnp.sum(x) * jnp.nan, StopReason.NOT_FINITE, False),
    "unbounded": (lambda x: -jnp.sum(x), StopReason.MAX_STEPS, False),
    "an unbounded power": (lambda x: -jnp.exp(jnp.sum(x)), StopReason.NOT_FINITE, False),
    "a step": (lambda x: jnp.sum(x) + 5 * jnp.sum(jnp.heaviside(1 - x, 0)), StopReason.NO_DECREASE, False),
}


@pytest.mark.parametrize("name", REASONS)
def test_it_says_why_it_stopped(name):
    loss_fn, reason, converged = REASONS[name]
    found = gx.minimize(loss_fn, gx.lbfgs(), jnp.ones(2), max_steps=5)
    assert (StopReason(int(found.reason)), bool(found.converged)) == (reason, converged)
    assert jnp.all(jnp.isfinite(found.params))


def test_ftol_stops_where_the_loss_changes_little():
    counts = []
    for ftol in (1e-1, 1e-4, 0.0):
        found = gx.minimize(_rosenbrock, gx.lbfgs(), ROSENBROCK[0], gtol=0.0, ftol=ftol)
        counts.append(int(found.steps))
        assert bool(found.converged)
    assert counts == sorted(counts)


def test_each_member_of_a_vmap_stops_by_itself():
    starts = jnp.asarray([[1.0, 1.0], [-1.2, 1.0], [0.0, 0.0]])
    find = lambda start: gx.minimize(_rosenbrock, gx.lbfgs(), start)
    found = jax.vmap(find)(starts)
    np.testing.assert_allclose(found.params, 1.0, atol=1e-2)
    assert int(found.steps[0]) == 0
    assert len(set(np.asarray(found.steps).tolist())) == 3
    for index, start in enumerate(starts):
        alone = find(start)
        assert abs(int(alone.steps) - int(found.steps[index])) <= 2  # sums are rounded in another order
        assert StopReason(int(alone.reason)) != StopReason.MAX_STEPS


def test_the_compiled_loop_is_kept_for_the_same_loss():
    traces = []

    def loss_fn(x, center):
        traces.append(0)
        return jnp.sum((x - center) ** 2)

    gx.minimize(loss_fn, gx.lbfgs(), jnp.ones(2), jnp.zeros(2))
    count = len(traces)
    for limits in ({}, {"gtol": 1e-3, "max_steps": 7}):
        gx.minimize(loss_fn, gx.lbfgs(), jnp.zeros(2), jnp.ones(2), **limits)
    assert len(traces) == count


def test_one_trace_of_a_jitted_step():
    traces, bowl = [], lambda p: jnp.sum((p - 1) ** 4)
    tx = gx.lbfgs()

    @jax.jit
    def step(params, state):
        traces.append(0)
        updates, state = tx.update(jax.grad(bowl)(params), state, params, value_fn=bowl)
        return gx.apply_updates(params, updates), state

    params = jnp.zeros(3)
    state = tx.init(params)
    for _ in range(4):
        params, state = step(params, state)
    assert len(traces) == 1


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="minimize: expected a function of the parameters first, a transform second"):
        gx.minimize(gx.lbfgs(), lambda x: x, jnp.ones(2))
    with pytest.raises(ValueError, match="max_steps: expected a positive whole number"):
        gx.minimize(jnp.sum, gx.lbfgs(), jnp.ones(2), max_steps=0)
    with pytest.raises(TypeError, match=r"minimize: expected one real number from the loss, got float32 of the shape"):
        gx.minimize(lambda x: x, gx.lbfgs(), jnp.ones(2))
