"""A step has to descend: what has the sign of the gradient, of a step, or of both is known through all parts."""

import jax
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


@pytest.mark.parametrize("turned", [gx.scale(-1e-3), gx.chain(gx.clip(1.0), gx.scale(-1.0)), gx.inject(gx.scale(-1.0))])
@pytest.mark.parametrize("first", [gx.adam(1.0), gx.skip_nonfinite(gx.sgd(0.1)), gx.scale_by_learning_rate(0.1)])
def test_a_factor_with_a_minus_too_many(first, turned):
    with pytest.raises(gx.GradtxValueError, match="or leave out the minus of a factor"):
        gx.chain(first, turned)
    gx.chain(first, gx.scale(1e-3))
    gx.chain(gx.scale(-1.0), first)


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


PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
INTEGERS = PARAMS | {"b": jnp.arange(2)}
LABELS = {"w": "x", "b": "y"}


def bowl(params):
    return sum(jnp.sum(p**2) for p in params.values() if jnp.issubdtype(p.dtype, jnp.floating))


def trained(tx, params):
    """What a step makes of the parameters."""
    return gx.make_train_step(bowl, tx, donate=False)(params, tx.init(params))[0]


@pytest.mark.parametrize(
    ("tx", "paths"),
    [
        (gx.masked(gx.adam(0.1), MASK), "b"),
        (gx.masked(gx.adam(0.1), gx.where(lambda path, p: p.ndim > 1)), "b"),
        (gx.masked(gx.adam(0.1), MASK, gx.scale_by_adam()), "b"),
        (gx.chain(gx.clip_by_global_norm(1.0), gx.masked(gx.adam(0.1), MASK)), "b"),
        (gx.accumulate_gradients(gx.conditional(gx.adam(0.1), lambda count: count < 3), 2), "b, w"),
        (gx.partition({"x": gx.adam(0.1), "y": gx.identity()}, LABELS), "b"),
        (gx.partition({"x": gx.adam(0.1), "y": gx.scale_by_adam()}, LABELS), "b"),
        (gx.switch(lambda count: count % 2, gx.adam(0.1), gx.clip(1.0)), "b, w"),
    ],
)
def test_gradients_that_would_be_added_as_they_are(tx, paths):
    with pytest.raises(gx.GradtxValueError, match=f"no steps of descent for {paths}, .* set_to_zero"):
        trained(tx, PARAMS)
    with pytest.raises(gx.GradtxValueError, match=f"no steps of descent for {paths}, .* set_to_zero"):
        gx.minimize(bowl, tx, PARAMS)


ADAM, SGD, PAIR = gx.adam(0.01), gx.sgd(0.01), tuple(gx.sgd(0.01))


