"""Norms, clipping, noise, privacy and Polyak's step size: what the laws do not see."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import schedules, tree

RANDOM = np.random.default_rng(0)


def _draw(*shape, dtype=jnp.float32):
    return jnp.asarray(RANDOM.standard_normal(shape), dtype)


def _apply(tx, updates, params=None, **extra):
    return jax.jit(tx.update)(updates, tx.init(updates if params is None else params), params, **extra)[0]


def _close(got, wanted, rtol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7), got, wanted)


PARAMS = {"kernel": _draw(4, 3), "conv": _draw(3, 3, 2, 5), "heads": _draw(2, 3, 4), "bias": _draw(3), "s": _draw()}
UPDATES = jax.tree.map(lambda p: _draw(*p.shape), PARAMS)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gx.scale_by_trust_ratio(), optax.scale_by_trust_ratio()),
        (gx.scale_by_trust_ratio(1.5, 0.1, 0.2), optax.scale_by_trust_ratio(1.5, 0.1, 0.2)),
        (gx.scale_by_param_norm(2.0), optax.scale_by_param_block_norm(2.0)),
        (gx.scale_by_param_rms(0.9), optax.scale_by_param_block_rms(0.9)),
        (gx.normalize_by_global_norm(1e-2), optax.normalize_by_update_norm(eps=1e-2)),
        (gx.clip_by_block_rms(0.7), optax.clip_by_block_rms(0.7)),
        (gx.adaptive_grad_clip(0.3), optax.adaptive_grad_clip(0.3)),
        (gx.adaptive_grad_clip(0.3, 2.0), optax.adaptive_grad_clip(0.3, 2.0)),
        (gx.zero_nans(), optax.zero_nans()),
    ],
    ids=lambda tx: getattr(tx, "name", "optax"),
)
def test_they_agree_with_optax(ours, theirs):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted, _ = jax.jit(theirs.update)(UPDATES, theirs.init(PARAMS), PARAMS)
    _close(_apply(ours, UPDATES, PARAMS), wanted)


def test_centralization_keeps_the_last_axis_where_optax_keeps_the_first():
    theirs = optax.centralize()
    turned = {name: jnp.moveaxis(g, -1, 0) for name, g in UPDATES.items() if g.ndim > 1}
    wanted = {name: jnp.moveaxis(g, 0, -1) for name, g in theirs.update(turned, theirs.init(turned))[0].items()}
    got = _apply(gx.centralize(), UPDATES)
    _close({name: got[name] for name in wanted}, wanted)
    np.testing.assert_allclose(jnp.mean(got["kernel"], 0), 0.0, atol=1e-7)
    assert np.array_equal(got["bias"], UPDATES["bias"])


def _fifty_steps(tx, params, gradients, **extra):
    state, step = tx.init(params), jax.jit(tx.update)
    for g in gradients:
        updates, state = step(g, state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gx.lars(0.1, 0.01), optax.lars(0.1, 0.01)),
        (
            gx.lars(0.1, 0.01, {"w": True, "b": False}, 0.02, 0.1, {"w": True, "b": False}, 0.8, True),
            optax.lars(0.1, 0.01, {"w": True, "b": False}, 0.02, 0.1, {"w": True, "b": False}, 0.8, True),
        ),
        (gx.lamb(0.01, weight_decay=0.1), optax.lamb(0.01, weight_decay=0.1)),
        (
            gx.lamb(0.01, 0.8, 0.9, 1e-3, 1e-3, 0.1, {"w": True, "b": False}),
            optax.lamb(0.01, 0.8, 0.9, 1e-3, 1e-3, 0.1, {"w": True, "b": False}),
        ),
        (gx.novograd(0.01, weight_decay=0.1), optax.novograd(0.01, weight_decay=0.1)),
        (gx.novograd(0.01, 0.8, 0.6, 1e-3, 1e-2), optax.novograd(0.01, 0.8, 0.6, 1e-3, 1e-2)),
        (gx.fromage(0.05), optax.fromage(0.05)),
        (gx.fromage(schedules.linear(0.1, 0.0, 60), 0.5), optax.fromage(optax.linear_schedule(0.1, 0.0, 60), 0.5)),
    ],
    ids=lambda tx: getattr(tx, "name", "optax"),
)
def test_layerwise_optimizers_agree_with_optax_over_50_steps(ours, theirs):
    params = {"w": _draw(4, 3), "b": _draw(3)}
    gradients = [{"w": _draw(4, 3), "b": _draw(3)} for _ in range(50)]
    with jax.numpy_dtype_promotion("standard"):
        wanted = _fifty_steps(theirs, params, gradients)
    _close(_fifty_steps(ours, params, gradients), wanted, rtol=2e-5)


def test_under_over_layers_a_stack_has_as_many_trust_ratios_as_layers():
    params, updates = {"w": _draw(3, 4, 2)}, {"w": _draw(3, 4, 2)}
    tx = gx.scale_by_trust_ratio()
    together = _apply(gx.over_layers(tx), updates, params)["w"]
    for index in range(3):
        _close(together[index], _apply(tx, updates["w"][index], params["w"][index]))


def test_norms_neither_overflow_nor_underflow():
    for size in (1e-30, 1e25):
        g, p = jnp.full((4, 3), size), jnp.full((4, 3), 2.0)
        np.testing.assert_allclose(_apply(gx.scale_by_trust_ratio(), g, p), 2.0, rtol=1e-5)
        np.testing.assert_allclose(_apply(gx.normalize_by_global_norm(), g), 12**-0.5, rtol=1e-5)
        np.testing.assert_allclose(_apply(gx.scale_by_norm_ema(0.9, 0.0), g), 12**-0.5, rtol=1e-5)
    np.testing.assert_allclose(_apply(gx.adaptive_grad_clip(0.5), g, p), 1.0, rtol=1e-5)
    np.testing.assert_allclose(_apply(gx.clip_by_block_rms(3.0), g), 3.0, rtol=1e-5)
    np.testing.assert_allclose(_apply(gx.adaptive_grad_clip(0.5), p, 1e25 * p), 2.0)
    half = jnp.full(4, 6e4, jnp.float16)
    np.testing.assert_allclose(_apply(gx.normalize_by_global_norm(), half), 0.5, rtol=1e-6)


def test_zero_parameters_and_zero_updates():
    zero, one = jnp.zeros(3), jnp.ones(3)
    assert np.array_equal(_apply(gx.scale_by_trust_ratio(), one, zero), one)
    for tx in (gx.lars(0.1), gx.lamb(0.1), gx.novograd(0.1), gx.fromage(0.1, 0.0)):
        assert np.all(np.asarray(_apply(tx, zero, zero)) == 0)
        assert np.any(np.asarray(_apply(tx, one, zero)) != 0), "what begins at 0 can leave it"


def test_the_average_of_norms_begins_with_the_first_whatever_it_is():
    tx = gx.scale_by_norm_ema(0.75, 0.0)
    state, out = tx.init(jnp.zeros(1)), []
    for g in (0.0, 2.0, 4.0):
        u, state = tx.update(jnp.full(1, g), state)
        out.append(float(u[0]))
    np.testing.assert_allclose(out, [0.0, 2.0, 4 / np.sqrt(0.75 + 4)], rtol=1e-6)
    with pytest.raises(ValueError, match="expected the state of scale_by_norm_ema"):
        tx.update({"a": jnp.ones(1)}, state)


def test_units_of_adaptive_clipping():
    # Each unit is clipped by itself: of a matrix the columns, of a convolution the last axis.
    for shape in ((4, 3), (2, 2, 4, 3), (2, 1, 2, 4, 3)):
        p, g = jnp.ones(shape), jnp.zeros(shape).at[..., 0].set(1.0).at[..., 1].set(1e-3)
        u = _apply(gx.adaptive_grad_clip(0.1), g, p)
        np.testing.assert_allclose(u[..., 0], 0.1, rtol=1e-6)
        assert np.array_equal(u[..., 1:], g[..., 1:])
    rows = _apply(gx.adaptive_grad_clip(0.1, axis=1), jnp.eye(3), jnp.ones((3, 3)))
    np.testing.assert_allclose(rows, 0.1 * 3**0.5 * np.eye(3), rtol=1e-6)
    whole = gx.adaptive_grad_clip(0.1, axis=(-1, 0))
    assert gx.from_config(gx.to_config(whole)) == whole
    with pytest.raises(ValueError, match=r"expected an array with axis 1 at 'b', got the shape \(3,\)"):
        _apply(gx.adaptive_grad_clip(0.1, axis=1), {"b": jnp.ones(3)}, {"b": jnp.ones(3)})


def test_zero_nans_leaves_infinities():
    g = jnp.asarray([jnp.nan, jnp.inf, -1.0])
    assert np.array_equal(_apply(gx.zero_nans(), g), [0.0, jnp.inf, -1.0])
    assert _apply(gx.zero_nans(), jnp.asarray([complex(1, np.nan)], jnp.complex64))[0] == 0


def _noises(tx, g, steps):
    return jax.jit(lambda: jax.lax.scan(lambda s, _: tx.update(g, s)[::-1], tx.init(g), length=steps)[1])()


def test_noise_has_the_variance_it_should_and_fades():
    noise = _noises(gx.add_noise(0.25, gamma=2.0), jnp.zeros(20_000), 3)
    np.testing.assert_allclose(np.var(noise, 1), 0.25 / np.asarray([1, 4, 9]), rtol=0.05)
    np.testing.assert_allclose(np.mean(noise, 1), 0.0, atol=0.015)
    assert abs(np.corrcoef(noise)[0, 1:]).max() < 0.03, "steps are independent"
    ours = _noises(gx.noisy_sgd(1.0, 0.04, 0.0), jnp.ones(20_000), 1)
    np.testing.assert_allclose([np.mean(ours), np.std(ours)], [-1.0, 0.2], rtol=0.02)


def test_noise_is_another_one_for_each_leaf_and_seed_and_the_same_for_the_same():
    g = {"a": jnp.zeros(5), "b": jnp.zeros(5)}
    one, other = _noises(gx.add_noise(1.0), g, 2), _noises(gx.add_noise(1.0, seed=1), g, 2)
    values = np.concatenate([np.ravel(x) for x in jax.tree.leaves((one, other))])
    assert len(set(values.tolist())) == values.size == 40
    state, tx = gx.add_noise(1.0).init(g), gx.add_noise(1.0)
    for step in range(2):
        u, state = tx.update(g, state)
        _close(u, jax.tree.map(lambda x, t=step: x[t], one), rtol=1e-6)
    assert [leaf.dtype for leaf in jax.tree.leaves(state)] == [jnp.uint32, jnp.int32]


def test_noise_of_half_precision_and_complex_leaves():
    g = {"half": jnp.zeros(4, jnp.bfloat16), "whole": jnp.zeros(4)}
    noise = _noises(gx.add_noise(1.0), g, 1)
    assert noise["half"].dtype == jnp.bfloat16
    assert len(set(np.ravel(noise["half"]).tolist())) == 4
    z = np.ravel(_noises(gx.add_noise(2.0), jnp.zeros(20_000, jnp.complex64), 1))
    np.testing.assert_allclose([np.var(z.real), np.var(z.imag)], 1.0, rtol=0.05)


EXAMPLES = {"a": _draw(6, 3), "b": _draw(6, 2, 2)}


def test_examples_are_clipped_by_their_norm_over_the_tree():
    params = jax.tree.map(lambda g: g[0], EXAMPLES)
    norms = [tree.norm(jax.tree.map(lambda g, i=i: g[i], EXAMPLES)) for i in range(6)]
    factors = np.minimum(1.0, 2.6 / np.asarray(norms))
    assert 0 < np.sum(factors < 1) < 6
    wanted = jax.tree.map(lambda g: np.einsum("i,i...->...", factors, g) / 6, EXAMPLES)
    _close(_apply(gx.aggregate_privately(2.6, 0.0), EXAMPLES, params), wanted)
    zeros = jax.tree.map(jnp.zeros_like, EXAMPLES)
    assert all(np.all(np.asarray(u) == 0) for u in jax.tree.leaves(_apply(gx.aggregate_privately(2.0, 0.0), zeros)))


@pytest.mark.filterwarnings("ignore:.*seed.*:DeprecationWarning")
def test_private_aggregation_agrees_with_optax_but_for_the_noise():
    params = jax.tree.map(lambda g: g[0], EXAMPLES)
    theirs = optax.contrib.dpsgd(0.1, 2.0, 0.0, 0, 0.9, True)
    ours = gx.dpsgd(0.1, 2.0, 0.0, 0, 0.9, True)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted = _fifty_steps(theirs, params, [EXAMPLES] * 5)
    _close(_fifty_steps(ours, params, [EXAMPLES] * 5), wanted)


def test_the_noise_of_private_aggregation():
    examples = jnp.zeros((5, 20_000))
    tx = gx.aggregate_privately(2.0, 1.5)
    noise = np.asarray(_apply(tx, examples, examples[0]))
    np.testing.assert_allclose(np.std(noise), 3.0 / 5, rtol=0.03)
    z = np.asarray(_apply(tx, examples.astype(jnp.complex64)))
    np.testing.assert_allclose([np.std(z.real), np.std(z.imag)], 3.0 / 5, rtol=0.03)
    assert len(set(np.ravel(_apply(tx, {"a": jnp.zeros((1, 4)), "b": jnp.zeros((1, 4))})["a"]).tolist())) == 4


def test_private_descent_in_a_loop_of_a_user():
    x = _draw(8, 3)
    y = x @ jnp.asarray([1.0, -2.0, 0.5])
    gradients = jax.vmap(jax.grad(lambda p, x, y: (x @ p - y) ** 2), in_axes=(None, 0, 0))
    tx, params = gx.dpsgd(0.3, 1.0, 0.01), jnp.zeros(3)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(gradients(params, x, y), state, params)
        return (gx.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=200))(params)
    np.testing.assert_allclose(params, [1.0, -2.0, 0.5], atol=0.05)


def test_updates_without_examples():
    tx, params = gx.dpsgd(0.1, 1.0, 1.0), {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
    state = tx.init(params)
    message = r"of shape \(2, 2\) at 'b', got the shape \(2,\); .* jax.vmap\(jax.grad\(loss\)"
    with pytest.raises(ValueError, match=message):
        tx.update(params, state, params)
    for wrong in (jnp.ones(()), {"a": jnp.ones((2, 3)), "b": jnp.ones((3, 3))}, jnp.ones((0, 3))):
        with pytest.raises(ValueError, match="in aggregate_privately: expected updates with a leading axis"):
            gx.aggregate_privately(1.0, 1.0).update(wrong, tx.init(params)[0])


@pytest.mark.parametrize("variant", ["sps", "sps+"])
@pytest.mark.parametrize("f_min", [0.0, 0.5])
def test_polyak_agrees_with_optax_over_50_steps(variant, f_min):
    scales = jnp.asarray([1.0, 3.0, 0.5])

    def loss(p):
        return jnp.sum(scales * p**2)

    def run(tx):
        def step(carry, _):
            params, state = carry
            value, g = jax.value_and_grad(loss)(params)
            updates, state = tx.update(g, state, params, value=value)
            return (optax.apply_updates(params, updates), state), params

        params = jnp.asarray([1.0, -2.0, 3.0])
        return jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), length=50)[1])()

    numbers = {"max_learning_rate": 0.3, "f_min": f_min, "eps": 1e-3, "variant": variant}
    with jax.numpy_dtype_promotion("standard"):
        wanted = run(optax.polyak_sgd(**numbers))
    np.testing.assert_allclose(run(gx.polyak_sgd(**numbers)), wanted, rtol=1e-4, atol=1e-6)


def test_the_scaling_of_polyak_does_not_enter_its_norm():
    g, value = jnp.asarray([3.0, 4.0]), jnp.asarray(5.0)
    np.testing.assert_allclose(_apply(gx.polyak_sgd(scaling=0.5), g, value=value), -0.5 * 5 / 25 * g, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-4, 1.0, 1e25])
def test_polyak_is_right_for_tiny_and_huge_gradients(size):
    g = jnp.full(4, size)
    step = min(2.0 / (4 * size**2), 1.0)
    np.testing.assert_allclose(_apply(gx.scale_by_polyak(), g, value=2.0), step * size, rtol=1e-5)


@pytest.mark.parametrize(
    "tx",
    [gx.polyak_sgd(), gx.momo(), gx.momo_adam(), gx.chain(gx.sgd(0.1), gx.reduce_on_plateau())],
    ids=lambda tx: tx.factory_name,
)
def test_the_value_may_be_of_any_kind(tx):
    g = jnp.asarray([3.0, 4.0])
    update = jax.jit(lambda value: tx.update(g, tx.init(g), g, value=value))
    wanted, state = update(jnp.asarray(5.0))
    for value in (5.0, 5, np.float64(5.0), jnp.asarray(5.0, jnp.float16), jnp.asarray(5.0, jnp.bfloat16)):
        for u, new in (update(value), tx.update(g, tx.init(g), g, value=value)):
            assert u.dtype == jnp.float32
            assert [x.dtype for x in jax.tree.leaves(new)] == [x.dtype for x in jax.tree.leaves(state)]
            np.testing.assert_allclose(u, wanted, rtol=1e-6)
    with jax.enable_x64(True):
        assert tx.update(g, tx.init(g), g, value=jnp.asarray(5.0, jnp.float64))[0].dtype == jnp.float32


def test_polyak_says_what_it_needs():
    with pytest.raises(TypeError, match="scale_by_polyak: the extra argument 'value' is missing"):
        gx.polyak_sgd().update(jnp.ones(2), gx.polyak_sgd().init(jnp.ones(2)))
    with pytest.raises(ValueError, match=r"variant: expected one of 'sps', 'sps\+', got 'max'"):
        gx.polyak_sgd(variant="max").init(jnp.ones(2))


def _fixed(update):
    """An inner transform that emits this."""
    return gx.GradientTransformation(lambda params: (), lambda updates, state, params=None: (update, state))


def test_cautious_keeps_what_descends_and_scales_it_up():
    g, w = jnp.asarray([1.0, 1.0, -1.0, 0.0]), jnp.asarray([-0.1, 0.1, 0.3, -0.4])
    np.testing.assert_allclose(_apply(gx.cautious(_fixed(w)), g), 2 * np.asarray([-0.1, 0.0, 0.3, 0.0]), rtol=1e-6)
    assert np.all(np.asarray(_apply(gx.cautious(_fixed(w)), jnp.abs(g).at[:].set(0.0))) == 0)
    tiny = _apply(gx.cautious(_fixed(-1e-25 * g)), 1e-30 * g)
    np.testing.assert_allclose(tiny, -1e-25 * g * 4 / 3, rtol=1e-5)
    assert jnp.isnan(_apply(gx.cautious(_fixed(w)), g.at[0].set(jnp.nan)))[0] == jnp.isnan(w[0])
    assert jnp.isnan(_apply(gx.cautious(_fixed(w.at[1].set(jnp.nan))), g))[1]


def test_cautious_of_complex_updates_takes_the_real_part():
    g, w = jnp.asarray([1j, 1 + 1j], jnp.complex64), jnp.asarray([-2j + 1, 1 - 1j], jnp.complex64)
    np.testing.assert_allclose(_apply(gx.cautious(_fixed(w)), g), [2 * (1 - 2j), 0], rtol=1e-6)


def test_cautious_hands_on_extras_parameters_and_the_state():
    tx = gx.cautious(gx.chain(gx.add_decayed_weights(0.1), gx.polyak_sgd()))
    g = jnp.ones(3)
    assert np.all(np.isfinite(_apply(tx, g, g, value=1.0)))
    adam = gx.cautious(gx.adam(0.1))
    state = adam.init(g)
    assert jax.tree.structure(state) == jax.tree.structure((gx.adam(0.1).init(g),))
    assert "adam" in str(gx.describe(adam))
    assert "scale_by_ema" in str(gx.summary(adam, g))
    with pytest.raises(ValueError, match="in cautious: expected the state of cautious"):
        adam.update(g, {})


PARTS = {
    "trust": gx.scale_by_trust_ratio(),
    "ema": gx.scale_by_norm_ema(0.9),
    "noise": gx.add_noise(0.1),
    "clip": gx.adaptive_grad_clip(0.1),
    "centre": gx.centralize(),
    "lamb": gx.lamb(0.1),
    "cautious": gx.cautious(gx.adam(0.1)),
}


@pytest.mark.parametrize("name", PARTS)
def test_they_work_inside_a_partition_and_a_partition_inside_cautious(name):
    labels = gx.by_path({"a": "x", "**": "rest"})
    params = {"a": _draw(3, 2), "b": _draw(2), "c": jnp.arange(2)}
    grouped = gx.partition({"x": PARTS[name], "rest": gx.set_to_zero()}, labels)
    for tx in (grouped, gx.cautious(grouped)):
        u, state = jax.jit(tx.update)(params, tx.init(params), params)
        assert np.all(np.isfinite(u["a"]))
        assert np.all(np.asarray(u["b"]) == 0)
        assert u["c"].dtype == jnp.int32
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
