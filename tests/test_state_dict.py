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
from gradtx.testing.trials import params_of

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
    tx, params = case.transform, params_of(case) if case.matrices else STACKED
    state = scrambled(tx.init(params))
    named = gx.state_dict(tx, state)
    assert len(named) == len(jax.tree.leaves(state))
    assert all(type(name) is str and name for name in named)
    assert_identical(gx.load_state_dict(tx, params, named), state)


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
        r"load_state_dict: the entries do not match the state of sgd\n  missing entries:\n    sgd/add_momentum/dense/"
        r"kernel\n  unexpected entries:\n    sgd/add_momentum/dense/weight\n    other\n  names begin in another way "
        r"now: load_state_dict\(..., rename={'sgd/add_momentum/dense/weight': 'sgd/add_momentum/dense/kernel'}",
    ):
        gx.load_state_dict(tx, PARAMS, named)


def test_what_is_missing_may_begin_anew():
    tx = gx.chain(gx.sgd(RATE, 0.9), gx.scale_by_rss())
    state = scrambled(gx.sgd(RATE, 0.9).init(PARAMS))
    named = gx.state_dict(gx.sgd(RATE, 0.9), state) | {"gone": np.zeros(2)}
    with pytest.warns(
        UserWarning, match=r"missing entries:\s+scale_by_rss/(.*\s+)*unexpected entries:\s+gone\s+strict=False"
    ):
        moved = gx.load_state_dict(tx, PARAMS, named, strict=False)
    assert_identical(moved, (state, gx.scale_by_rss().init(PARAMS)))
    abstract = jax.eval_shape(lambda: PARAMS)
    with _raises(ValueError, r"missing entries:\s+scale_by_rss"):
        gx.load_state_dict(tx, abstract, named, strict=False)


def test_the_state_of_another_optimizer():
    named = gx.state_dict(gx.adam(0.1), gx.adam(0.1).init(PARAMS))
    with _raises(ValueError, r"this is the state of another optimizer, or of parameters with other"):
        gx.load_state_dict(gx.rmsprop(0.1), PARAMS, named)
    with _raises(
        ValueError,
        r"match the state of adam\n  missing entries:\n.*dense/bias\n(.*\n)*  unexpected entries:\n.*Dense_0/bias",
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
    with _raises(
        ValueError,
        rf"load_state_dict: these entries have other shapes:\n +{name}: expected the shape \(3, 2\), got \(2, 3\)",
    ):
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
    with _raises(ValueError, "restored into plain containers"):
        gx.state_dict(gx.accumulate_gradients(tx, 2), {"0": jnp.ones(2)})


# What a file goes through.


def test_paths_that_look_alike_are_told_apart():
    params = {"a/b": jnp.ones(2), "a": {"b": jnp.ones(2), "100%": jnp.ones(2)}}
    tx = gx.chain(("x/y", gx.sgd(0.1, 0.9)), ("x", gx.chain(("y", gx.add_momentum(0.9)))))
    state = scrambled(tx.init(params))
    named = gx.state_dict(tx, state)
    assert list(named)[3:] == [f"x%2Fy/sgd/add_momentum/{path}" for path in ("a/100%25", "a/b", "a%2Fb")]
    assert_identical(gx.load_state_dict(tx, params, named), state)
    del named["x%2Fy/sgd/add_momentum/a/b"]
    with pytest.warns(UserWarning, match="missing entries"):
        loaded = gx.load_state_dict(tx, params, named, strict=False)
    momentum = loaded["x/y"][0]
    np.testing.assert_array_equal(momentum["a"]["b"], 0.0)
    np.testing.assert_array_equal(momentum["a/b"], state["x/y"][0]["a/b"])


def test_files_from_before_slashes_were_escaped_still_load():
    params = {"mlp/~/linear": {"w": jnp.ones(2)}, "a/b": jnp.ones(2), "a": {"b": jnp.ones(2)}}
    tx = gx.sgd(0.1, 0.9)
    state = scrambled(tx.init(params))
    momentum = state[0]
    old = {
        "sgd/add_momentum/a/b": momentum["a"]["b"],
        "sgd/add_momentum/a/b[1]": momentum["a/b"],
        "sgd/add_momentum/mlp/~/linear/w": momentum["mlp/~/linear"]["w"],
    }
    assert_identical(gx.load_state_dict(tx, params, old), state)


def test_numpy_files_of_half_precision_memories(tmp_path):
    """NumPy writes bfloat16 as two bytes of no type."""
    tx = gx.store(gx.adam(0.1), gx.codecs.bfloat16)
    state = scrambled(tx.init(PARAMS))
    np.savez(tmp_path / "state.npz", **gx.state_dict(tx, state))
    with np.load(tmp_path / "state.npz") as file:
        assert_identical(gx.load_state_dict(tx, PARAMS, file), state)
        wide = gx.load_state_dict(
            gx.adam(0.1),
            PARAMS,
            {name.removeprefix("store/inner/"): x for name, x in file.items() if name != "store/count"},
        )
    np.testing.assert_array_equal(
        wide[0][0][0]["dense"]["bias"], state.inner[0][0][0]["dense"]["bias"].astype(jnp.float32)
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_programs_with_states_can_be_saved(case):
    state = jax.eval_shape(case.transform.init, params_of(case) if case.matrices else STACKED)
    program = jax.export.export(jax.jit(lambda state: state))(state)
    assert jax.export.deserialize(program.serialize()).in_tree == jax.tree.structure(((state,), {}))


def test_a_wrapper_that_was_added_or_taken_away():
    plain, wrapped = gx.adam(0.1), gx.average_params(gx.adam(0.1), 0.9)
    state = scrambled(plain.init(PARAMS))
    named = gx.state_dict(plain, state)
    with pytest.raises(gx.GradtxValueError, match=r"rename=\{'': 'average_params/inner'\}") as error:
        gx.load_state_dict(wrapped, PARAMS, named)
    assert max(map(len, str(error.value).splitlines())) <= 120
    with pytest.warns(UserWarning, match=r"missing entries:\s+average_params/count"):
        loaded = gx.load_state_dict(wrapped, PARAMS, named, strict=False, rename={"": "average_params/inner"})
    assert_identical(loaded.inner, state)
    back = gx.state_dict(wrapped, loaded)
    with pytest.warns(UserWarning, match=r"unexpected entries:\s+average_params/count"):
        assert_identical(
            gx.load_state_dict(plain, PARAMS, back, strict=False, rename={"average_params/inner": ""}), state
        )
    with pytest.raises(gx.GradtxValueError, match=r"rename=\{'adam': 'opt/adam'\}|rename=\{'': 'opt'\}"):
        gx.load_state_dict(gx.chain(("opt", plain)), PARAMS, named)
    named_chain = gx.chain(("opt", plain))
    assert_identical(gx.load_state_dict(named_chain, PARAMS, named, rename={"adam": "opt/adam"}), {"opt": state})
