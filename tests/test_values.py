"""Optimizers are values: they print, compare, travel, and their numbers are data."""

import copy
import json
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import adam, chain, clip_by_global_norm, describe, schedules, sgd, summary

PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}


def test_repr_shows_every_argument_and_evaluates_back():
    assert repr(adam(1e-3)) == "adam(learning_rate=0.001, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0)"
    assert repr(chain(("clip", gx.clip(1)), ("go", sgd(0.1)))) == (
        "chain(('clip', clip(max_delta=1)), ('go', sgd(learning_rate=0.1, momentum=None, nesterov=False)))"
    )
    tx = gx.partition({"a": adam(schedules.linear(0.1, 0.0, 10))}, gx.by_path({"**": "a"}))
    assert eval(repr(tx), vars(gx)) == tx
    array = adam(jnp.float32(0.001))
    assert repr(array).startswith("adam(learning_rate=jnp.float32(0.001), ")
    assert eval(repr(array), {"jnp": jnp, **vars(gx)}) == array


def test_repr_of_a_traced_transform_says_that_it_is_traced():
    seen = []
    jax.jit(lambda tx: seen.append(repr(tx)))(sgd(0.1))
    assert seen == ["sgd(learning_rate=<traced float32[]>, momentum=None, nesterov=False)"]


def test_equality_is_of_content():
    assert adam(1e-3) == adam(learning_rate=1e-3, b1=0.9)
    assert adam(1) == adam(1.0)
    assert hash(adam(1)) == hash(adam(1.0))
    assert adam(1e-3) != adam(1e-4)
    assert adam(1e-3) != gx.adamax(1e-3)
    assert adam(jnp.float32(0.5)) == adam(jnp.float32(0.5)) != adam(0.5)
    assert chain(adam(1.0)) != chain(("x", adam(1.0)))
    assert adam(1e-3) != "adam"
    # Which pattern matches first depends on the order, and so does equality.
    assert gx.by_path({"a": 1, "**": 2}) != gx.by_path({"**": 2, "a": 1})


def test_masks_that_are_trees_compare_by_content():
    make = lambda last: gx.adamw(1e-3, mask={"w": True, "b": np.bool_(last)})
    assert make(False) == make(False)
    assert hash(make(False)) == hash(make(False))
    assert make(False) != make(True)


def test_pickle_and_copy():
    tx = chain(clip_by_global_norm(1.0), gx.adamw(schedules.cosine_decay(1e-3, 100), mask=gx.by_path({"**": True})))
    for other in (pickle.loads(pickle.dumps(tx)), copy.copy(tx), copy.deepcopy(tx)):
        assert other == tx


def test_what_a_value_was_made_of_may_change_without_changing_the_value():
    patterns, mask, parts = {"**": True}, {"w": True, "b": [True]}, {"a": adam(0.1)}
    values = [gx.by_path(patterns), gx.add_decayed_weights(0.1, mask), gx.partition(parts, "a")]
    before = [(repr(value), hash(value)) for value in values]
    patterns["**"], mask["b"][0], parts["b"] = False, False, sgd(0.1)
    assert [(repr(value), hash(value)) for value in values] == before


def test_structure_is_compared_in_type_and_numbers_are_not():
    @gx.transformation
    def choice(how: object, number: gx.Scalar = 1):
        return gx.identity()

    assert len({choice(1), choice(True), choice(1.0)}) == 3
    assert choice("a", 1) == choice("a", 1.0)


def test_differences_of_values_can_be_copied():
    negative = jax.tree.map(lambda x: -x, adam(1e-3))
    assert copy.deepcopy(negative) == negative
    assert pickle.loads(pickle.dumps(negative)) == negative


