"""Values stay what they are: through copies and processes, and when what they were made of changes."""

import copy
import json
import pickle
import types

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import schedules

PARAMS = {"a": jnp.ones(2), "b": jnp.ones((2, 2))}


@gx.transformation
def scaled_twice(factor: gx.Scalar, *more: gx.Scalar):
    return gx.chain(gx.scale(factor), *map(gx.scale, more))


SCRIPT = """
import gradtx as gx
import jax.numpy as jnp

@gx.transformation
def of_a_script(learning_rate: gx.Scalar, inner):
    return gx.chain(inner, gx.scale(-learning_rate))

@gx.schedule
def falling(value: gx.Scalar):
    return lambda step: value / (1 + step)

tx = of_a_script(falling(0.1), gx.parallel(jnp.maximum, gx.identity(), gx.scale(2.0)))
"""


@pytest.mark.parametrize(
    "tx",
    [
        gx.parallel(jnp.maximum, gx.scale(1.0), gx.scale(2.0)),
        gx.chain(gx.store(gx.adam(0.1), gx.codecs.bfloat16), gx.record("norm", gx.tree.norm)),
        gx.partition(
            {"x": gx.adam(0.1), "y": gx.sgd(schedules.linear(0.1, 0.0, 5))}, gx.by_path({"a": "x", "**": "y"})
        ),
        gx.adam(jnp.asarray([0.1, 0.2])),
    ],
    ids=lambda tx: tx.factory_name,
)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, "pickle", "cloudpickle"])
def test_copies_are_equal(tx, copied):
    ways = {module.__name__: module for module in (pickle, cloudpickle)}
    other = ways[copied].loads(ways[copied].dumps(tx)) if isinstance(copied, str) else copied(tx)
    assert other == tx
    assert hash(other) == hash(tx)


def test_loads_of_what_a_script_defines_are_equal():
    """As joblib's workers get it: each load makes the factory anew, and a jitted function is compiled once."""
    module = types.ModuleType("__main__")
    exec(SCRIPT, module.__dict__)
    data = cloudpickle.dumps(module.tx)
    gx._values.registry.REGISTRY.pop("of_a_script"), gx._values.registry.REGISTRY.pop("falling")  # another process
    first, second = cloudpickle.loads(data), cloudpickle.loads(data)
    assert first == second
    assert jax.tree.structure(first) == jax.tree.structure(second)
    traces = []

    @jax.jit
    def step(tx, g):
        traces.append(1)
        return tx.update(g, tx.init(g))[0]

    for tx in (first, second):
        np.testing.assert_allclose(step(tx, jnp.ones(2)), -0.2, rtol=1e-6)
    assert len(traces) == 1


def test_what_a_value_was_made_of_may_change():
    rates, mask, labels = np.asarray([0.1, 0.2]), {"a": np.ones(2, bool), "b": [True]}, {"a": "x", "b": "y"}
    transforms = {"x": gx.adam(0.1), "y": gx.sgd(0.1)}
    values = [gx.adam(rates), gx.masked(gx.sgd(0.1), mask), gx.partition(transforms, labels)]
    before = [(repr(tx), hash(tx)) for tx in values]
    rates[0], mask["a"][0], mask["b"][0], labels["a"], transforms["x"] = 9.0, False, False, "y", gx.sgd(9.0)
    assert [(repr(tx), hash(tx)) for tx in values] == before


def test_what_is_read_from_a_value_does_not_change_it():
    tx = gx.partition({"x": gx.adam(0.1), "y": gx.sgd(0.1)}, {"a": "x", "b": ["y", "x"]})
    before = repr(tx)
    with pytest.raises(TypeError, match="does not support item assignment"):
        tx.transforms["x"] = gx.sgd(1.0)
    with pytest.raises(TypeError, match="does not support item assignment"):
        tx.arguments["labels"]["a"] = "y"
    tx.labels["b"].append("z")
    with pytest.raises(ValueError, match="read-only"):
        gx.adam(np.asarray([0.1, 0.2])).learning_rate[0] = 1.0
    assert repr(tx) == before
    assert tx.replace(transforms=tx.transforms, labels=tx.labels) == tx


