"""States by name: the names, the way back, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import CASES
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

import gradtx as gx
from gradtx import schedules

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}
GRADS = {"dense": {"kernel": jnp.full((3, 2), 0.5), "bias": jnp.array([1.0, -2.0])}}
STACKED = {"layer": {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}, "none": None, "out": jnp.full(3, 0.5)}
RATE = schedules.linear(0.1, 0.0, 10)
ADAM = [
    "numerator/scale_by_ema/dense/bias",
    "numerator/scale_by_ema/dense/kernel",
    "numerator/bias_correction/before",
    "numerator/bias_correction/last",
    "denominator/scale_by_ema/dense/bias",
    "denominator/scale_by_ema/dense/kernel",
    "denominator/bias_correction/before",
    "denominator/bias_correction/last",
]


def names_of(tx, params=PARAMS):
    return list(gx.state_dict(tx, tx.init(params)))


def behind(start, names):
    return [f"{start}/{name}" for name in names]


def assert_identical(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype
        assert x.aval.weak_type == y.aval.weak_type
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


def scrambled(state):
    """Another state of the same form: other numbers in every place, so that none can be mistaken for another."""

    def other(index, x):
        return ~x if x.dtype == bool else x + (index + jnp.arange(x.size).reshape(x.shape)).astype(x.dtype)

    leaves, treedef = jax.tree.flatten(state)
    return treedef.unflatten([other(index, x) for index, x in enumerate(leaves)])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_array_has_a_name_and_comes_back_bit_for_bit(case):
    tx = case.transform
    state = scrambled(tx.init(STACKED))
    named = gx.state_dict(tx, state)
    assert len(named) == len(jax.tree.leaves(state))
    assert all(type(name) is str and name for name in named)
    assert_identical(gx.load_state_dict(tx, STACKED, named), state)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.complex64])
def test_other_dtypes_come_back(dtype):
    params = gx.tree.zeros_like(PARAMS, dtype)
    tx = gx.chain(gx.initial_params(), gx.scale_by_ema(0.9), optax.trace(0.9))  # Optax keeps half precision
    state = scrambled(tx.init(params))
    assert_identical(gx.load_state_dict(tx, params, gx.state_dict(tx, state)), state)


def test_random_keys_are_stored_as_numbers():
    keys = gx.treewise(
        lambda g, state, params: (g, state), lambda params: {"key": jax.random.key(7), "count": jnp.int32(3)}
    )
    named = gx.state_dict(keys, keys.init(PARAMS))
    assert named["GradientTransformation/key"].dtype == np.uint32
    assert_identical(gx.load_state_dict(keys, PARAMS, named), keys.init(PARAMS))
    abstract = jax.eval_shape(lambda: PARAMS)
    assert_identical(gx.load_state_dict(keys, abstract, named), keys.init(PARAMS))


def test_a_name_is_the_way_through_the_expression():
    assert names_of(gx.adamw(1e-3)) == behind("adamw/scale_by_adam", ADAM)
    assert names_of(gx.adamw(RATE))[:2] == ["adamw/count", "adamw/learning_rate"]
    assert names_of(gx.chain(("clip", gx.clip(1.0)), ("opt", gx.adam(1e-3)))) == behind("opt/adam/scale_by_adam", ADAM)
    assert names_of(gx.aggmo(0.1, [0.0, 0.9]), jnp.ones(2)) == [
        "aggmo/mean/add_momentum",
        "aggmo/mean/add_momentum[1]",
    ]
    groups = gx.partition({"a": gx.sgd(0.1, 0.9), "b": gx.adam(1.0)}, gx.by_path({"**/bias": "a", "**": "b"}))
    assert names_of(groups)[:2] == [
        "partition/a/sgd/add_momentum/dense/bias",
        "partition/b/adam/scale_by_adam/numerator/scale_by_ema/dense/kernel",
    ]
    assert names_of(gx.accumulate_gradients(gx.scale_by_ema(0.9), 2), {"w": jnp.ones(2)}) == [
        "accumulate_gradients/count",
        "accumulate_gradients/emitted",
        "accumulate_gradients/mean/w",
        "accumulate_gradients/inner/scale_by_ema/w",
    ]
    assert names_of(gx.schedule_free(gx.sgd(0.1), 0.1), jnp.ones(2)) == behind(
        "schedule_free/schedule_free_averaging", ["ahead", "weights/total", "weights/largest", "weights/b1"]
    )


ALIKE = {
    "adamw": gx.adamw(1e-3),
    "in a chain": gx.chain(gx.adamw(1e-3)),
    "behind what stores nothing": gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(1e-3, weight_decay=0.1)),
    "in chains": gx.chain(gx.chain(gx.centralize(), gx.chain(gx.adamw(1e-3))), gx.scale(0.5)),
    "with more behind it": gx.chain(gx.adamw(1e-3), gx.masked(gx.scale(2.0), True), gx.freeze(False)),
}


@pytest.mark.parametrize("tx", ALIKE.values(), ids=ALIKE)
def test_parts_that_store_nothing_and_chains_change_no_name(tx):
    assert names_of(tx) == names_of(ALIKE["adamw"])
    state = scrambled(ALIKE["adamw"].init(PARAMS))
    moved = gx.load_state_dict(tx, PARAMS, gx.state_dict(ALIKE["adamw"], state))
    assert_identical(jax.tree.leaves(moved), jax.tree.leaves(state))


def test_a_second_of_one_name_does_not_rename_the_first():
    one, two = gx.scale_by_ema(0.9), gx.chain(gx.scale_by_ema(0.9), gx.sign(), gx.scale_by_ema(0.99))
    assert names_of(one, jnp.ones(2)) == ["scale_by_ema"]
    assert names_of(two, jnp.ones(2)) == ["scale_by_ema", "scale_by_ema[1]"]


def test_names_differ_whatever_the_parameters_are_called():
    params = {"count": jnp.ones(2), "decay": {"x": jnp.ones(2)}, "decay/x": jnp.ones(2), "decay/x[1]": jnp.ones(2)}
    tx = gx.scale_by_ema(schedules.linear(0.9, 0.99, 10))
    state = scrambled(tx.init(params))
    assert len(set(names_of(tx, params))) == 6
    assert_identical(gx.load_state_dict(tx, params, gx.state_dict(tx, state)), state)


def test_numbers_that_are_arrays_and_rates_that_cannot_be_reckoned_with_change_no_name():
    assert names_of(gx.adam(jnp.float32(1e-3))) == names_of(gx.adam(1e-3))
    assert names_of(gx.fromage(RATE)) == ["fromage/count", "fromage/learning_rate"]


def test_it_goes_through_a_file(tmp_path):
    tx = gx.chain(gx.clip(1.0), gx.adam(RATE))
    state = tx.update(GRADS, tx.init(PARAMS), PARAMS)[1]
    np.savez(tmp_path / "state.npz", **gx.state_dict(tx, state))
    with np.load(tmp_path / "state.npz") as file:
        assert_identical(gx.load_state_dict(tx, PARAMS, file), state)


def test_a_loaded_state_may_be_donated():
    tx = gx.adam(0.1)
    named = gx.state_dict(tx, tx.init(PARAMS))
    first, second = (f"adam/scale_by_adam/{ADAM[index]}" for index in (1, 5))
    same = named | {second: named[first]}
    step = jax.jit(tx.update, donate_argnums=1)
    step(GRADS, gx.load_state_dict(tx, PARAMS, same))
    assert not any(x.is_deleted() for x in named.values())
    host = {name: np.array(x) for name, x in named.items()}
    copies = {name: x.copy() for name, x in host.items()}
    step(GRADS, gx.load_state_dict(tx, PARAMS, host))
    assert all(np.array_equal(x, copies[name]) for name, x in host.items())


def test_arrays_take_the_dtype_and_the_place_that_the_state_has():
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    params = {"w": jax.device_put(jnp.ones((4, 2)), sharding)}
    tx = gx.adam(RATE)
    named = {name: np.asarray(x) for name, x in gx.state_dict(tx, tx.init(params)).items()}
    wide = {name: x.astype(np.float64 if x.dtype == np.float32 else np.int64) for name, x in named.items()}
    state = gx.load_state_dict(tx, params, wide)
    assert_identical(state, tx.init(params))
    assert state.inner[0][0][0]["w"].sharding == sharding
    assert state.count.sharding == tx.init(params).count.sharding


def test_in_a_compiled_function():
    tx = gx.adam(RATE)
    state = scrambled(tx.init(PARAMS))
    moved = jax.jit(lambda state: gx.load_state_dict(tx, PARAMS, gx.state_dict(tx, state)))(state)
    assert_identical(moved, state)


def test_of_a_flax_nnx_optimizer():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    tx = gx.chain(gx.clip(1.0), gx.adam(RATE))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    named = gx.state_dict(tx, optimizer.opt_state)
    assert "adam/scale_by_adam/numerator/scale_by_ema/kernel" in named
    assert named["adam/count"] == 1
    params = jax.tree.map(jnp.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    loaded = gx.load_state_dict(tx, params, named)
    assert_identical(gx.state_dict(tx, loaded), named)


def _raises(kind, message):
    return pytest.raises(kind, match=message)


def test_entries_that_are_missing_or_too_many_are_named_together():
    tx = gx.sgd(RATE, 0.9)
    named = gx.state_dict(tx, tx.init(PARAMS))
    named["sgd/add_momentum/dense/weight"] = named.pop("sgd/add_momentum/dense/kernel")
    named["other"] = np.zeros(2)
    with _raises(
        ValueError,
        r"load_state_dict: the entries do not match the state of sgd: missing entries: sgd/add_momentum/dense/kernel; "
        r"unexpected entries: sgd/add_momentum/dense/weight, other; if 'sgd/add_momentum/dense/weight' was renamed to "
        r"'sgd/add_momentum/dense/kernel', rename it in the dict",
    ):
        gx.load_state_dict(tx, PARAMS, named)


def test_what_is_missing_may_begin_anew():
    tx = gx.chain(gx.sgd(RATE, 0.9), gx.adagrad(0.1))
    state = scrambled(gx.sgd(RATE, 0.9).init(PARAMS))
    named = gx.state_dict(gx.sgd(RATE, 0.9), state) | {"gone": np.zeros(2)}
    with pytest.warns(
        UserWarning, match=r"missing entries: adagrad/scale_by_rss/.*; unexpected entries: gone; strict=False"
    ):
        moved = gx.load_state_dict(tx, PARAMS, named, strict=False)
    assert_identical(moved, (state, gx.adagrad(0.1).init(PARAMS)))
    abstract = jax.eval_shape(lambda: PARAMS)
    with _raises(ValueError, "missing entries: adagrad"):
        gx.load_state_dict(tx, abstract, named, strict=False)


def test_the_state_of_another_optimizer():
    named = gx.state_dict(gx.adam(0.1), gx.adam(0.1).init(PARAMS))
    with _raises(ValueError, r"\(2 more\)|this is the state of another optimizer, or of parameters with other"):
        gx.load_state_dict(gx.rmsprop(0.1), PARAMS, named)
    with _raises(
        ValueError,
        r"do not match the state of adam: missing entries: .*dense/bias.*; unexpected entries: .*Dense_0/bias",
    ):
        other = {"Dense_0": PARAMS["dense"]}
        gx.load_state_dict(gx.adam(0.1), PARAMS, gx.state_dict(gx.adam(0.1), gx.adam(0.1).init(other)))


def test_many_missing_entries_are_shortened():
    with pytest.raises(gx.GradtxValueError) as error:
        gx.load_state_dict(gx.sgd(0.1, 0.9), [jnp.ones(1)] * 500, {})
    assert "... (492 more)" in str(error.value)
    assert len(str(error.value)) < 600


def test_shapes_and_dtypes_that_do_not_fit():
    tx = gx.sgd(RATE, 0.9)
    named = gx.state_dict(tx, tx.init(PARAMS))
    name, count = "sgd/add_momentum/dense/kernel", "sgd/count"
    with _raises(ValueError, rf"load_state_dict: '{name}': expected the shape \(3, 2\), got \(2, 3\)"):
        gx.load_state_dict(tx, PARAMS, named | {name: np.zeros((2, 3), np.float32)})
    with _raises(ValueError, r"expected the shape \(3, 2\), got \(\)"):
        gx.load_state_dict(tx, PARAMS, named | {name: np.float32(0)}, strict=False)
    for wrong in (np.zeros((3, 2), np.int32), np.zeros((3, 2), np.complex64), np.zeros((3, 2), object)):
        with _raises(
            TypeError, rf"'{name}': cannot cast {wrong.dtype} to float32, a dtype of another kind; got array\("
        ):
            gx.load_state_dict(tx, PARAMS, named | {name: wrong})
    with _raises(TypeError, "'sgd/count': cannot cast float32 to int32"):
        gx.load_state_dict(tx, PARAMS, named | {count: np.float32(3)})
    with _raises(ValueError, "'sgd/count': expected values in the range of int32"):
        gx.load_state_dict(tx, PARAMS, named | {count: np.int64(2**40)})


def test_a_state_that_is_not_that_of_the_transform():
    tx = gx.chain(gx.clip(1.0), gx.adam(0.1))
    with _raises(ValueError, "this is the state of another transform: expected one with the part"):
        gx.state_dict(tx, gx.scale_by_ema(0.9).init(PARAMS))
    with _raises(ValueError, "restored from a file into plain containers"):
        gx.state_dict(gx.accumulate_gradients(tx, 2), {"0": jnp.ones(2)})