def test_values_are_immutable_and_replace_makes_another():
    tx = adam(1e-3)
    with pytest.raises(AttributeError, match=r"immutable; use .replace\(learning_rate=...\)"):
        tx.learning_rate = 0.1
    assert tx.replace(learning_rate=0.1) == adam(0.1)
    assert tx.learning_rate == 1e-3
    assert dict(tx.arguments) == {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "eps_root": 0.0}
    with pytest.raises(TypeError, match="adam has no argument 'lr'; it has learning_rate"):
        tx.replace(lr=0.1)
    with pytest.raises(AttributeError, match="has no attribute 'momentum'"):
        _ = tx.momentum


def test_the_leaves_are_the_numbers():
    assert jax.tree.leaves(adam(1)) == [1.0, 0.9, 0.999, 1e-8, 0.0]
    assert jax.tree.leaves(sgd(0.1)) == [0.1]
    assert jax.tree.leaves(sgd(0.1, 0.9)) == [0.1, 0.9]
    assert jax.tree.leaves(chain(clip_by_global_norm(1.0), sgd(0.1))) == [1.0, 0.1]
    assert jax.tree.leaves(sgd(schedules.linear(0.1, 0.2, 3))) == [0.1, 0.2, 3.0]
    assert jax.tree.leaves(gx.GradientTransformation(lambda p: (), lambda u, s, p: (u, s))) == []
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(chain(sgd(0.1, 0.9)))]
    assert paths == [".parts[0].learning_rate", ".parts[0].momentum"]


def test_numbers_may_be_replaced_by_anything_in_tree_maps():
    tx = chain(adam(1e-3), gx.sgd(schedules.linear(0.1, 0.0, 3), 0.9))
    nothing = jax.tree.map(lambda _: None, tx)
    assert jax.tree.map(lambda a, b: b if a is None else a, nothing, tx, is_leaf=lambda x: x is None) == tx
    assert jax.tree.map(lambda x, pair: pair[0], tx, jax.tree.map(lambda x: (x, -x), tx)) == tx
    assert eqx.combine(*eqx.partition(tx, lambda x: x > 0.5)) == tx


def test_a_sweep_over_32_learning_rates_is_one_program():
    rates = jnp.logspace(-4, -1, 32)
    step = lambda tx: tx.update(PARAMS, tx.init(PARAMS), PARAMS)[0]
    together = jax.jit(jax.vmap(step))(jax.vmap(adam)(rates))
    for index in (0, 13, 31):
        alone = step(adam(rates[index]))
        jax.tree.map(lambda a, b, i=index: np.testing.assert_allclose(a[i], b, rtol=1e-6), together, alone)


def test_hypergradients_of_adam_are_finite_and_right():
    def loss(tx):
        params, state = jnp.asarray([1.0, -2.0]), tx.init(jnp.zeros(2))
        for _ in range(5):
            updates, state = tx.update(2 * params, state, params)
            params = gx.apply_updates(params, updates)
        return jnp.sum(params**2)

    with jax.enable_x64(True):
        tx = adam(0.1, eps=1e-3, eps_root=1e-4)
        by_gradient, compiled = jax.jit(jax.grad(loss))(tx), jax.jit(loss)
        for name in tx.arguments:
            h = 1e-7
            higher, lower = (compiled(tx.replace(**{name: tx.arguments[name] + d})) for d in (h, -h))
            np.testing.assert_allclose(by_gradient.arguments[name], (higher - lower) / (2 * h), rtol=1e-4, atol=1e-9)


def test_a_batched_transform_outside_vmap_says_what_to_do():
    tx = adam(jnp.ones(3))
    with pytest.raises(
        ValueError, match=r"in adam: learning_rate: expected a scalar, got the shape \(3,\).*jax.vmap\(adam\)"
    ):
        tx.init(PARAMS)


def test_an_array_kept_in_a_transform_leaks_no_tracer():
    tx = adam(jnp.float32(0.1))
    with jax.checking_leaks():
        first = jax.jit(tx.update)(PARAMS, tx.init(PARAMS))[0]
        second = jax.jit(lambda u, s: tx.update(u, s))(PARAMS, tx.init(PARAMS))[0]
    np.testing.assert_array_equal(first["w"], second["w"])