def test_any_mapping_is_a_dict():
    class Config(dict):
        pass

    plain = {"x": gx.adam(0.1), "y": gx.sgd(0.1)}
    wanted = gx.partition(plain, {"a": "x", "b": "y"})
    for mapping in (types.MappingProxyType, Config):
        tx = gx.partition(mapping(plain), mapping({"a": "x", "b": "y"}))
        assert tx == wanted
        assert jax.tree.leaves(tx) == jax.tree.leaves(wanted)
        assert jax.tree.structure(tx) == jax.tree.structure(wanted)
        assert gx.by_path(mapping({"**": True})) == gx.by_path({"**": True})
        assert gx.from_config(mapping(gx.to_config(tx))) == tx


@pytest.mark.parametrize("two", [np.int64(2), np.asarray(2), jnp.asarray(2)], ids=lambda x: type(x).__name__)
def test_numbers_of_numpy_and_jax_are_plain_where_they_are_structure(two):
    true = two == 2
    pairs = [
        (gx.accumulate_gradients(gx.sgd(0.1), two), gx.accumulate_gradients(gx.sgd(0.1), 2)),
        (gx.add_noise(0.1, seed=two), gx.add_noise(0.1, seed=2)),
        (gx.masked(gx.sgd(0.1), {"a": true, "b": [true]}), gx.masked(gx.sgd(0.1), {"a": True, "b": [True]})),
        (gx.sgd(0.1, 0.9, nesterov=true), gx.sgd(0.1, 0.9, nesterov=True)),
        (gx.average_params(gx.sgd(0.1), every=two), gx.average_params(gx.sgd(0.1), every=2)),
    ]
    runs = []
    run = jax.jit(lambda tx: runs.append(tx) or jnp.zeros(()))
    for got, wanted in pairs:
        assert got == wanted
        assert hash(got) == hash(wanted)
        assert "array" not in json.dumps(gx.to_config(got))
        run(got), run(wanted)
    assert len(runs) == len(pairs)


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e30, 0.1])
def test_texts_of_odd_python_numbers_evaluate_back(number):
    tx = gx.clip_between(number, number)
    assert eval(repr(tx), vars(gx)) == tx


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 1e30, 0.1])
@pytest.mark.parametrize("kind", [jnp.float32, lambda x: jnp.asarray([1.0, x])], ids=["0-d", "1-d"])
def test_texts_of_odd_arrays_evaluate_back(number, kind):
    tx = gx.scale(kind(number))
    again = eval(repr(tx), {"jnp": jnp, **vars(gx)})
    assert repr(again) == repr(tx)
    assert jax.tree.structure(again) == jax.tree.structure(tx)
    jax.tree.map(np.testing.assert_array_equal, again, tx)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: gx.scale(10**400), "scale: factor: expected a finite number, got 1000"),
        (lambda: gx.scale(float("nan")), "scale: factor: expected a finite number, got nan"),
        (lambda: gx.adam(float("inf")), "adam: learning_rate: expected a number of at least 0 and finite, got inf"),
        (lambda: gx.adam(0.1, b1=float("inf")), r"adam: b1: expected a number in \[0, 1\) and finite, got inf"),
        (lambda: gx.clip_by_global_norm(-1), "clip_by_global_norm: max_norm: expected a number above 0, got -1"),
    ],
)
def test_numbers_that_are_refused(make, complaint):
    with pytest.raises(gx.GradtxValueError, match=complaint):
        make()
    for bad in (1j, jnp.asarray(1j), jnp.asarray(True), True, "fast"):
        with pytest.raises(gx.GradtxTypeError, match="scale: factor: expected a"):
            gx.scale(bad)


def test_infinity_is_no_bound():
    g, p = jnp.asarray([-3.0, 5.0]), jnp.ones(2)
    inf = float("inf")
    for tx in (
        gx.clip(inf),
        gx.clip_between(-inf, inf),
        gx.clip_by_global_norm(inf),
        gx.clip_by_block_norm(inf),
        gx.clip_by_block_rms(inf),
        gx.clip_min(-inf),
        gx.project_box(-inf, inf),
        gx.project_l2_ball(inf),
    ):
        np.testing.assert_allclose(tx.update(g, tx.init(p), p)[0], g, rtol=1e-6)
    np.testing.assert_array_equal(gx.project_box(0.0, inf).update(g, (), p)[0], [-1.0, 5.0])


