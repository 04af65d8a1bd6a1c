"""Laws of values: a transform is what its factory and its arguments are."""

import copy
import json
import pickle

import jax
import jax.numpy as jnp

import gradtx
from gradtx import schedules
from gradtx._config import from_config, to_config
from gradtx.testing.case import Case
from gradtx.testing.trials import close, jitted, numbers_of, params_of, require, run, same_form, updates_of


def text_evaluates_back(case: Case) -> None:
    """`eval(repr(tx)) == tx`, with the public names of gradtx at hand."""
    names = {"jnp": jnp, "jax": jax, **vars(gradtx), case.transform.name: case.transform._spec.factory}
    text = repr(case.transform)
    require(eval(text, names) == case.transform, f"{text} evaluates to something else")


def equal_by_content(case: Case) -> None:
    """Made again it is equal with an equal hash; copied, pickled, or taken apart as a pytree, it is equal too."""
    tx = case.transform
    again = tx.replace()
    leaves, treedef = jax.tree.flatten(tx)
    others = [again, copy.copy(tx), copy.deepcopy(tx), pickle.loads(pickle.dumps(tx)), treedef.unflatten(leaves)]
    for other in others:
        require(other == tx and hash(other) == hash(tx), f"{other!r} is not equal to {tx!r}")
    require(jax.tree.structure(again) == treedef, "made again it has another tree structure")


def config_round_trip(case: Case) -> None:
    """It can be written down as JSON, and read back."""
    text = json.dumps(to_config(case.transform))
    require(from_config(json.loads(text)) == case.transform, f"{text} reads as something else")


def traced_numbers_are_the_same(case: Case) -> None:
    """Traced numbers give what Python numbers give, to rounding."""
    params, updates = params_of(), updates_of(case)
    traced = jax.jit(lambda tx: run(case, params, updates, tx))(numbers_of(case.transform))
    close(traced, jitted(case, params, updates), "traced numbers", rtol=5e-4, atol=1e-5)


def numbers_may_follow_schedules(case: Case) -> None:
    """Every number may be a schedule: a constant one gives what the number gives, a changing one goes through jit."""
    tx, params, updates = case.transform, params_of(), updates_of(case)
    wanted = jitted(case, params, updates)[0]
    for name in tx._spec.numbers:
        number = tx.arguments[name]
        if not isinstance(number, (int, float)):
            continue
        constant = tx.replace(**{name: schedules.constant(number)})
        close(run(case, params, updates, constant)[0], wanted, f"{name} constant", rtol=5e-4, atol=1e-5)
        changing = tx.replace(**{name: schedules.linear(number, 0.5 * number, 2)})
        state = jax.jit(lambda p, u, changing=changing: run(case, p, u, changing))(params, updates)[1]
        same_form(state, changing.init(params), f"the state with {name} on a schedule")


LAWS = [
    text_evaluates_back,
    equal_by_content,
    config_round_trip,
    traced_numbers_are_the_same,
    numbers_may_follow_schedules,
]
