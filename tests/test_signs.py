"""A step has to descend: what has the sign of the gradient, of a step, or of both is known through all parts."""

import jax.numpy as jnp
import pytest
from cases import CASES

import gradtx as gx

MASK = {"w": True, "b": False}
REST = {"w": False, "b": True}
RATES = {"x": gx.scale_by_learning_rate(0.1), "y": gx.scale_by_learning_rate(0.2)}


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tx: gx.accumulate_gradients(tx, 2),
        gx.skip_nonfinite,
        gx.inject,
        lambda tx: gx.store(tx, gx.codecs.bfloat16),
        lambda tx: gx.masked(tx, MASK),
        lambda tx: gx.conditional(tx, lambda count: count < 3),
        lambda tx: gx.partition({"x": tx, "y": tx}, gx.where(lambda path, p: "x")),
        lambda tx: gx.let("g", gx.identity(), tx),
        lambda tx: gx.chain(gx.clip(1.0), tx),
    ],
)
@pytest.mark.parametrize("second", [gx.add_decayed_weights(0.1), gx.scale_by_learning_rate(0.1), gx.sgd(0.1)])
def test_a_wrapper_has_the_sign_of_what_is_in_it(wrapped, second):
    with pytest.raises(gx.GradtxValueError, match="together they ascend"):
        gx.chain(wrapped(gx.adam(0.1, b1=0.9)), second)
    with pytest.raises(gx.GradtxValueError, match="together they ascend"):
        gx.chain(gx.adam(0.1), wrapped(second))


@pytest.mark.parametrize("second", [gx.partition(RATES, gx.where(lambda path, p: "x")), gx.momo(1.0), gx.lbfgs()])
def test_a_second_descent_is_found_wherever_it_is(second):
    with pytest.raises(gx.GradtxValueError, match=r"ascend|needs the gradient itself"):
        gx.chain(gx.adam(0.1), second)
    with pytest.raises(gx.GradtxValueError, match="ascend"):
        gx.chain(second, gx.scale_by_learning_rate(0.1))


@pytest.mark.parametrize(
    "tx",
    [
        gx.chain(gx.masked(gx.adam(0.1), MASK), gx.masked(gx.sgd(0.1), REST)),
        gx.chain(gx.masked(gx.adam(0.1), MASK), gx.masked(gx.scale(-0.1), REST)),
        gx.chain(gx.masked(gx.adam(0.1), MASK), gx.freeze(REST)),
        gx.masked(gx.adam(0.1), MASK, gx.set_to_zero()),
        gx.conditional(gx.adam(0.1), lambda count: count < 3, gx.sgd(0.1)),
        gx.partition({"x": gx.adam(0.1), "y": gx.set_to_zero()}, {"w": "x", "b": "y"}),
        gx.chain(gx.scale(-1.0), gx.adam(0.1)),
        gx.chain(gx.adam(0.1), gx.project_box(0.0, 1.0), gx.project_nonnegative(), gx.freeze(REST)),
    ],
)
def test_each_gradient_is_turned_once(tx):
    gx.make_train_step(lambda params: 0.0, tx)


@pytest.mark.parametrize(
    ("tx", "name"),
    [
        (gx.masked(gx.adam(0.1), MASK), "masked"),
        (gx.chain(gx.clip_by_global_norm(1.0), gx.masked(gx.adam(0.1), MASK)), "masked"),
        (gx.accumulate_gradients(gx.conditional(gx.adam(0.1), lambda count: count < 3), 2), "conditional"),
        (gx.partition({"x": gx.adam(0.1), "y": gx.identity()}, {"w": "x", "b": "y"}), "partition"),
        (gx.switch(lambda count: count % 2, gx.adam(0.1), gx.identity()), "switch"),
    ],
)
@pytest.mark.parametrize("train", [gx.make_train_step, lambda loss, tx: gx.minimize(loss, tx, jnp.ones(2))])
def test_gradients_that_would_be_added_as_they_are(train, tx, name):
    with pytest.raises(gx.GradtxValueError, match=f"{name} makes steps of descent for some .* set_to_zero"):
        train(lambda params: 0.0, tx)


@pytest.mark.parametrize("second", [gx.sgd(0.1), gx.scale_by_learning_rate(0.1), gx.add_decayed_weights(0.1)])
@pytest.mark.parametrize("projection", [gx.project_nonnegative(), gx.project_l2_ball(1.0), gx.project_sphere()])
def test_nothing_changes_the_step_of_a_projection(projection, second):
    with pytest.raises(gx.GradtxValueError, match="where the parameters have to be"):
        gx.chain(projection, second)


def test_examples_are_clipped_by_themselves_alone():
    with pytest.raises(gx.GradtxValueError, match="put it first"):
        gx.chain(gx.clip_by_global_norm(1.0), gx.dpsgd(0.1, 1.0, 1.0))


@pytest.mark.parametrize(
    "tx",
    [
        gx.scale_by_adam(),
        gx.chain(gx.scale_by_adam(), gx.scale(0.1)),
        gx.chain(gx.clip_by_global_norm(1.0), gx.add_decayed_weights(0.1)),
        gx.identity(),
        gx.inject(gx.accumulate_gradients(gx.scale_by_rms(), 2)),
        gx.masked(gx.scale_by_adam(), MASK),
    ],
    ids=lambda tx: tx.factory_name,
)
def test_an_optimizer_without_its_last_part(tx):
    for train in (gx.make_train_step, lambda loss, tx: gx.minimize(loss, tx, jnp.ones(2))):
        for whole in (tx, gx.lookahead(tx, 5, 0.5), gx.average_params(tx), gx.cautious(tx)):
            with pytest.raises(gx.GradtxValueError, match=r"keeps the sign .* put scale_by_learning_rate.* last"):
                train(lambda params: 0.0, whole)


@pytest.mark.parametrize(
    "tx",
    [
        gx.chain(gx.scale_by_adam(), gx.scale(-0.1)),
        gx.chain(gx.scale_by_adam(), gx.scale(gx.schedules.constant(-0.1))),
        gx.chain(gx.clip(1.0), gx.elementwise(lambda g: -g)),
        gx.chain(gx.clip(1.0), gx.GradientTransformation(lambda p: (), lambda u, s, p: (u, s))),
        gx.set_to_zero(),
        gx.chain(gx.sgd(0.1), gx.average_params(gx.identity())),
    ],
)
def test_a_sign_that_nobody_knows_is_the_users(tx):
    gx.make_train_step(lambda params: 0.0, tx)


def is_optimizer(tx):
    return tx._spec.body.__module__.startswith("gradtx._optimizers.") and not tx.factory_name.startswith("scale_by_")


@pytest.mark.parametrize("case", [case for case in CASES if is_optimizer(case.transform)], ids=lambda case: case.name)
def test_every_optimizer_descends(case):
    gx.make_train_step(lambda params: 0.0, case.transform)