def test_a_body_that_computes_arrays_leaks_no_tracer_into_what_is_kept():
    @gx.transformation
    def weighted(decay: gx.Decay):
        weights = decay ** jnp.arange(2.0)
        return gx.elementwise(lambda g: g * jnp.sum(weights))

    tx = weighted(0.5)
    inside = jax.jit(lambda g: tx.update(g, tx.init(g))[0])(jnp.ones(3))
    np.testing.assert_array_equal(inside, tx.update(jnp.ones(3), tx.init(jnp.ones(3)))[0])


def test_it_unpacks_like_a_pair():
    init, update = sgd(0.1, 0.9)
    updates, _ = update(PARAMS, init(PARAMS))
    np.testing.assert_allclose(updates["w"], -0.1)


def test_a_body_may_return_a_pair_of_functions():
    @gx.transformation
    def doubled():
        return lambda params: (), lambda updates, state, params=None: (jax.tree.map(lambda u: 2 * u, updates), state)

    tx = chain(doubled(), gx.scale(0.5))
    np.testing.assert_array_equal(tx.update(PARAMS, tx.init(PARAMS))[0]["w"], PARAMS["w"])
    assert repr(tx) == "chain(doubled(), scale(factor=0.5))"


def test_config_is_plain_json_and_reads_back():
    tx = chain(("clip", clip_by_global_norm(1.0)), ("opt", gx.adamw(schedules.linear(1e-3, 0, 9), mask={"w": True})))
    config = gx.to_config(tx)
    assert config["arguments"]["parts"]["tuple"][0] == {
        "tuple": ["clip", {"factory": "clip_by_global_norm", "arguments": {"max_norm": 1.0}}]
    }
    assert gx.from_config(json.loads(json.dumps(config))) == tx


def test_the_order_of_patterns_survives_a_config_with_sorted_keys():
    labels = gx.by_path({"b": 1, "a": 2, "**": 3})
    assert gx.from_config(json.loads(json.dumps(gx.to_config(labels), sort_keys=True))) == labels


def test_arrays_and_own_factories_go_through_configs():
    @gx.transformation
    def halved(factor: gx.Scalar = 0.5):
        return gx.scale(factor)

    tx = chain(
        halved(jnp.asarray(0.25, jnp.bfloat16)), halved(), gx.partition({"a": halved()}, gx.by_path({"**": "a"}))
    )
    assert gx.from_config(json.loads(json.dumps(gx.to_config(tx)))) == tx


def test_a_factory_that_takes_a_name_of_gradtx_does_not_take_its_place_in_configs():
    @gx.transformation
    def adamax(learning_rate: gx.Scalar):
        return gx.scale(learning_rate)

    with pytest.raises(TypeError, match="under a name that is not taken"):
        gx.to_config(adamax(0.1))
    assert gx.from_config(gx.to_config(gx.adamax(0.1))) == gx.adamax(0.1)


def test_describe_opens_named_optimizers_down_to_the_primitives():
    assert str(describe(adam(1e-3))) == (
        "adam(learning_rate=0.001, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0) = chain\n"
        "├─ scale_by_adam(b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0) = ratio(eps=1e-08, eps_root=0.0)\n"
        "│  ├─ numerator: chain\n"
        "│  │  ├─ scale_by_ema(decay=0.9)\n"
        "│  │  └─ bias_correction(decay=0.9)\n"
        "│  └─ denominator: chain\n"
        "│     ├─ square()\n"
        "│     ├─ scale_by_ema(decay=0.999)\n"
        "│     ├─ bias_correction(decay=0.999)\n"
        "│     └─ sqrt()\n"
        "└─ scale_by_learning_rate(learning_rate=0.001)"
    )
    shown = describe(adam(1e-3))
    assert shown._repr_html_() == f"<pre style='text-align:left;line-height:1.3'>{shown}</pre>"
    assert adam(1e-3).expression == chain(gx.scale_by_adam(), gx.scale_by_learning_rate(1e-3))
    assert gx.square().expression is None


