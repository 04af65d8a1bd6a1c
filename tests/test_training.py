"""The train step: donated, accumulating in float32, right for keys, scalars and complex parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import make_train_step

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.standard_normal((12, 3)), jnp.float32)
Y = X @ jnp.asarray([1.0, -2.0, 0.5])


def _loss(params, x, y):
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


def _params(dtype=jnp.float32):
    return {"w": jnp.zeros(3, dtype), "b": jnp.zeros((), dtype)}


def test_it_trains():
    tx = gx.adam(0.1)
    step, params = make_train_step(_loss, tx), _params()
    state = tx.init(params)
    for _ in range(200):
        params, state, loss = step(params, state, X, Y)
    assert loss < 1e-3
    np.testing.assert_allclose(params["w"], [1.0, -2.0, 0.5], atol=0.05)


def test_parameters_and_state_are_donated_unless_told_otherwise():
    tx = gx.adam(0.1)
    for donate in (True, False):
        params = _params()
        state = tx.init(params)
        make_train_step(_loss, tx, donate=donate)(params, state, X, Y)
        assert all(leaf.is_deleted() == donate for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("count", [2, 3, 12])
def test_accumulated_gradients_are_those_of_the_whole_batch(count):
    tx = gx.sgd(0.1, 0.9)
    params = _params()
    whole = make_train_step(_loss, tx, donate=False)(params, tx.init(params), X, Y)
    parts = make_train_step(_loss, tx, accumulate=count, donate=False)(params, tx.init(params), X, Y)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_accumulation_is_in_float32_for_half_precision_parameters():
    # 256 gradients of 1 + 2^-7: their sum in bfloat16 stops at 256.
    tx, params = gx.identity(), jnp.zeros((), jnp.bfloat16)
    seen = []

    @gx.transformation
    def spy():
        return gx.treewise(
            lambda updates, state, params: (seen.append(updates.dtype) or updates, updates),
            init=lambda params: jnp.zeros((), jnp.float32),
        )

    tx = spy()
    step = make_train_step(lambda p, x: jnp.sum(p * x), tx, accumulate=256, donate=False)
    _, gradient, _ = step(params, tx.init(params), jnp.full(256, 1 + 2.0**-7, jnp.bfloat16))
    assert seen == [jnp.float32]
    np.testing.assert_allclose(gradient, 1 + 2.0**-7, rtol=1e-6)


def test_aux_comes_back_and_is_stacked_by_accumulation():
    def loss(params, x, y):
        return _loss(params, x, y), {"mean": jnp.mean(y), "rows": jnp.asarray(x.shape[0])}

    tx = gx.sgd(0.1)
    params = _params()
    _, _, (value, aux) = make_train_step(loss, tx, has_aux=True, donate=False)(params, tx.init(params), X, Y)
    np.testing.assert_allclose(value, jnp.mean(Y**2), rtol=1e-6)
    assert aux["rows"] == 12
    step = make_train_step(loss, tx, has_aux=True, accumulate=3, donate=False)
    _, _, (value, aux) = step(params, tx.init(params), X, Y)
    np.testing.assert_allclose(value, jnp.mean(Y**2), rtol=1e-6)
    np.testing.assert_array_equal(aux["rows"], [4, 4, 4])
    np.testing.assert_allclose(aux["mean"], Y.reshape(3, 4).mean(axis=1), rtol=1e-5)


def test_keys_are_split_and_scalars_repeated_over_the_parts():
    def loss(params, x, key, factor):
        return jnp.mean(params["b"] * x), (jax.random.normal(key), factor)

    tx = gx.sgd(0.1)
    params = _params()
    step = make_train_step(loss, tx, has_aux=True, accumulate=4, donate=False)
    _, _, (_, (noise, factors)) = step(params, tx.init(params), X, jax.random.key(0), 2.0)
    assert len(set(np.asarray(noise).tolist())) == 4
    np.testing.assert_array_equal(factors, [2.0] * 4)


def test_the_loss_is_handed_on_as_an_extra():
    @gx.transformation
    def by_value():
        return gx.treewise(
            lambda updates, state, params, *, value: (jax.tree.map(lambda g: g * 0 - value, updates), state)
        )

    tx = by_value()
    for has_aux in (False, True):
        loss = (lambda p: (p * 0 + 3.0, None)) if has_aux else (lambda p: p * 0 + 3.0)
        params, _, _ = make_train_step(loss, tx, has_aux=has_aux)(jnp.zeros(()), tx.init(jnp.zeros(())))
        assert params == -3


@gx.transformation
def _told():
    """Emits what the extras say: the gradient elsewhere, and the loss there in two ways."""

    def update(updates, state, params, *, grad_fn, value_fn, shift):
        there = jax.tree.map(lambda p: p + shift, params)
        change = jax.tree.map(lambda slope, again: slope + again, grad_fn(there), jax.grad(value_fn)(there))
        return {**change, "b": value_fn(there)}, state

    return gx.treewise(update, needs_params=True)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("has_aux", [False, True])
def test_the_loss_as_a_function_is_of_this_batch_and_of_any_parameters(accumulate, has_aux):
    tx, params = _told(), _params()
    loss = (lambda *args: (_loss(*args), jnp.zeros(()))) if has_aux else _loss
    step = make_train_step(loss, tx, accumulate=accumulate, has_aux=has_aux, donate=False)
    new, _, _ = step(params, tx.init(params), X, Y, shift=jnp.asarray(0.5))
    there = jax.tree.map(lambda p: p + 0.5, params)
    np.testing.assert_allclose(new["w"], 2 * jax.grad(_loss)(there, X, Y)["w"], rtol=1e-5)
    np.testing.assert_allclose(new["b"], _loss(there, X, Y), rtol=1e-6)


@pytest.mark.parametrize(
    "tx",
    [
        gx.sharpness_aware(gx.sgd(0.1), 0.01),
        gx.nesterov_lookahead(0.02, points=2),
        gx.momo(0.3),
        gx.polyak_sgd(),
        gx.sophia(0.02),
        gx.adahessian(0.1),
        gx.chain(gx.sgd(0.1), gx.reduce_on_plateau(patience=20)),
    ],
    ids=lambda tx: tx.factory_name,
)
def test_what_wants_the_loss_trains_by_it(tx):
    step, params = make_train_step(_loss, tx, accumulate=2), _params()
    state = tx.init(params)
    for count in range(200):
        params, state, loss = step(params, state, X, Y, key=jax.random.key(count))
    assert loss < 2e-2


def test_complex_parameters_descend():
    target = 1 - 2j
    tx = gx.adam(0.1)
    step = make_train_step(lambda z: abs(z - target) ** 2, tx)
    z = jnp.zeros((), jnp.complex64)
    state = tx.init(z)
    for _ in range(200):
        z, state, _ = step(z, state)
    np.testing.assert_allclose(z, target, atol=1e-2)


def test_an_optax_transform_can_be_trained_with_too():
    import optax

    tx = optax.sgd(0.1)
    params = _params()
    params, _, loss = make_train_step(_loss, tx)(params, tx.init(params), X, Y)
    np.testing.assert_allclose(loss, jnp.mean(Y**2), rtol=1e-6)


def test_an_error_of_the_loss_inside_an_outer_trace_is_itself_and_keeps_its_cause():
    def loss(params, x):
        raise ValueError("too warm") from KeyError("weather")

    tx = gx.sgd(0.1)
    step = make_train_step(loss, tx, donate=False)
    for outer in (step, jax.jit(step)):
        with pytest.raises(ValueError, match="too warm") as found:
            outer(jnp.ones(2), tx.init(jnp.ones(2)), 1.0)
        assert isinstance(found.value.__cause__, KeyError)


def test_updates_of_another_shape_are_told():
    tx = gx.GradientTransformation(lambda p: (), lambda u, s, p=None: (u.reshape(1, -1) * -0.1, s))
    step = make_train_step(lambda p: jnp.sum(p**2), tx, donate=False)
    with pytest.raises(gx.GradtxValueError, match="with respect to these parameters"):
        step(jnp.ones(2), ())