def test_numbers_without_names_are_hyperparameters():
    tx = scaled_twice(2.0, 3.0, 4)
    assert jax.tree.leaves(tx) == [2.0, 3.0, 4.0]
    assert eval(repr(tx), globals()) == tx == gx.from_config(gx.to_config(tx))
    assert tx.replace(more=(3.0,)) == scaled_twice(2.0, 3.0)
    g = jnp.ones(2)
    np.testing.assert_array_equal(jax.jit(lambda tx: tx.update(g, tx.init(g))[0])(tx), 24.0)
    state = gx.set_hyperparams(gx.inject(tx).init(g), **{"more/0": 1.0})
    np.testing.assert_array_equal(gx.inject(tx).update(g, state)[0], 8.0)
    with pytest.raises(gx.GradtxTypeError, match="scaled_twice: more: expected a number"):
        scaled_twice(2.0, "fast")


def test_arguments_that_have_no_name_are_refused():
    with pytest.raises(gx.GradtxTypeError, match="every argument needs a name"):

        @gx.transformation
        def positional_only(factor: gx.Scalar, /):
            return gx.scale(factor)

    with pytest.raises(gx.GradtxTypeError, match="every argument needs a name"):

        @gx.transformation
        def any_keyword(**numbers: gx.Scalar):
            return gx.scale(sum(numbers.values()))


MALFORMED = [
    (None, "expected a dict with the keys"),
    ([], "expected a dict with the keys"),
    ({"factory": 3}, r"expected \{'factory': a name, 'arguments': a dict\}, got"),
    ({"factory": ["adam"]}, "expected {'factory': a name"),
    ({"factory": "adam", "arguments": [0.1]}, "expected {'factory': a name"),
    ({"factory": "adam", "arguments": None}, "expected {'factory': a name"),
    ({"factory": "adam", "arguments": {3: 0.1}}, "expected {'factory': a name"),
    ({"factory": "adam", "argumets": {"learning_rate": 0.1}}, "expected {'factory': a name"),
    ({"factory": "adam"}, "the argument 'learning_rate' of adam is missing; it is called as adam"),
    ({"factory": "adam", "arguments": {"learning_rate": "fast"}}, "adam: learning_rate: expected a number"),
    ({"factory": "adam", "arguments": {"learning_rate": -1}}, "learning_rate: expected a number of at least 0"),
    ({"factory": "adam", "arguments": {"learning_rate": {"dict": 3}}}, "expected .* at adam.learning_rate, got"),
    ({"factory": "adam", "arguments": {"learning_rate": {"dict": [[1]]}}}, "a list of pairs} at adam.learning_rate"),
    ({"factory": "adam", "arguments": {"learning_rate": {"dict": [[[1], 2]]}}}, "looked up at adam.learning_rate"),
    ({"factory": "adam", "arguments": {"learning_rate": {"array": "x", "dtype": "float32"}}}, "no array can be made"),
    ({"factory": "adam", "arguments": {"learning_rate": {"array": 1.0, "dtype": "float33"}}}, "no array can be made"),
    ({"factory": "adam", "arguments": {"learning_rate": {"array": 1.0}}}, "a name} at adam.learning_rate"),
    ({"factory": "adam", "arguments": {"learning_rate": {"name": []}}}, "expected {'name': a name} at adam.learning"),
    ({"factory": "adam", "arguments": {"learning_rate": {"tuple": 1}}}, "expected {'tuple': a list} at adam.learning"),
    ({"factory": "adam", "arguments": {"learning_rate": {1, 2}}}, "expected data, .* at adam.learning_rate, got"),
    ({"factory": "adam", "arguments": {"learning_rate": {}}}, "expected data, .* at adam.learning_rate, got {}"),
    ({"factory": "chain", "arguments": {"parts": 3}}, "expected a list at chain.parts, got 3"),
    (
        {"factory": "chain", "arguments": {"parts": [{"factory": "adam", "arguments": {"learning_rate": []}}]}},
        r"adam: learning_rate: expected a number.* at chain.parts\[0\]",
    ),
    (
        {"factory": "chain", "arguments": {"parts": [{"factory": "scale"}]}},
        r"the argument 'factor' of scale is missing at chain.parts\[0\]",
    ),
]


@pytest.mark.parametrize(("config", "complaint"), MALFORMED, ids=[str(index) for index in range(len(MALFORMED))])
def test_malformed_configs(config, complaint):
    with pytest.raises(gx.GradtxValueError, match=f"from_config: .*{complaint}"):
        gx.from_config(config)