def test_summary_says_what_each_part_stores():
    params = jax.ShapeDtypeStruct((100, 10), jnp.bfloat16)
    tx = gx.inject(chain(("clip", clip_by_global_norm(1.0)), ("opt", gx.adam(schedules.linear(0.1, 0.0, 10)))))
    rows = {row.label or row.call: row for row in summary(tx, params).rows}
    assert rows["opt"].nbytes == rows["numerator"].nbytes + rows["denominator"].nbytes + 8  # count and rate
    assert rows["scale_by_ema(decay=0.9)"].nbytes == 4000
    assert rows["scale_by_ema(decay=0.9)"].dtypes == "float32"
    assert rows["clip"].nbytes == 0
    state = tx.init(jnp.zeros((100, 10), jnp.bfloat16))
    assert summary(tx, params).nbytes == gx.tree.nbytes(state)
    assert str(summary(tx, params)).endswith(f"1,000 parameters, {gx.tree.nbytes(state):,} bytes of state")
    html = summary(tx, params)._repr_html_()
    assert html.count("text-align:left;white-space:pre;font-family:monospace") == html.count("<td") + html.count(
        "<th s"
    )


def test_summary_of_a_partition_counts_each_group():
    tx = gx.partition({"a": sgd(0.1, 0.9), "b": adam(0.1)}, {"w": "a", "b": "b"})
    rows = {row.label: row for row in summary(tx, PARAMS).rows}
    assert rows["a"].nbytes == 6 * 4
    assert rows["b"].nbytes == 2 * (2 * 4 + 2 * 4)


def test_bare_pairs_and_optax_transforms_can_be_described():
    import optax

    assert "GradientTransformation(" in str(describe(chain(optax.scale_by_adam(), gx.scale(1.0))))


def test_copies_of_pairs_made_by_constructors_are_equal():
    for tx in (
        gx.memory(jnp.zeros_like, lambda g, m, p: m + g),
        gx.elementwise(jnp.abs),
        gx.GradientTransformation(*gx.sgd(0.1)),
    ):
        assert copy.copy(tx) == tx == copy.deepcopy(tx)


def test_every_argument_of_a_factory_needs_a_name():
    with pytest.raises(gx.GradtxTypeError, match="mine: every argument needs a name, expected none like 'x'"):

        @gx.transformation
        def mine(x, /):
            return gx.scale(x)

    with pytest.raises(gx.GradtxTypeError, match=r"expected none like '\*\*options'"):

        @gx.transformation
        def mine(**options):
            return gx.scale(1.0)


@pytest.mark.parametrize("numbers", [(0.0, -0.0), (1, 1.0), (1.0, 1), (0.5, 0.25, 0.5)])
def test_a_value_made_again_has_its_own_numbers_also_where_they_compare_equal(numbers):
    assert [repr(gx.scale(x).factor) for x in numbers] == list(map(repr, numbers))


def test_named_parts_are_attributes():
    tx = gx.chain(("clip", gx.clip(1.0)), ("opt", gx.adam(1e-3)))
    assert tx.opt == gx.adam(1e-3)
    assert {"clip", "opt", "parts"} <= set(dir(tx))
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = tx.other


@pytest.mark.parametrize(
    "make",
    [
        lambda: gx.matrix(inputs=0),
        lambda: gx.orthogonalize(method="bogus"),
        lambda: gx.reduce_on_plateau(mode="bogus"),
        lambda: gx.accumulate_gradients(gx.sgd(0.1), 0),
    ],
)
def test_what_is_refused_once_is_refused_again(make):
    for _ in range(2):
        with pytest.raises(gx.GradtxError):
            make()
