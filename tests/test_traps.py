"""What used to be accepted in silence, or failed where nobody looks for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

import gradtx as gx
from gradtx import schedules as s
from gradtx._values.registry import REGISTRY

PARAMS = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "w[1]": jnp.ones(2), "w1": jnp.ones(2)}


# Mistakes in the making of a transform are found when it is made.


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: gx.chain([gx.adam(0.1), gx.sgd(0.1)]), r"in chain: expected .*; give the transforms one by one"),
        (lambda: gx.chain(None, gx.adam(0.1)), "in chain: expected a transform, .* got None"),
        (lambda: gx.chain(gx.adam), "in chain: expected a transform, .*that is a factory, call it: adam"),
        (lambda: gx.conditional(gx.adam(0.1), True), "in conditional: .*got True"),
        (lambda: gx.accumulate_gradients(gx.adam(0.1), 0), "every: expected a positive whole number, got 0"),
        (lambda: gx.skip_nonfinite(gx.adam), "in skip_nonfinite: expected a transform, .* call it: adam"),
        (lambda: gx.skip_nonfinite(gx.adam(0.1), 0), "positive whole number, got 0"),
        (lambda: gx.lookahead(0.1, 5, 0.5), "in lookahead: expected a transform, .* got 0.1"),
        (lambda: gx.partition([gx.adam(0.1)], "a"), "in partition: expected a dict from labels to transforms"),
        (lambda: gx.bucketed(gx.clip_by_global_norm(1.0)), "in bucketed: expected .*each array independently"),
        (lambda: gx.store(gx.adam(0.1), "bfloat16"), "in store: expected a codec"),
        (lambda: gx.adam(s.cosine_decay), r"got a factory; call it: schedules.cosine_decay\(init_value, steps"),
        (lambda: gx.adam(s.constant), r"got a factory; call it: schedules.constant\(value\)"),
        (lambda: gx.adam(0.1, b1=gx.sgd), r"adam: b1: .* got a factory; call it: sgd\("),
        (lambda: s.warmup(s.cosine_decay(1e-3, 100), 10), "steps: expected a number of steps, got .*in order"),
        (lambda: s.linear(0.1, 0.0, s.constant(10)), "steps: expected a number of steps"),
        (lambda: s.join([s.constant(1.0)], [s.constant(1.0)]), "steps: expected a number of steps"),
        (lambda: gx.adam(-0.1), r"give 0.1: .*; to ascend, put scale\(-1.0\) in front"),
        (lambda: gx.adam(None), "learning_rate: expected a number"),
    ],
)
def test_mistakes_are_found_when_a_transform_is_made(make, complaint):
    with pytest.raises(gx.GradtxError, match=complaint):
        make()


# Schedules.


def test_a_schedule_that_branches_on_the_step():
    tx = gx.sgd(lambda step: 0.1 if step < 10 else 0.01)
    with pytest.raises(gx.GradtxTypeError, match=r"in sgd.*Schedule: the schedule branches on the step"):
        jax.jit(tx.update)(PARAMS, tx.init(PARAMS))


@pytest.mark.parametrize("result", [None, "0.1", lambda: 0.1], ids=["None", "text", "function"])
def test_a_schedule_that_returns_no_number(result):
    with pytest.raises(gx.GradtxTypeError, match=r"in sgd.*Schedule: expected a number for the step, got .*`return`"):
        gx.sgd(lambda step: result).init(PARAMS)


@pytest.mark.parametrize("index", [np.inf, -np.inf, 1e30, 7, -3])
def test_an_index_beyond_all(index):
    tx = gx.switch("which", gx.scale(1.0), gx.scale(2.0))
    eager = tx.update(PARAMS, tx.init(PARAMS), which=jnp.asarray(float(index)))[0]
    jitted = jax.jit(tx.update)(PARAMS, tx.init(PARAMS), which=jnp.asarray(float(index)))[0]
    for updates in (eager, jitted):
        np.testing.assert_array_equal(updates["w1"], 2.0 if index > 0 else 1.0)


# Labels and masks.


def init_and_update(make):
    tx = make()
    return tx.update(PARAMS, tx.init(PARAMS), PARAMS)


def test_a_pattern_that_matches_nothing():
    with pytest.raises(gx.GradtxValueError, match=r"no path is labelled by the patterns 'kernel'; paths: .*`\*\*/`"):
        gx.masked(gx.sgd(0.1), gx.by_path({"kernel": True, "**": False})).init(PARAMS)
    with pytest.raises(gx.GradtxValueError, match=r"the patterns 'dense/\*'"):  # the first that matches applies
        gx.by_path({"**/kernel": 1, "**/bias": 2, "dense/*": 3, "**": 4})(PARAMS)
    labels = gx.by_path({"kernel": True, "**": False}, allow_unused=True)
    assert not any(jax.tree.leaves(labels(PARAMS)))
    assert eval(repr(labels), vars(gx)) == labels == gx.from_config(gx.to_config(labels))


def test_a_transform_that_no_parameter_has():
    groups = {"fast": gx.sgd(1.0), "slow": gx.sgd(0.1)}
    with pytest.raises(gx.GradtxValueError, match=r"no parameter has the labels 'slow'; those that there are: 'fast'"):
        gx.partition(groups, gx.by_path({"**": "fast"})).init(PARAMS)
    tx = gx.partition(groups, gx.by_path({"**": "fast"}), allow_unused=True)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    np.testing.assert_array_equal(updates["w1"], -1.0)
    assert eval(repr(tx), vars(gx)) == tx


def test_groups_of_a_partition_see_only_some_paths():
    """There a pattern may match nothing: the leaves of the other groups are hidden."""
    decayed = gx.adamw(0.1, mask=gx.by_path({"**/bias": False, "**": True}))
    inner = gx.partition({"x": decayed, "y": gx.sgd(0.1)}, gx.by_path({"**/kernel": "x", "**": "y"}))
    tx = gx.masked(inner, gx.by_path({"**/kernel": True, "**": False}))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["w1"], 1.0)


def test_patterns_are_literal_but_for_stars():
    labels = gx.by_path({"w[1]": "brackets", "w?": "question", "w*": "star", "**": "rest"}, allow_unused=True)(PARAMS)
    assert (labels["w[1]"], labels["w1"]) == ("brackets", "star")
    labels = gx.by_path({"a.b": 1, "a*(c": 2, "**": 3}, allow_unused=True)({"axb": 1.0, "a.b": 1.0, "a(b(c": 1.0})
    assert labels == {"axb": 3, "a.b": 1, "a(b(c": 2}


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (lambda path, p: p.ndim > 1, r"takes two arguments; for a function of each leaf's .*gradtx.where\(function\)"),
        (
            gx.where(lambda path, p: None),
            "where: expected True or False for .*'dense/bias', got None; is `return` miss",
        ),
        (gx.where(lambda path, p: "yes"), "expected a mask of booleans, got 'yes'"),
        (gx.where, r"got a factory; call it: where\(predicate\)"),
        (FrozenDict(dense=True, w1=True, **{"w[1]": True}), "containers are of different types, FrozenDict and dict"),
        (
            {"dense": True},
            "mask: expected True or False for each leaf or subtree, .*; got mask at dense for parameters at dense/bias",
        ),
    ],
)
def test_masks_that_do_not_fit(mask, complaint):
    for make in (lambda: gx.masked(gx.sgd(0.1), mask), lambda: gx.freeze(mask), lambda: gx.adamw(0.1, mask=mask)):
        with pytest.raises(gx.GradtxError, match=complaint):
            init_and_update(make)


def test_a_mask_in_a_tuple_for_parameters_in_a_list():
    with pytest.raises(gx.GradtxValueError, match="containers are of different types, tuple and list"):
        gx.masked(gx.sgd(0.1), (True, False)).init([jnp.ones(2), jnp.ones(2)])


def test_a_partial_function_is_a_function():
    def by_rank(rank, params):
        return jax.tree.map(lambda p: p.ndim >= rank, params)

    tx = gx.masked(gx.sgd(1.0), jax.tree_util.Partial(by_rank, 2), gx.set_to_zero())
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    assert np.all(updates["dense"]["kernel"] == -1)
    assert np.all(updates["dense"]["bias"] == 0)


# The train step, sweeps and logs.


def mean_square(params, x):
    return jnp.mean(x) * jnp.mean(params["w"] ** 2)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_integers_that_are_frozen_are_no_hindrance(accumulate):
    params = {"w": jnp.ones(2), "ids": jnp.arange(3)}
    tx = gx.partition({"train": gx.sgd(0.1), "freeze": gx.set_to_zero()}, {"w": "train", "ids": "freeze"})
    step = gx.make_train_step(mean_square, tx, accumulate=accumulate)
    new, _, _ = step(jax.tree.map(jnp.copy, params), tx.init(params), jnp.ones(2))
    np.testing.assert_array_equal(new["ids"], params["ids"])
    np.testing.assert_allclose(new["w"], 0.9, rtol=1e-6)


def test_tied_weights_are_named():
    x = jnp.ones(2)
    tx = gx.sgd(0.1)
    step = gx.make_train_step(lambda params: jnp.sum(params["embed"] * params["head"]), tx)
    with pytest.raises(gx.GradtxValueError, match=r"params/embed and params/head are one array, .*jnp.copy, params"):
        step({"embed": x, "head": x}, tx.init({"embed": x, "head": x}))
    new, _, _ = step({"embed": x, "head": jnp.copy(x)}, tx.init({"embed": x, "head": x}))
    assert new["embed"].shape == (2,)


@pytest.mark.parametrize("is_disabled", [False, True])
def test_a_sweep_with_keys_in_aux_and_without_jit(is_disabled):
    def train(tx, key):
        updates, _ = tx.update({"w": jnp.ones(2)}, tx.init({"w": jnp.ones(2)}))
        return jnp.sum(updates["w"]), {"key": key, "updates": updates}

    with jax.disable_jit(is_disabled):
        result = gx.sweep(train, gx.sgd(0.1), {"learning_rate": [0.1, 0.2]}, seeds=2, has_aux=True, progress=False)
    np.testing.assert_allclose(result.losses, [[-0.2, -0.2], [-0.4, -0.4]], rtol=1e-6)
    assert result.aux["key"].shape == (2, 2)
    assert jax.random.uniform(result.aux["key"][1, 1]) == jax.random.uniform(jax.random.key(1))


def test_logs_of_constants():
    tx = gx.partition({"x": gx.sgd(0.1), "y": gx.adam(s.linear(0.2, 0.0, 10))}, {"dense": "x", "w1": "y", "w[1]": "y"})
    state = tx.init(PARAMS)
    assert "x/learning_rate" not in gx.logs(state)
    logs = gx.logs(state, tx)
    assert logs["x/learning_rate"] == np.float32(0.1)
    assert logs["b1"] == np.float32(0.9)
    assert gx.logs(gx.adam(1e-3).init(PARAMS), gx.adam(1e-3))["learning_rate"] == np.float32(1e-3)


@pytest.mark.parametrize("table", [jnp.asarray([0.1, 0.2]), [0.1, 0.2]], ids=["array", "list"])
def test_a_schedule_that_indexes_a_table_by_the_step_is_told_its_dtype(table):
    tx = gx.sgd(lambda step: table[step // 100])
    with pytest.raises(gx.GradtxTypeError, match=r"it gets the step as an array, float32: .*step.astype\(int\)"):
        tx.init(PARAMS)
    right = gx.sgd(lambda step: jnp.asarray(table)[step.astype(int) // 100])
    np.testing.assert_allclose(right.update(jnp.ones(()), right.init(jnp.ones(())))[0], -0.1)


@pytest.mark.parametrize("spec", [spec for spec in REGISTRY.values() if any(n.optional for n in spec.numbers.values())])
def test_none_is_taken_where_the_annotation_has_it(spec):
    arguments = dict.fromkeys(spec.required, 0.1)
    for name, number in spec.numbers.items():
        if number.optional:
            assert spec.factory(**{**arguments, name: None}).arguments[name] is None


def test_a_positive_step_up_by_a_minus_in_front():
    g = jnp.ones(2)
    tx = gx.chain(gx.scale(-1.0), gx.adam(0.1))
    assert bool(jnp.all(tx.update(g, tx.init(g), g)[0] > 0))


@pytest.mark.parametrize(
    "keeper",
    [
        gx.master_weights(gx.adam(0.1)),
        gx.average_params(gx.adam(0.1)),
        gx.lookahead(gx.adam(0.1), 5, 0.5),
        gx.lookahead(gx.adam(0.1), 5, 0.5, reset_state=True),
        gx.mechanize(gx.adam(0.1)),
        gx.schedule_free_adamw(),
        gx.chain(gx.clip(1.0), gx.average_params(gx.adam(0.1))),
    ],
    ids=lambda tx: tx.factory_name,
)
def test_nothing_follows_what_keeps_parameters(keeper):
    with pytest.raises(gx.GradtxValueError, match="which keeps parameters as they are after its own output"):
        gx.chain(keeper, gx.scale(0.5))
    gx.chain(keeper, gx.identity(), gx.record("norm", gx.tree.norm)).init(PARAMS)


@pytest.mark.parametrize("second", [gx.adam(0.1), gx.scale_by_learning_rate(0.1), gx.inject(gx.sgd(0.1))], ids=str)
def test_two_learning_rates_would_ascend(second):
    for first in (gx.sgd(0.1), gx.chain(gx.clip(1.0), gx.scale_by_learning_rate(1.0))):
        with pytest.raises(gx.GradtxValueError, match="each has a learning rate with the minus of a descent step"):
            gx.chain(first, second)


def test_an_error_of_gradtx_within_a_schedule_is_no_table():
    tx = gx.sgd(lambda step: s.constant("0.1")(step))
    with pytest.raises(gx.GradtxTypeError, match="constant: value: expected a number") as caught:
        tx.init(PARAMS)
    assert "table" not in str(caught.value)


@pytest.mark.parametrize("name", ["learning_rate", "b1"])
def test_a_schedule_that_begins_out_of_range(name):
    schedule = gx.schedules.linear(-0.5, 0.0, 10)
    tx = gx.adam(**{"learning_rate": 0.1, name: schedule})
    with pytest.raises(gx.GradtxValueError, match=f"{name}: expected .* from the schedule, got -0.5 at step 0"):
        tx.init(jnp.ones(2))


def test_a_scheduled_state_that_was_restored_as_a_dict():
    tx = gx.adam(gx.schedules.linear(1.0, 0.0, 10))
    state = tx.init(jnp.ones(2))
    with pytest.raises(gx.GradtxValueError, match="restored into plain containers"):
        tx.update(jnp.ones(2), state._asdict(), jnp.ones(2))


def test_memory_that_an_earlier_step_was_given():
    tx, params = gx.adam(0.1), {"w": jnp.ones(2)}
    state = tx.init(params)
    gx.make_train_step(lambda params: jnp.sum(params["w"] ** 2), tx)(params, state)
    with pytest.raises(gx.GradtxValueError, match="the memory of parameters/w was given to the results of an earlier"):
        tx.init(params)
    with pytest.raises(gx.GradtxValueError, match=r"the memory of state/.* was given to the results"):
        tx.update({"w": jnp.ones(2)}, state)


def test_logs_show_the_scale_of_a_plateau():
    tx = gx.chain(gx.sgd(0.1), gx.reduce_on_plateau(0.5, patience=1))
    state = tx.init(jnp.ones(2))
    for _ in range(3):
        _, state = tx.update(jnp.ones(2), state, value=1.0)
    assert gx.logs(state) == {"plateau_scale": 0.25}
    assert set(gx.logs(state, tx)) >= {"plateau_scale", "learning_rate"}
