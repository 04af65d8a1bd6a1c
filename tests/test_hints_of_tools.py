"""What newcomers tried with saved states, checks and results, and what they are told."""

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx
from gradtx.testing import Case, check

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
SAVED = gx.state_dict(gx.adamw(0.1), gx.adamw(0.1).init(PARAMS))
SCHEDULED = gx.adamw(gx.schedules.linear(0.1, 0.0, 100))


@pytest.mark.parametrize(("tx", "d"), [(SCHEDULED, SAVED), (gx.sgd(gx.schedules.linear(0.1, 0.0, 100)), {})])
def test_a_schedule_in_place_of_a_number(tx, d):
    name = f"{tx.factory_name}/count"
    with pytest.raises(gx.GradtxValueError, match=rf"to start it at step n: {{\*\*d, '{name}': n}}") as error:
        gx.load_state_dict(tx, PARAMS, d)
    assert "strict=False" in str(error.value)
    assert "another optimizer" not in str(error.value)
    with pytest.warns(UserWarning, match="learning_rate"):
        state = gx.load_state_dict(tx, PARAMS, {**d, name: 50}, strict=False)
    updates = [tx.update(PARAMS, s, PARAMS)[0]["dense"]["bias"][0] for s in (state, tx.init(PARAMS))]
    assert updates[0] / updates[1] == pytest.approx(0.5, rel=1e-3)


def test_an_optimizer_that_was_wrapped():
    tx = gx.inject(gx.adamw(0.1))
    with pytest.raises(gx.GradtxValueError, match=r"rename={'': 'inject/inner'}, strict=False\)"):
        gx.load_state_dict(tx, PARAMS, SAVED)
    with pytest.warns(UserWarning, match="inject/numbers/b1") as warned:
        state = gx.load_state_dict(tx, PARAMS, SAVED, rename={"": "inject/inner"}, strict=False)
    assert warned[0].filename == __file__
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(PARAMS))


def test_one_law_by_its_name_and_a_bare_pair():
    pair = (lambda params: (), lambda updates, state, params=None: (updates, state))
    assert check(pair, laws="inputs_stay", progress=False).kept == ("inputs_stay",)
    with pytest.raises(gx.GradtxValueError, match="there is no law 'scan'; the laws are "):
        check(gx.sgd(0.1), laws="scan", progress=False)


MISTAKES = {
    "a loss and a transform the other way round": (
        lambda: gx.make_train_step(gx.adam(0.1), lambda params: 0.0),
        r"swapped; call make_train_step\(loss_fn, tx\)",
    ),
    "a function of updates": (lambda: check(lambda g: -g), r"check\(gradtx.elementwise\(function\)\)"),
    "a law that is nearly one": (lambda: check(gx.sgd, laws="jit_is_eager"), "did you mean 'jit_equals_eager'"),
    "an argument of Optax's schedule": (
        lambda: gx.schedules.cosine_decay(0.1, decay_steps=100),
        "'decay_steps'; here it is steps",
    ),
    "a scheduler that is stepped": (lambda: gx.schedules.constant(0.1).step(), r"adam\(schedule\), or call schedule"),
    "the norm of integers": (lambda: gx.tree.norm({"a": jnp.arange(3)}), r"leaf 'a' of the tree is int32.*; cast it"),
    "a wrapper's arguments the other way round": (
        lambda: gx.skip_nonfinite(5, gx.adam(0.1)),
        r"are the arguments in order\? it is called as skip_nonfinite\(inner",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_names_the_remedy(name):
    mistake, message = MISTAKES[name]
    with pytest.raises((gx.GradtxError, AttributeError), match=message):
        mistake()


def test_a_case_of_an_unknown_problem():
    with pytest.raises(gx.GradtxValueError, match="no problem 'nope'; there are quadratic, ravine, rosenbrock"):
        Case(gx.sgd(0.1), solves={"nope": (0.1, 100)})


def test_a_check_without_the_extra_arguments():
    with pytest.raises(gx.GradtxTypeError, match=r"extra argument 'value'; .* extras=lambda params: {'value': ...}"):
        check(gx.polyak_sgd(), laws="jit_equals_eager", progress=False)


def test_a_minimum_prints_without_its_state():
    found = gx.minimize(lambda x: jnp.sum((x - 1) ** 2), gx.lbfgs(), jnp.zeros(3))
    assert "Minimum(params=float32[3], value=" in repr(found)
    assert repr(found).endswith("converged=True, reason=GRADIENT)")
    batch = jax.vmap(lambda x: gx.minimize(lambda y: jnp.sum(y["w"] ** 2), gx.lbfgs(), {"w": x}))(jnp.ones((4, 3)))
    assert repr(batch).startswith("Minimum(params={'w': float32[4, 3]}, value=float32[4], steps=int32[4]")
    assert "reason=int32[]" in repr(jax.eval_shape(lambda: found))


@pytest.mark.parametrize("params", [PARAMS, {"0": jnp.ones(2), "1": jnp.ones(3)}])
def test_a_mask_that_selects_nothing(params):
    tx = gx.adamw(0.1, mask=gx.where(lambda path, p: "weight" in path))
    with pytest.warns(UserWarning, match=f"where: no leaf is selected; paths: {gx.tree.paths(params)[0]}"):
        tx.init(params)


def test_masks_that_select_nothing_of_a_part_or_of_one_leaf():
    mask = gx.where(lambda path, p: p.ndim > 1)
    groups = {"a": gx.adamw(0.1, mask=mask), "b": gx.sgd(0.1)}
    gx.partition(groups, gx.by_path({"**/bias": "a", "**": "b"})).init(PARAMS)
    gx.adamw(0.1, mask=mask).init(jnp.ones(3))
    gx.adamw(0.1, mask=gx.where(lambda path, p: path.endswith("bias"))).init(PARAMS)
