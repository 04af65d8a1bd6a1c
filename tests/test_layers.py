"""Stacked layers, logs, and complex leaves as pairs: each is what the parts would do one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import logs, over_layers, record, schedules, split_complex

SHAPES = {"w": (3, 2, 4), "b": (3, 4)}
CLIPPED = gx.chain(gx.clip_by_global_norm(0.5), gx.adam(schedules.linear(0.1, 0.0, 9)))
NESTED = gx.chain(gx.masked(gx.lion(0.1), gx.by_path({"w": True, "**": False})), gx.scale_by_trust_ratio())


def stack(seed, dtype=np.float32):
    random = np.random.default_rng(seed)
    return {name: jnp.asarray(random.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def steps_of(tx, params, gradients):
    @jax.jit
    def run(params):
        state, seen = tx.init(params), []
        for g in gradients:
            updates, state = tx.update(g, state, params)
            params = gx.apply_updates(params, updates)
            seen.append(updates)
        return seen, state

    return run(params)


def close(got, wanted, rtol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7), got, wanted)


def at(tree, layer, axis=0):
    return jax.tree.map(lambda x: jnp.take(x, layer, axis=axis), tree)


# Stacked layers.


@pytest.mark.parametrize(
    ("inner", "axis"),
    [(gx.adam(0.1), 0), (gx.lion(0.1, weight_decay=0.1), 1), (CLIPPED, 0), (CLIPPED, -1), (NESTED, 1)],
    ids=["adam", "lion", "clipped", "clipped, last axis", "nested"],
)
def test_layers_are_as_if_apart(inner, axis):
    moved = jax.tree.map(lambda x: jnp.moveaxis(x, 0, axis), [stack(seed) for seed in range(3)])
    seen, state = steps_of(over_layers(inner, axis), moved[0], moved[1:])
    for layer in range(3):
        wanted, wanted_state = steps_of(inner, at(moved[0], layer, axis), [at(g, layer, axis) for g in moved[1:]])
        close([at(updates, layer, axis) for updates in seen], wanted)
        close(at(state["inner"], layer), wanted_state)


def test_norms_are_of_one_layer():
    gradients = {"w": jnp.asarray([[3.0, 4.0], [0.3, 0.4]])}
    tx = over_layers(gx.clip_by_global_norm(1.0))
    updates, _ = tx.update(gradients, tx.init(gradients))
    close(updates["w"], [[0.6, 0.8], [0.3, 0.4]])


def test_some_leaves_are_stacked():
    params, g = {"blocks": stack(0), "head": jnp.ones(5)}, {"blocks": stack(1), "head": jnp.arange(5.0)}
    stacked = gx.by_path({"blocks/**": "stack", "**": "rest"})
    tx = gx.partition({"stack": over_layers(CLIPPED), "rest": CLIPPED}, stacked)
    (updates,), state = steps_of(tx, params, [g])
    close(updates["blocks"], steps_of(over_layers(CLIPPED), params["blocks"], [g["blocks"]])[0][0])
    close(updates["head"], steps_of(CLIPPED, params["head"], [g["head"]])[0][0])
    masked = gx.masked(over_layers(CLIPPED), gx.by_path({"blocks/**": True, "**": False}), rest=CLIPPED)
    close(steps_of(masked, params, [g])[0][0], updates)
    assert gx.get_hyperparams(state)["inner/learning_rate"].shape == (3,)
    shown = str(gx.summary(tx, params))
    assert "over_layers(axis=0)" in shown
    assert f"{gx.tree.nbytes(state):,} bytes of state" in shown


def test_a_scan_over_the_layers_gets_what_it_wants_in_bfloat16_too():
    params = stack(0, jnp.bfloat16)
    tx = over_layers(gx.adam(0.1))
    (updates,), state = steps_of(tx, params, [stack(1, jnp.bfloat16)])
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}
    assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("axis", [0, 1])
def test_memories_of_sharded_layers_are_where_their_parameters_are(axis):
    mesh = jax.make_mesh((2, 4), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    spread = jax.NamedSharding(mesh, jax.P("x", "y"))
    params = {"w": jax.device_put(jnp.ones((4, 8)), spread), "b": jnp.ones((4, 8))}
    memory = gx.tree.find(over_layers(gx.sgd(0.1, 0.9), axis).init(params), "w")
    wanted = jax.NamedSharding(mesh, jax.P("x", "y") if axis == 0 else jax.P("y", "x"))
    assert memory.shape == ((4, 8) if axis == 0 else (8, 4))
    assert memory.sharding.is_equivalent_to(wanted, 2)


def test_clocks_of_layers_in_64_bits():
    with jax.enable_x64(True):
        params = jax.tree.map(np.asarray, stack(0))
        (updates,), state = steps_of(over_layers(gx.adam(0.1)), params, [params])
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.float32)}
        assert {leaf.dtype for leaf in jax.tree.leaves(state) if leaf.shape == (3,)} == {jnp.dtype(jnp.float64)}


def test_trees_without_leaves_and_stacks_without_layers():
    tx = over_layers(gx.adam(0.1))
    for params in ({}, {"a": None}, {"w": jnp.zeros((0, 2))}, {"w": jnp.zeros((2, 0)), "none": None}):
        seen, state = steps_of(tx, params, [params, params])
        assert jax.tree.structure(seen[0]) == jax.tree.structure(params)
        assert jax.eval_shape(tx.init, params) == jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)


def test_what_has_a_name_has_layers_too():
    params, g = stack(0), stack(1)
    body = gx.ratio(gx.identity(), gx.chain(gx.use("m"), gx.absolute()), eps=0.1)
    around = gx.let("m", gx.scale_by_ema(0.9), over_layers(gx.chain(gx.clip_by_global_norm(1.0), body), axis=-1))
    inside = over_layers(gx.chain(gx.let("m", gx.scale_by_ema(0.9), gx.chain(gx.clip_by_global_norm(1.0), body))), -1)
    close(steps_of(around, params, [g])[0], steps_of(inside, params, [g])[0])


def test_extras_are_the_same_for_all_layers():
    @gx.transformation
    def times():
        return gx.treewise(lambda g, s, p, *, factors: (jax.tree.map(lambda x: x * factors.sum(), g), s))

    tx = over_layers(times())
    updates, _ = tx.update(jnp.ones((3, 2)), tx.init(jnp.ones((3, 2))), factors=jnp.ones(5))
    close(updates, jnp.full((3, 2), 5.0))


def test_leaves_that_are_no_stack():
    tx = over_layers(gx.adam(0.1))
    message = (
        r"in over_layers: expected the same number of layers in all leaves of the parameters, got 3 in 'b' and 2 in 'w'"
    )
    with pytest.raises(ValueError, match=message):
        tx.init({"b": jnp.ones(3), "w": jnp.ones((2, 3))})
    with pytest.raises(
        ValueError, match=r"expected a layer axis 1 in the leaf 'b' of the parameters, got the shape \(3,\)"
    ):
        over_layers(gx.adam(0.1), 1).init({"b": jnp.ones(3), "w": jnp.ones((2, 3))})
    with pytest.raises(TypeError, match="in over_layers: axis: expected a whole number, got 'layers'"):
        over_layers(gx.adam(0.1), "layers").init({})
    with pytest.raises(ValueError, match="expected the state of over_layers as the second"):
        tx.update(stack(0), gx.adam(0.1).init(stack(0)))
    state = tx.init({"w": jnp.ones((2, 4))})
    with pytest.raises(ValueError, match=r"expected one of 3 layers, but 'inner/.*' has the shape"):
        tx.update({"w": jnp.ones((3, 4))}, state)
    with pytest.raises(ValueError, match="structures of the updates and the parameters differ"):
        tx.update({"w": jnp.ones((2, 4))}, state, {"v": jnp.ones((2, 4))})


# Logs.


def sizes(updates, params):
    return {"step": gx.tree.norm(updates), "of": (gx.tree.norm(params), 1)}


def test_measures_on_the_way():
    tx = gx.chain(
        record("gradient", gx.tree.norm),
        gx.clip_by_global_norm(1.0),
        record("clipped", gx.tree.norm),  # its second parameter has a default
        gx.sgd(schedules.linear(1.0, 0.0, 4)),
        record("size", sizes),
    )
    params, g = {"w": jnp.asarray([0.0, 2.0], jnp.bfloat16)}, {"w": jnp.asarray([3.0, 4.0], jnp.bfloat16)}
    state = tx.init(params)
    assert not any(logs(state)[name] for name in ("gradient", "clipped", "size/step"))
    for rate in (1.0, 0.75):
        updates, state = jax.jit(tx.update)(g, state, params)
        wanted = {"gradient": 5, "clipped": 1, "size/step": rate, "size/of/0": 2, "size/of/1": 1, "learning_rate": rate}
        close(dict(sorted(logs(state).items())), {name: np.float32(x) for name, x in sorted(wanted.items())})
        assert {x.dtype for x in logs(state).values()} == {jnp.dtype(jnp.float32)}
    np.testing.assert_array_equal(updates["w"], jnp.asarray([-0.75 * 0.6, -0.75 * 0.8], jnp.bfloat16))


def test_updates_go_through_as_they_are():
    tx = record("norm", gx.tree.norm)
    g = {"w": jnp.ones(3, jnp.bfloat16), "none": None}
    updates, _ = tx.update(g, tx.init(g))
    assert updates is g


def test_logs_are_found_anywhere_and_told_apart():
    norm = record("norm", gx.tree.norm)
    params = {"blocks": stack(0), "head": jnp.ones(5)}
    parts = {"stack": over_layers(norm), "rest": gx.chain(gx.clip(9.0), norm, gx.inject(gx.sgd(0.1)))}
    tx = gx.lookahead(gx.partition(parts, gx.by_path({"blocks/**": "stack", "**": "rest"})), 2, 0.5)
    _, state = tx.update(params, tx.init(params), params)
    found = logs(state)
    assert set(found) == {"inner/norm", "rest/norm", "learning_rate"}
    assert found["inner/norm"].shape == (3,)
    np.testing.assert_allclose(found["rest/norm"], 5**0.5, rtol=1e-6)
    assert logs(gx.adam(0.1).init(params)) == {}


def test_a_measure_with_the_name_of_a_number():
    tx = gx.chain(record("factor", gx.tree.norm), gx.inject(gx.scale(2.0)), gx.inject(gx.clip(1.0)))
    state = tx.init(jnp.ones(3))
    assert set(logs(state)) == {"0/factor", "1/factor", "max_delta"}
    assert set(gx.get_hyperparams(state)) == {"factor", "max_delta"}
    assert logs(gx.set_hyperparams(state, factor=3.0))["1/factor"] == 3


def test_measures_that_are_refused():
    params = {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"in record: the measure 'each': expected a scalar, got the shape \(2,\)"):
        record("each", lambda updates: updates["w"]).init(params)
    with pytest.raises(TypeError, match="in record: measure: expected a function of the updates, got 'norm'"):
        record("norm", "norm").init(params)
    with pytest.raises(
        TypeError, match="record: name: expected a string, got <function norm>; are the arguments in order"
    ):
        record(gx.tree.norm, "norm").init(params)
    tx = gx.chain(record("size", sizes))
    with pytest.raises(ValueError, match="in chain > record: expected the parameters, got None"):
        tx.update(params, tx.init(params))
    with pytest.raises(ValueError, match="expected the state of record"):
        record("norm", gx.tree.norm).update(params, ())


# Complex leaves as pairs.

COMPLEX = {"z": jnp.asarray([1 + 2j, -0.5 + 0j]), "x": jnp.asarray([3.0])}


def test_pairs_are_two_real_leaves():
    gradients = [jax.tree.map(lambda p, s=s: s * p, COMPLEX) for s in (1.0, -0.3, 2.0)]
    halves = [{"re": g["z"].real, "im": g["z"].imag, "x": g["x"]} for g in [COMPLEX, *gradients]]
    for inner in (gx.adam(0.1), CLIPPED, gx.adamw(0.1, weight_decay=0.1)):
        seen, _ = steps_of(split_complex(inner), COMPLEX, gradients)
        wanted, _ = steps_of(inner, halves[0], halves[1:])
        close([one["z"] for one in seen], [jax.lax.complex(one["re"], one["im"]) for one in wanted])
        close([one["x"] for one in seen], [one["x"] for one in wanted])
        assert seen[0]["z"].dtype == jnp.complex64


def test_descent_on_pairs():
    target = jnp.asarray([1 + 2j, -3 + 0.5j], jnp.complex64)
    tx = split_complex(gx.adam(schedules.cosine_decay(0.3, 300)))

    def step(_, carry):
        z, state = carry
        grads = jax.grad(lambda z: jnp.sum(abs(z - target) ** 2))(z).conj()
        updates, state = tx.update(grads, state, z)
        return gx.apply_updates(z, updates), state

    z, _ = jax.jit(lambda z: jax.lax.fori_loop(0, 300, step, (z, tx.init(z))))(jnp.zeros(2, jnp.complex64))
    np.testing.assert_allclose(z, target, atol=1e-3)


def test_pairs_within_partitions_and_partitions_within_pairs():
    only_z = gx.by_path({"z/**": "a", "**": "b"})
    gradients = [COMPLEX, COMPLEX]
    outside = gx.partition({"a": split_complex(gx.adam(0.1)), "b": gx.sgd(0.1)}, only_z)
    inside = split_complex(gx.partition({"a": gx.adam(0.1), "b": gx.sgd(0.1)}, only_z))
    halves = split_complex(gx.masked(gx.adam(0.1), gx.by_path({"z/real": True, "**": False}), rest=gx.set_to_zero()))
    close(steps_of(inside, COMPLEX, gradients)[0], steps_of(outside, COMPLEX, gradients)[0])
    updates = steps_of(halves, COMPLEX, gradients)[0][0]
    assert jnp.all(updates["z"].imag == 0)
    assert jnp.all(updates["z"].real != 0)
    assert updates["x"] == 0


def test_what_has_a_name_is_a_pair_too():
    tx = gx.let("m", gx.scale_by_ema(0.5), split_complex(gx.chain(gx.use("m"), gx.clip_by_global_norm(9.0))))
    close(steps_of(tx, COMPLEX, [COMPLEX])[0][0], jax.tree.map(lambda x: 0.5 * x, COMPLEX))
