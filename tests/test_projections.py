"""Projections: the nearest point of the set, by what marks it, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

RANDOM = np.random.default_rng(0)
PROJECTIONS = {
    "nonnegative": gx.project_nonnegative(),
    "box": gx.project_box(-0.5, 0.7),
    "l2_ball": gx.project_l2_ball(1.5),
    "simplex": gx.project_simplex(2.0),
}


def _moved(tx, params, updates):
    """The parameters after the update."""
    updates, _ = jax.jit(tx.update)(updates, tx.init(params), params)
    return gx.apply_updates(params, updates)


def _draw(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projected_again_nothing_moves(name):
    tx, params = PROJECTIONS[name], {"a": _draw(4, 5), "b": _draw(3)}
    once = _moved(tx, params, {"a": 3 * _draw(4, 5), "b": _draw(3)})
    again = _moved(tx, once, jax.tree.map(jnp.zeros_like, once))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=5e-7), again, once)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_nothing_in_the_set_is_nearer(name):
    # The mark of a projection x of y on a convex set: (y - x) (z - x) <= 0 for all z in the set.
    tx, params, updates = PROJECTIONS[name], _draw(6), 2 * _draw(6)
    x, y = np.asarray(_moved(tx, params, updates), float), np.asarray(params, float) + np.asarray(updates, float)
    others = jax.vmap(lambda p: gx.apply_updates(p, tx.update(p, tx.init(p), p)[0]))(3 * _draw(100, 6))
    assert np.all((np.asarray(others, float) - x) @ (y - x) < 1e-5)


@pytest.mark.parametrize("name", ["nonnegative", "box", "l2_ball"])
def test_inside_the_set_the_update_stays_as_it_is(name):
    tx, params = PROJECTIONS[name], jnp.full(4, 0.25)
    updates = jnp.asarray([1e-9, -1e-9, 0.0, 0.125])
    assert np.array_equal(tx.update(updates, tx.init(params), params)[0], updates)


def test_what_is_not_negative_is_so_exactly_in_every_precision():
    tx = gx.chain(gx.sgd(0.7), gx.project_nonnegative())
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        params, gradients = abs(_draw(500)).astype(dtype), _draw(500).astype(dtype)
        new = _moved(tx, params, gradients)
        assert new.dtype == dtype
        assert jnp.all(new >= 0)
        assert jnp.any(new == 0)


def test_a_box_holds_to_the_rounding_of_the_sum():
    for dtype, bound in ((jnp.float32, 1e-7), (jnp.bfloat16, 1e-2)):
        params, updates = _draw(300).astype(dtype), (10 * _draw(300)).astype(dtype)
        new = np.asarray(_moved(gx.project_box(-0.3, 0.9), params, updates), np.float64)
        assert np.all(new >= -0.3 - bound)
        assert np.all(new <= 0.9 + bound)


def test_the_ball_is_of_the_whole_tree():
    params, updates = {"a": jnp.asarray([3.0, 0.0]), "b": jnp.zeros(2)}, {"a": jnp.zeros(2), "b": jnp.asarray([0.0, 4])}
    new = _moved(gx.project_l2_ball(1.0), params, updates)
    np.testing.assert_allclose(new["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(new["b"], [0.0, 0.8], rtol=1e-6)
    assert gx.tree.norm(_moved(gx.project_l2_ball(0.0), params, updates)) == 0
    np.testing.assert_allclose(_moved(gx.project_l2_ball(2.0), jnp.zeros(4), jnp.full(4, 1e30)), 1.0, rtol=1e-6)


def test_complex_parameters_in_a_ball():
    new = _moved(gx.project_l2_ball(1.0), jnp.asarray([3.0 + 0j, 4j], jnp.complex64), jnp.zeros(2, jnp.complex64))
    np.testing.assert_allclose(new, [0.6, 0.8j], rtol=1e-6)


def _nearest_weights(y, total):
    """The projection on the simplex by trying every set of positive coordinates."""
    best, nearest = np.inf, None
    for bits in range(1, 2 ** len(y)):
        support = np.array([bits >> i & 1 for i in range(len(y))], bool)
        x = np.where(support, y - (y[support].sum() - total) / support.sum(), 0.0)
        if np.all(x >= 0) and np.sum((x - y) ** 2) < best:
            best, nearest = np.sum((x - y) ** 2), x
    return nearest


@pytest.mark.parametrize("total", [1.0, 0.3, 5.0])
def test_the_simplex_by_brute_force(total):
    params, updates = _draw(20, 5), 2 * _draw(20, 5)
    new = _moved(gx.project_simplex(total), params, updates)
    wanted = [_nearest_weights(row, total) for row in np.asarray(params, float) + np.asarray(updates, float)]
    np.testing.assert_allclose(new, wanted, atol=2e-6)
    np.testing.assert_allclose(jnp.sum(new, -1), total, rtol=2e-6)


def test_the_vertices_of_the_simplex():
    # However far outside a corner, the corner is the nearest point, to the last bit.
    for size in (2.0, 1e4, 1e25):
        updates = size * jnp.eye(3)
        assert np.array_equal(_moved(gx.project_simplex(), jnp.zeros((3, 3)), updates), np.eye(3))
    np.testing.assert_allclose(_moved(gx.project_simplex(), jnp.full(4, 7.0), jnp.zeros(4)), 0.25)


def test_the_axis_of_the_simplex():
    params = _draw(3, 4)
    new = _moved(gx.project_simplex(axis=0), params, jnp.zeros((3, 4)))
    np.testing.assert_allclose(jnp.sum(new, 0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(new, _moved(gx.project_simplex(), params.T, jnp.zeros((4, 3))).T, atol=1e-7)
    assert _moved(gx.project_simplex(3.0), jnp.zeros(()), jnp.ones(())) == 3
    assert _moved(gx.project_simplex(), jnp.zeros((2, 0)), jnp.zeros((2, 0))).shape == (2, 0)


def test_projected_descent_finds_the_best_weights():
    # Minimum of |p - target|^2 over the weights, where the target itself is outside.
    target = jnp.asarray([0.9, 0.5, -1.0])
    tx = gx.chain(gx.sgd(0.1), gx.project_simplex())
    params = jnp.full(3, 1 / 3)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(params - target, state, params)
        return (gx.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=300)
    np.testing.assert_allclose(params, [0.7, 0.3, 0.0], atol=1e-3)


def test_nan_stays_where_it_is_and_is_not_hidden():
    params, updates = jnp.zeros((2, 3)), jnp.ones((2, 3)).at[0, 1].set(jnp.nan)
    for name in ("nonnegative", "box"):
        assert np.array_equal(jnp.isnan(_moved(PROJECTIONS[name], params, updates)), jnp.isnan(updates))
    assert np.array_equal(jnp.isnan(_moved(PROJECTIONS["simplex"], params, updates)), [[True] * 3, [False] * 3])
    assert jnp.all(jnp.isnan(_moved(PROJECTIONS["l2_ball"], params, updates)))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_derivatives_are_finite_at_corners_and_ties(name):
    tx = PROJECTIONS[name]

    def total(params, updates):
        return jnp.sum(tx.update(updates, tx.init(params), params)[0] ** 2)

    for params in (jnp.zeros(3), jnp.asarray([0.7, -0.5, 0.0]), jnp.asarray([1.5, 0.0, 0.0])):
        for derivative in jax.grad(total, argnums=(0, 1))(params, jnp.zeros(3)):
            assert np.all(np.isfinite(derivative))


def test_some_leaves_only():
    params = {"weights": jnp.asarray([0.2, 0.9]), "free": jnp.asarray([-3.0]), "none": None}
    tx = gx.chain(gx.sgd(0.1), gx.masked(gx.project_simplex(), gx.by_path({"weights": True, "**": False})))
    new = _moved(tx, params, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(jnp.sum(new["weights"]), 1.0, rtol=1e-6)
    np.testing.assert_allclose(new["free"], -3.1, rtol=1e-6)


def test_bad_input():
    whole = jnp.ones(3, jnp.complex64)
    for name in ("nonnegative", "box", "simplex"):
        with pytest.raises(TypeError, match=rf"in project_{name}: only real numbers have an order"):
            PROJECTIONS[name].update(whole, PROJECTIONS[name].init(whole), whole)
    with pytest.raises(ValueError, match=r"in project_simplex: expected an array with axis 1 at 'b', got"):
        _moved(gx.project_simplex(axis=1), {"b": jnp.ones(3)}, {"b": jnp.ones(3)})
    for name, tx in PROJECTIONS.items():
        with pytest.raises(ValueError, match=rf"project_{name}.*expected the parameters, got None"):
            tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    with pytest.raises(ValueError, match="project_simplex: scale: expected a number above 0, got 0"):
        gx.project_simplex(0.0)


def test_the_largest_logits_of_each_head_are_brought_to_the_threshold():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (50, 6))
    heads = {"query": jax.random.normal(keys[1], (6, 4, 3)), "key": jax.random.normal(keys[2], (6, 4, 3))}
    params = {name: {"kernel": w} for name, w in heads.items()} | {"value": {"kernel": heads["query"]}}

    def largest(params):
        q, k = (jnp.einsum("bi,ihf->bhf", x, params[name]["kernel"]) for name in ("query", "key"))
        return jnp.max(jnp.einsum("bhf,chf->hbc", q, k), (1, 2))

    threshold = float(jnp.sort(largest(params))[1]) * 1.0001  # two heads stay as they are
    tx = gx.chain(
        gx.sgd(0.0),
        gx.masked(gx.project_qk(threshold), gx.by_path({"query/kernel": True, "key/kernel": True, "**": False})),
    )
    updates, _ = tx.update(params, tx.init(params), params, max_logits=largest(params))
    new = gx.apply_updates(params, updates)
    np.testing.assert_allclose(largest(new), np.minimum(largest(params), threshold), rtol=1e-4)
    np.testing.assert_array_equal(new["value"]["kernel"], params["value"]["kernel"])
    small = np.asarray(largest(params)) < threshold
    np.testing.assert_array_equal(new["query"]["kernel"][:, small], params["query"]["kernel"][:, small])


def test_logits_of_stacked_layers_and_logits_that_do_not_fit():
    p = jnp.ones((2, 6, 4, 3))  # layers, inputs, heads, features
    tx = gx.project_qk(1.0)
    logits = jnp.asarray([[4.0, 1, 1, 0.5], [1, 1, 1, 16.0]])
    updates, _ = tx.update(jnp.zeros_like(p), tx.init(p), p, max_logits=logits[:, None, :])
    sizes = np.asarray((p + updates)[:, 0, :, 0])
    np.testing.assert_allclose(sizes, [[0.5, 1, 1, 1], [1, 1, 1, 0.25]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"max_logits: expected an array for the heads .*, got the shape \(3,\)"):
        tx.update(p, (), p, max_logits=jnp.ones(3))
    with pytest.raises(ValueError, match="has no axis -2 of heads"):
        tx.update(jnp.ones(3), (), jnp.ones(3), max_logits=jnp.ones(3))
    with pytest.raises(ValueError, match="axis: expected a negative whole number, counted from the end, got 1"):
        gx.project_qk(axis=1)
    with pytest.raises(TypeError, match="the extra argument 'max_logits' is missing"):
        tx.update(p, (), p)
