"""Bad input: each error says who, where, what was got and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import adam, adamw, chain, schedules, sgd

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}


def _raises(kind, message):
    return pytest.raises(kind, match=message)


def test_every_error_is_a_gradtx_error_too():
    with pytest.raises(gx.GradtxError):
        adam(-1.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, float("nan")])
def test_a_decay_outside_its_range(decay):
    with _raises(ValueError, rf"adam: b1: expected a number in \[0, 1\), got {decay}"):
        adam(0.1, b1=decay)
    with _raises(ValueError, r"scale_by_ema: decay: expected a number in \[0, 1\)"):
        gx.scale_by_ema(decay)


@pytest.mark.parametrize("number", [-1, -1e-3, float("nan"), float("inf")])
def test_a_negative_or_infinite_learning_rate_or_eps(number):
    with _raises(ValueError, "sgd: learning_rate: expected a number of at least 0( and finite)?, got"):
        sgd(number)
    with _raises(ValueError, "rmsprop: eps: expected a number of at least 0( and finite)?, got"):
        gx.rmsprop(0.1, eps=number)


def test_a_zero_that_something_is_divided_by():
    with _raises(ValueError, r"lion: b2: expected a number in \(0, 1\), got 0.0"):
        gx.lion(0.1, b2=0.0)
    with _raises(ValueError, r"in rmsprop: scale_by_stddev: decay: expected a number in \(0, 1\), got 0.0"):
        gx.rmsprop(0.1, 0.0, centered=True).init(PARAMS)
    for schedule in (schedules.inverse_sqrt, lambda value, steps: schedules.exponential_decay(value, steps, 0.5)):
        with _raises(ValueError, "steps: expected a number above 0, got 0"):
            schedule(1.0, 0)


def test_traced_numbers_and_arrays_are_not_checked():
    jax.jit(adam)(-1.0)
    assert adam(jnp.float32(-1.0)).learning_rate == -1


@pytest.mark.parametrize("wrong", ["0.1", True, None, [0.1, "x"], {1}])
def test_what_is_no_number(wrong):
    with _raises(TypeError, "sgd: learning_rate: expected a number, a 0-d array or a schedule, got"):
        sgd(wrong)


def test_a_transform_where_a_number_belongs():
    with _raises(TypeError, r"sgd: learning_rate: expected a number, a 0-d array or a schedule, got adam\("):
        sgd(adam(0.1))


def test_wrong_arguments_name_the_factory_and_how_it_is_called():
    usage = r"it is called as adam\(learning_rate, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0\)"
    with _raises(TypeError, f"adam: missing a required argument: 'learning_rate'; {usage}"):
        adam()
    with _raises(TypeError, f"adam has no argument 'lr'; here it is learning_rate; {usage}"):
        adam(lr=0.1)
    with _raises(TypeError, "adam has no argument 'learning_rat'; did you mean 'learning_rate'?"):
        adam(learning_rat=0.1)


def test_what_is_no_transform():
    with _raises(TypeError, "in chain: expected a transform, something with .init and .update, got 3"):
        chain(3, adam(0.1)).init(PARAMS)
    with _raises(TypeError, r"give the transforms one by one, as in chain\(\*transforms\)"):
        chain([adam(0.1), sgd(0.1)]).init(PARAMS)
    with _raises(TypeError, r"that is a factory, call it: sign\(\)"):
        chain(gx.sign).init(PARAMS)


def test_named_and_unnamed_parts():
    with _raises(TypeError, r"in chain: expected \(name, transform\) pairs for all parts or for none"):
        chain(("a", adam(0.1)), sgd(0.1)).init(PARAMS)
    with _raises(ValueError, "in chain: expected different names, got a, a"):
        chain(("a", adam(0.1)), ("a", sgd(0.1))).init(PARAMS)
    with _raises(TypeError, "in parallel: expected at least one branch"):
        gx.parallel(jnp.add).init(PARAMS)


def test_updates_of_another_structure():
    tx = chain(adam(0.1))
    state = tx.init(PARAMS)
    with _raises(
        ValueError, "in chain: the structures of the updates and the state differ: only the updates have other"
    ):
        tx.update({"other": jnp.ones(2)}, state)
    with _raises(ValueError, "only the state has dense/bias"):
        tx.update({"dense": {"kernel": jnp.ones((3, 2))}}, state)


def test_a_state_that_has_none_where_updates_have_an_array():
    tx = adam(0.1)
    with _raises(ValueError, "the structures of the updates and the state differ: only the updates have b"):
        tx.update({"a": jnp.ones(2), "b": jnp.ones(2)}, tx.init({"a": jnp.ones(2), "b": None}))


def test_a_leaf_that_is_no_array():
    with _raises(
        TypeError,
        "in adam > chain: the leaf 'activation' of the parameters is <built-in function max>, not an array",
    ):
        adam(0.1).init({"activation": max, "w": jnp.ones(2)})


def test_updates_of_another_shape():
    tx = sgd(0.1, 0.9)
    state = tx.init(PARAMS)
    wrong = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(2)}}
    message = r"in sgd > chain: the shapes of the updates and the state differ at 'dense/kernel': \(2, 3\) and \(3, 2\)"
    with _raises(ValueError, message):
        tx.update(wrong, state)
    with _raises(ValueError, r"the shapes of the updates and the parameters differ at 'dense/kernel'"):
        gx.add_decayed_weights(0.1).update(wrong, (), PARAMS)
    with _raises(ValueError, r"the shapes of the parameters and the updates differ at 'dense/kernel'"):
        gx.apply_updates(PARAMS, wrong)
    with _raises(ValueError, "the structures of the parameters and the updates differ"):
        gx.apply_updates(PARAMS, {"dense": jnp.ones(2)})


STRANGERS = {
    "kernel": (adam(0.1), sgd(0.1, 0.9)),
    "a chain of trees": (chain(gx.clip_by_global_norm(1.0), adam(0.1)), chain(adam(0.1))),
    "a named chain": (chain(("a", gx.clip_by_global_norm(1.0)), ("b", adam(0.1))), adam(0.1)),
    "scheduled": (sgd(schedules.constant(0.1)), sgd(0.1)),
    "parallel": (gx.ratio(gx.clip_by_global_norm(1.0), gx.absolute()), sgd(0.1)),
    "partition": (gx.partition({"a": sgd(0.1)}, gx.by_path({"**": "a"})), sgd(0.1)),
    "masked": (gx.masked(sgd(0.1), True), adam(0.1)),
    "inject": (gx.inject(sgd(0.1)), sgd(0.1)),
    "inject of others": (gx.inject(sgd(0.1)), gx.inject(adam(0.1))),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_the_state_of_another_transform(name):
    tx, other = STRANGERS[name]
    with _raises(ValueError, f"expected the state of {tx.factory_name} as the second|state of another transform"):
        tx.update(PARAMS, other.init(PARAMS), PARAMS)


def test_a_state_restored_into_lists():
    tx = adam(0.1)
    state = jax.tree.map(lambda x: x, tx.init(PARAMS))
    with _raises(ValueError, r"got a list; if it was restored .* jax.eval_shape\(tx.init, params\) as the target"):
        tx.update(PARAMS, list(state))
    with _raises(ValueError, r"got None; create it with state = tx.init\(params\)"):
        tx.update(PARAMS, None)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.bool_, jnp.uint8])
def test_an_integer_leaf_is_refused_with_its_path(dtype):
    params = {"table": {"ids": jnp.ones(3, dtype)}, "w": jnp.ones(2)}
    message = rf"the leaf 'table/ids' of the parameters is {jnp.dtype(dtype)}.*set_to_zero"
    for tx in (adam(0.1), gx.clip_by_global_norm(1.0), sgd(0.1)):
        with _raises(TypeError, message):
            tx.init(params)
    with _raises(TypeError, "the leaf 'table/ids' of the updates is"):
        sgd(0.1).update(params, sgd(0.1).init({"w": jnp.ones(2)}))


def test_parameters_that_are_needed():
    tx = chain(gx.clip_by_global_norm(1.0), ("decayed", adamw(0.1))[1])
    message = (
        r"in chain > adamw > chain > add_decayed_weights: expected the parameters, got None; call tx.update\(updates, "
    )
    message += r"state, params\)"
    with _raises(ValueError, message):
        tx.update(PARAMS, tx.init(PARAMS))
    masked = adamw(0.1, mask=gx.where(lambda path, p: p.ndim > 1))
    with _raises(ValueError, "in adamw > chain > add_decayed_weights: expected the parameters, got None"):
        masked.update(PARAMS, masked.init(PARAMS))


@gx.transformation
def _polyak(scale: gx.Scalar = 1.0):
    def update(updates, state, params, *, value, slope=1.0):
        return jax.tree.map(lambda g: -scale * slope * value * g, updates), state

    return gx.treewise(update)


def test_an_extra_that_is_missing():
    tx = chain(gx.clip(1.0), _polyak())
    message = (
        r"in chain > _polyak: the extra argument 'value' is missing .the loss.*; "
        r"call tx.update\(updates, state, params, value=...\)"
    )
    with _raises(TypeError, message):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, slope=2.0)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value=2.0, other=1)
    assert updates["dense"]["kernel"][0, 0] == -2


def test_an_unknown_name_in_a_config():
    config = gx.to_config(chain(adam(0.1)))
    config["arguments"]["parts"]["tuple"][0]["factory"] = "adamm"
    with _raises(ValueError, "from_config: no factory is named 'adamm' .*; did you mean adam"):
        gx.from_config(config)
    with _raises(ValueError, "from_config: adam has no argument 'lr'"):
        gx.from_config({"factory": "adam", "arguments": {"lr": 0.1}})
    with _raises(ValueError, "from_config: expected a dict with the keys 'factory' and 'arguments'"):
        gx.from_config([1])
    for name in ("os.system", "eval", "__import__", "gradtx.adam"):
        with _raises(ValueError, "no factory is named"):
            gx.from_config({"factory": name, "arguments": {}})


def test_what_a_config_cannot_hold():
    with _raises(TypeError, r"to_config: a config cannot hold <function .* as where.predicate"):
        gx.to_config(adamw(0.1, mask=gx.where(lambda path, p: True)))
    with _raises(TypeError, "expected a value of a registered factory as"):
        gx.to_config(gx.GradientTransformation(lambda p: (), lambda u, s, p: (u, s)))
    with _raises(TypeError, "to_config: expected a transform or a schedule"):
        gx.to_config(3)


def test_a_leaf_without_a_transform():
    tx = gx.partition({"a": adam(0.1), "b": sgd(0.1)}, {"dense": {"kernel": "a", "bias": "c"}})
    message = "in partition: the leaf 'dense/bias' has the label 'c', which has no transform; known labels: 'a', 'b'"
    with _raises(ValueError, message):
        tx.init(PARAMS)


def test_labels_that_do_not_fit():
    with _raises(
        ValueError,
        "in partition: labels: expected a label for each .*; got labels at other for parameters at dense/bias",
    ):
        gx.partition({"a": adam(0.1)}, {"other": "a"}).init(PARAMS)
    with _raises(ValueError, "expected a mask of booleans, got 'yes' at 'dense/bias'"):
        gx.masked(adam(0.1), {"dense": "yes"}).init(PARAMS)
    with _raises(TypeError, "mask: expected booleans or a function, got 'yes'; for a mask by names: .*by_path"):
        gx.masked(adam(0.1), "yes")
    with _raises(ValueError, r'by_path: no pattern matches \'dense/kernel\'; the patterns are .*add "\*\*" at the end'):
        gx.partition({"a": adam(0.1)}, gx.by_path({"**/bias": "a"})).init(PARAMS)
    with _raises(ValueError, r'by_path: "\*\*" matches every path, so \'b\' after it never applies'):
        gx.partition({"a": adam(0.1)}, gx.by_path({"**": "a", "b": "a"})).init(PARAMS)
    with _raises(TypeError, "by_path: expected a dict"):
        gx.partition({"a": adam(0.1)}, gx.by_path(["**"])).init(PARAMS)
    with _raises(TypeError, "in partition: expected a dict from labels to transforms"):
        gx.partition([adam(0.1)], "a").init(PARAMS)


@pytest.mark.parametrize("mask", [1, gx.by_path({"**": "yes"}), gx.where(lambda path, p: 1), {"dense": np.ones(2)}])
def test_a_mask_that_is_not_of_booleans(mask):
    for tx in (adamw(0.1, mask=mask), gx.masked(adam(0.1), mask)):
        with _raises(ValueError, "expected a mask of booleans|labels do not fit"):
            tx.update(PARAMS, tx.init(PARAMS), PARAMS)


def test_labels_that_compute_arrays():
    with _raises(ValueError, "expected Python values as labels, got traced arrays from"):
        gx.masked(adam(0.1), lambda params: jax.tree.map(lambda p: p > 0, params)).init(PARAMS)


def test_an_argument_that_is_traced_without_being_a_number():
    @gx.transformation
    def unannotated(rate: float):
        return sgd(rate)

    with _raises(
        TypeError,
        "unannotated: rate: expected a Python value, .* got a traced array; .* annotate a number gradtx.Scalar",
    ):
        jax.vmap(unannotated)(jnp.ones(3))


def test_a_body_that_branches_on_a_number():
    @gx.transformation
    def branching(rate: gx.Scalar):
        return sgd(rate) if rate > 0 else adam(rate)

    with _raises(TypeError, "in branching: the body of branching branches on a hyperparameter, which may be traced"):
        jax.jit(lambda tx: tx.init(PARAMS))(branching(0.1))


def test_functions_that_change_shapes():
    with _raises(ValueError, r"init must keep the shape \(2,\), got \(\)"):
        gx.memory(lambda p: 0.0, lambda g, m, p: m, lambda g, m, p: m).init(jnp.ones(2))
    tx = gx.memory(jnp.zeros_like, lambda g, m, p: m.sum(), lambda g, m, p: m)
    with _raises(ValueError, r"step must keep the shape \(2,\), got \(\)"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with _raises(ValueError, r"must keep its shape \(2,\), .* and gave \(\)"):
        gx.elementwise(jnp.sum).update(jnp.ones(2), ())
    with _raises(ValueError, "the structures of the updates that came in and the updates that go out differ"):
        gx.treewise(lambda updates, state, params: ({}, state)).update(PARAMS, ())


def test_labels_that_read_values():
    with _raises(ValueError, "labels and masks can depend on .* reads their values"):
        gx.masked(adam(0.1), lambda params: jax.tree.map(lambda p: bool(p.sum() > 0), params)).init(PARAMS)


def test_numbers_of_a_state_that_cannot_be_set():
    tx = gx.inject(adamw(schedules.linear(0.1, 0.0, 10)))
    state = tx.init(PARAMS)
    with _raises(ValueError, "'learning_rate' follows a schedule.*with a number in place of the schedule"):
        gx.set_hyperparams(state, learning_rate=0.1)
    with _raises(ValueError, "the state has no hyperparameter 'lr'; known names:"):
        gx.set_hyperparams(state, lr=0.1)
    with _raises(TypeError, "set_hyperparams: b1: expected a number, got .*; schedules are given to the factory"):
        gx.set_hyperparams(state, b1=schedules.constant(1.0))
    for wrong in (None, "x", [1.0, 2.0]):
        with _raises(ValueError, r"set_hyperparams: b1: expected a number of shape \(\), got"):
            gx.set_hyperparams(state, b1=wrong)
    with _raises(ValueError, r"the state has no hyperparameters; wrap the transform: inject\(tx\)"):
        gx.set_hyperparams(adam(0.1).init(PARAMS), learning_rate=0.1)
    two = gx.partition({"a": gx.inject(sgd(0.1)), "b": gx.inject(sgd(0.2))}, {"dense": {"kernel": "a", "bias": "b"}})
    with _raises(ValueError, "several have that name: a/learning_rate, b/learning_rate"):
        gx.set_hyperparams(two.init(PARAMS), learning_rate=1.0)


def test_an_annotation_that_cannot_be_read():
    def body(rate: "Nowhere"):  # noqa: F821
        return gx.scale(rate)

    with _raises(TypeError, "body: the annotations cannot be read"):
        gx.transformation(body)


def test_train_steps_that_cannot_be_made():
    with _raises(ValueError, "make_train_step: accumulate: expected a positive whole number, got 0"):
        gx.make_train_step(lambda p: 0.0, adam(0.1), accumulate=0)
    step = gx.make_train_step(lambda p, x: jnp.sum(p * x), sgd(0.1), accumulate=3)
    with _raises(ValueError, "a batch of 4 cannot be split into 3 equal parts"):
        step(jnp.ones(()), sgd(0.1).init(jnp.ones(())), jnp.ones(4))
