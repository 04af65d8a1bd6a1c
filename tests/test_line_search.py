"""Line searches: the conditions at every accepted step, and a status for everything else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import approximate_wolfe_holds, wolfe_holds

import gradtx as gx
from gradtx import SearchStatus

P = jnp.asarray([3.0, 0.01])
STEEPEST = gx.line_search(gx.scale(-1.0))


def _step(loss_fn, tx, params, **extra):
    grads = jax.grad(loss_fn)(params)
    updates, state = tx.update(grads, tx.init(params), params, **({"value_fn": loss_fn} | extra))
    return gx.apply_updates(params, updates), state


def _status(state):
    return SearchStatus(int(state.status))


# Random losses of one step: quartics, which may have no minimum along the line, and a wave on a bowl.
def _quartic(params, numbers):
    a, b, c, d, x, y = numbers
    p, q = params
    return a * (p - x) ** 4 + b * (q - y) ** 2 * (1 + p**2) + c * p * q + d * q


def _wave(params, numbers):
    a, b, c, d, x, y = numbers
    p, q = params
    return (p - x) ** 2 + (q - y) ** 2 + a * jnp.sin(8 * b * p) + c * jnp.cos(9 * d * q)


@pytest.mark.parametrize("loss", [_quartic, _wave])
def test_the_conditions_hold_after_every_accepted_step_of_5000(loss):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        numbers = jnp.asarray(rng.uniform(0.1, 2, (5000, 6)))
        starts = jnp.asarray(rng.normal(size=(5000, 2)))

        @jax.jit
        @jax.vmap
        def one(start, numbers):
            loss_fn = lambda p: loss(p, numbers)
            value, grads = jax.value_and_grad(loss_fn)(start)
            updates, state = STEEPEST.update(grads, STEEPEST.init(start), start, value=value, value_fn=loss_fn)
            slopes = jnp.vdot(grads, -grads), jnp.vdot(state.grads, -grads)
            return value, state.value, slopes, state.step, state.status, loss_fn(start + updates)

        found = jax.tree.map(np.asarray, one(starts, numbers))
    values, ends, (slopes, end_slopes), steps, statuses, there = found
    accepted = 0
    for f0, f1, slope0, slope1, t, status in zip(values, ends, slopes, end_slopes, steps, statuses, strict=True):
        if status == SearchStatus.ACCEPTED:
            accepted += 1
            noise = 10 * np.finfo(np.float64).eps
            assert wolfe_holds(f0, slope0, f1, slope1, t, 1e-4, 0.9) or approximate_wolfe_holds(
                f0, slope0, f1, slope1, 1e-4, 0.9, noise
            )
        else:  # the quartic may fall for ever
            assert status == SearchStatus.MAX_EVALUATIONS
            assert f1 < f0
    assert accepted > 4900
    np.testing.assert_allclose(ends, there, rtol=1e-12, atol=1e-12)


def test_backtracking_shortens_the_step_until_the_loss_decreases_by_enough():
    bowl = lambda p: 10 * jnp.sum(p**2)
    tx = gx.backtracking(gx.scale(-1.0))
    params, state = _step(bowl, tx, P)
    # By t the loss is multiplied by (1 - 20 t)^2, and t (1 - 10 t) >= 1e-4 t asks for t below 0.1.
    np.testing.assert_allclose(state.step, 0.5**4)
    np.testing.assert_allclose(params, P * (1 - 20 / 16), rtol=1e-6)
    assert (int(state.evaluations), _status(state), state.grads) == (6, SearchStatus.ACCEPTED, None)


def test_a_given_loss_saves_an_evaluation():
    bowl = lambda p: jnp.sum(p**2) / 2
    both = {"value_and_grad_fn": jax.value_and_grad(bowl), "value_fn": None}
    for extra, count in [({}, 2), ({"value": bowl(P)}, 1), (both, 2), (both | {"value": bowl(P)}, 1)]:
        params, state = _step(bowl, STEEPEST, P, **extra)
        np.testing.assert_allclose(params, 0, atol=1e-7)
        assert (int(state.evaluations), float(state.step)) == (count, 1.0)


STATUSES = {
    "flat": (lambda p: 0 * jnp.sum(p), SearchStatus.STATIONARY),
    "NaN": (lambda p: jnp.sum(p) * jnp.nan, SearchStatus.NOT_FINITE),
    "infinite": (lambda p: jnp.sum(p) * jnp.inf, SearchStatus.NOT_FINITE),
    "unbounded": (lambda p: -jnp.sum(p), SearchStatus.MAX_EVALUATIONS),
    "a barrier": (lambda p: jnp.sum(p - jnp.log(p)), SearchStatus.ACCEPTED),
    "no loss of this gradient": (lambda p: -jnp.sum(jax.lax.stop_gradient(2 * p) - p), SearchStatus.NO_DECREASE),
}


@pytest.mark.parametrize("name", STATUSES)
@pytest.mark.parametrize("jit", [False, True])
def test_the_status_says_how_the_search_ended(name, jit):
    loss_fn, status = STATUSES[name]
    step = lambda params: _step(loss_fn, STEEPEST, params)
    params, state = (jax.jit(step) if jit else step)(P)
    assert _status(state) == status
    assert jnp.all(jnp.isfinite(params))
    if status in (SearchStatus.STATIONARY, SearchStatus.NOT_FINITE, SearchStatus.NO_DECREASE):
        np.testing.assert_array_equal(params, P)
        assert state.step == 0
    else:
        assert loss_fn(params) < loss_fn(P)
        np.testing.assert_allclose(state.value, loss_fn(params), rtol=1e-6)


@pytest.mark.parametrize("search", [gx.line_search, gx.backtracking])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_direction_of_ascent_is_replaced_and_counted(search, factor):
    direction = gx.elementwise(lambda g: factor * g)  # whose sign nobody knows
    bowl = lambda p: jnp.sum(p**2) / 2
    params, state = _step(bowl, search(direction), P)
    assert bowl(params) < bowl(P)
    assert (int(state.fallbacks), _status(state)) == (1, SearchStatus.ACCEPTED)
    # along the negative gradient, divided by its norm
    np.testing.assert_allclose(P - params, float(state.step) * P / jnp.linalg.norm(P), rtol=1e-5)
    assert int(_step(bowl, search(gx.scale(-1.0)), P)[1].fallbacks) == 0


def test_a_failed_search_is_followed_by_one_along_the_gradient():
    sideways = gx.line_search(gx.chain(gx.elementwise(lambda g: g.at[0].set(1e-4 * g[0]).at[1].set(0)), gx.scale(-1.0)))
    kink = lambda p: 1e4 * jnp.abs(p[0] - 3) + p[1] ** 2 + 1e-3 * p[0]
    state = sideways.init(P)
    grads = jnp.asarray([1e-3, 0.02])  # at the kink
    _, state = sideways.update(grads, state, P, value_fn=kink)
    assert (_status(state), int(state.fallbacks)) == (SearchStatus.NO_DECREASE, 0)
    _, state = sideways.update(grads, state, P, value_fn=kink)
    assert int(state.fallbacks) == 1


def test_at_most_so_many_evaluations():
    steep = lambda p: jnp.sum(jnp.cosh(20 * p))
    for most in (1, 2, 3):
        _, state = _step(steep, gx.line_search(gx.scale(-1.0), max_evaluations=most), P, value=steep(P))
        assert int(state.evaluations) == most
        assert _status(state) in (SearchStatus.NO_DECREASE, SearchStatus.MAX_EVALUATIONS)


def test_the_search_must_see_the_gradient_itself():
    message = "line_search needs the gradient itself, and here it gets the output of clip; put it first"
    with pytest.raises(ValueError, match=message):
        gx.chain(gx.clip(1.0), STEEPEST)
    with pytest.raises(ValueError, match="needs the gradient itself"):
        gx.chain(gx.scale(2.0), gx.chain(gx.lbfgs(), gx.scale(1.0)))
    gx.chain(STEEPEST, gx.scale(0.5))  # a shorter step is still one
    gx.accumulate_gradients(STEEPEST, 2)


def test_missing_functions_are_named():
    for tx, name in [(STEEPEST, "value_and_grad_fn"), (gx.backtracking(gx.scale(-1.0)), "value_fn")]:
        with pytest.raises(TypeError, match=f"the extra argument '{name}' is missing"):
            tx.update(P, tx.init(P), P)
    with pytest.raises(TypeError, match=r"value_and_grad_fn: expected \(value, gradients\), got"):
        STEEPEST.update(P, STEEPEST.init(P), P, value=1.0, value_and_grad_fn=jnp.sum)
    with pytest.raises(ValueError, match="the loss: expected a single real number, got float32 of the shape"):
        STEEPEST.update(P, STEEPEST.init(P), P, value=1.0, value_and_grad_fn=lambda p: (p, p))
    with pytest.raises(ValueError, match="expected the parameters, got None"):
        STEEPEST.update(P, STEEPEST.init(P), value_fn=jnp.sum)


def test_in_a_train_step_it_takes_the_loss_and_its_functions():
    batch = jnp.asarray([1.0, 2.0])

    def loss_fn(params, batch):
        return jnp.sum(params["w"] ** 2 * batch), {"aux": batch}

    params = {"w": jnp.asarray([1.0, -1.0])}
    for accumulate in (1, 2):
        step = gx.make_train_step(loss_fn, STEEPEST, has_aux=True, donate=False, accumulate=accumulate)
        new, state, (loss, _) = step(params, STEEPEST.init(params), batch)
        assert loss_fn(new, batch)[0] < loss
        assert _status(state) == SearchStatus.ACCEPTED
        np.testing.assert_allclose(state.value, loss_fn(new, batch)[0] / accumulate, rtol=1e-6, atol=1e-12)


def test_derivatives_take_the_step_as_a_constant():
    bowl = lambda p: jnp.sum(p**2) / 2

    def after(scale):
        tx = gx.line_search(gx.scale(-scale))
        grads = jax.grad(bowl)(P)
        return jnp.sum(tx.update(grads, tx.init(P), P, value_fn=bowl)[0])

    np.testing.assert_allclose(jax.grad(after)(0.5), -jnp.sum(P) * 1.0, rtol=1e-6)


def test_complex_parameters_and_half_precision():
    params = {"z": jnp.asarray([1 + 2j, -1j], jnp.complex64), "h": jnp.asarray([1.0, 2.0], jnp.bfloat16)}
    bowl = lambda p: jnp.sum(jnp.abs(p["z"] - 1j) ** 2) + jnp.sum((p["h"].astype(jnp.float32) - 0.5) ** 2)
    grads = jax.tree.map(jnp.conj, jax.grad(bowl)(params))
    tx = gx.line_search(gx.chain(gx.normalize_by_global_norm(), gx.scale(-1.0)))
    updates, state = tx.update(grads, tx.init(params), params, value_fn=bowl)
    new = gx.apply_updates(params, updates)
    assert jax.tree.map(jnp.result_type, updates) == jax.tree.map(jnp.result_type, params)
    assert bowl(new) < 0.5 * bowl(params)
    np.testing.assert_allclose(state.value, bowl(new), rtol=1e-6)