@pytest.mark.parametrize(
    "tx",
    [
        gx.masked(gx.adam(0.01), True),
        gx.masked(gx.masked(ADAM, MASK), MASK, SGD),
        gx.partition({"x": ADAM, "y": gx.identity()}, {"w": "x", "b": "x"}, allow_unused=True),
        gx.add(SGD, gx.sgd(0.02)),
        gx.mean(ADAM, gx.lion(0.01)),
        gx.interpolate(ADAM, SGD, 0.5),
        gx.graft(SGD, ADAM),
        gx.ratio(SGD, gx.square()),
        gx.let("s", ADAM, gx.chain(gx.use("s"), gx.scale(0.5))),
        gx.chain(gx.clip(1.0), PAIR),
        gx.accumulate_gradients(PAIR, 1),
        gx.masked(PAIR, MASK, SGD),
        gx.chain(gx.masked(gx.muon_hyperball(0.01), MASK), gx.masked(ADAM, REST)),
        gx.chain(gx.masked(gx.chain(ADAM, gx.project_box(0.0, 2.0)), MASK), gx.masked(SGD, REST)),
        gx.chain(gx.freeze(MASK), gx.masked(ADAM, REST)),
        gx.chain(gx.freeze(MASK), gx.clip_by_global_norm(1.0), gx.masked(ADAM, REST)),
        gx.chain(gx.masked(SGD, MASK), gx.record("norm", gx.tree.norm), gx.masked(ADAM, REST)),
        gx.chain(*(gx.masked(SGD, {"w": at == 0, "b": at == 1}) for at in range(3))),
        gx.chain(*(gx.conditional(SGD, lambda c, at=at: c // 9 == at) for at in range(3))),
        gx.chain(gx.identity(), gx.record("norm", gx.tree.norm), gx.lbfgs()),
        gx.chain(gx.scale(-1.0), gx.scale(-1.0), ADAM),
    ],
    ids=str,
)  # fmt: skip
def test_what_descends_is_let_through(tx):
    for name, p in trained(tx, PARAMS).items():
        assert jnp.all(p <= PARAMS[name])


def test_integers_have_no_gradients_that_could_be_raw():
    floats = gx.where(lambda path, p: jnp.issubdtype(p.dtype, jnp.floating))
    assert jnp.all(trained(gx.masked(ADAM, floats), INTEGERS)["w"] < 1)


def test_a_wrapper_of_ones_own_may_turn_the_sign():
    @gx.transformation(role="wrapper")
    def negated(inner):
        def update(step, updates, state, params):
            out, state = step.update(inner, updates, state, params)
            return jax.tree.map(jnp.negative, out), state

        return gx.combinator(lambda step, params: step.init(inner, params), update)

    gx.make_train_step(bowl, gx.chain(negated(SGD), gx.scale_by_learning_rate(0.1)))


def test_parts_without_a_name_in_messages():
    pair = gx.GradientTransformation(lambda params: (), lambda updates, state, params: (updates, state))
    with pytest.raises(gx.GradtxValueError, match="a bare pair comes after average_params"):
        gx.chain(gx.average_params(SGD), pair)
    with pytest.raises(gx.GradtxValueError, match="the output of a bare pair"):
        gx.chain(pair, gx.lbfgs())
    gx.chain(pair, gx.dpsgd(0.1, 1.0, 1.0))


@pytest.mark.parametrize("first", [gx.zero_nans(), gx.scale(0.5), gx.identity(), gx.record("norm", gx.tree.norm)])
def test_single_examples_may_be_worked_on_before_they_are_clipped(first):
    gx.chain(first, gx.dpsgd(0.1, 1.0, 1.0))


@pytest.mark.parametrize("search", [gx.line_search, gx.backtracking])
@pytest.mark.parametrize("direction", [gx.scale_by_adam(), gx.chain(gx.clip(1.0), gx.scale(2.0)), gx.identity()])
def test_a_direction_that_ascends_is_none_of_a_line_search(search, direction):
    with pytest.raises(gx.GradtxValueError, match=r"in \w+: the direction .* ascends; put scale\(-1.0\) last"):
        search(direction)
    search(gx.chain(direction, gx.scale(-1.0)))
    search(gx.chain(direction, gx.elementwise(jnp.negative)))


MEAN = gx.accumulate_gradients(gx.identity(), 4)


@pytest.mark.parametrize("then", [gx.adam(0.1), gx.sgd(0.1, 0.9), gx.scale_by_ema(0.9), gx.inject(gx.adam(0.1))])
@pytest.mark.parametrize("first", [MEAN, gx.chain(gx.clip(1.0), MEAN), gx.masked(MEAN, {"w": True})])
def test_zeros_between_windows_are_not_taken_for_gradients(first, then):
    with pytest.raises(gx.GradtxValueError, match=r"would take the zeros .* put it inside: \w+\(chain"):
        gx.chain(first, then)
    gx.chain(first, gx.sgd(gx.schedules.linear(0.1, 0.2, 10)))  # keeps no array
    gx.schedule_free(first, 0.1)  # averages parameters
    gx.chain(gx.record("norm", gx.tree.norm), gx.accumulate_gradients(gx.chain(gx.clip(1.0), then), 4))


def test_a_tree_of_combinators_with_an_array_is_built_once():
    calls = []

    @gx.transformation
    def counted(rate: gx.Scalar):
        calls.append(rate)
        return gx.scale(rate)

    tx = gx.chain(counted(jnp.float32(1.0)))
    for _ in range(8):
        tx = gx.chain(gx.accumulate_gradients(gx.clip(1.0), 2), tx)
    calls.clear()
    tx._built()
    assert len(calls) == 1


@pytest.mark.parametrize("second", [gx.sgd(0.1), gx.scale_by_learning_rate(0.1), gx.add_decayed_weights(0.1)])
@pytest.mark.parametrize("projection", [gx.project_nonnegative(), gx.project_l2_ball(1.0), gx.project_sphere()])
def test_nothing_changes_the_step_of_a_projection(projection, second):
    with pytest.raises(gx.GradtxValueError, match="where the parameters have to be"):
        gx.chain(projection, second)


def test_examples_are_clipped_by_themselves_alone():
    with pytest.raises(gx.GradtxValueError, match="mixes them; put it first"):
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
        gx.masked(gx.clip(1.0), MASK, gx.scale_by_adam()),
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
        gx.interpolate(gx.scale(0.1), gx.scale(0.3), 2.0),
        gx.chain(gx.scale(1e-9), gx.add_constant(-0.1)),
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
