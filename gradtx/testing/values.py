"""Laws of values: a transform is determined by its factory and its arguments."""

import copy
import itertools
import json
import pickle
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from gradtx import schedules
from gradtx._core.parts import is_transform, parts, share, transforms_in
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.state_dict import load_state_dict, state_dict
from gradtx._inspection.walking import misplaced, unfolded, unscheduled
from gradtx._values.config import from_config, to_config
from gradtx._values.value import Value, is_value
from gradtx.testing.case import Case
from gradtx.testing.trials import close, finite, identical, numbers_of, params_of, require, run, same_form, updates_of


def text_evaluates_back(case: Case) -> None:
    """`eval(repr(tx)) == tx`: the printed text is code that makes an equal transform.

    The public names of gradtx are in scope, and all factories of the transform.
    """
    names = {"jnp": jnp, "jax": jax, **vars(gradtx), **_factories(case.transform)}
    text = repr(case.transform)
    require(eval(text, names) == case.transform, f"expected {text} to evaluate to an equal transform")


def _factories(value: Value) -> dict[str, Any]:
    """The factories of a value and of the values inside, by name."""
    inside = [x for x in jax.tree.leaves(value._arguments, is_leaf=is_value) if is_value(x)]
    return {value._spec.name: value._spec.factory} | {k: v for x in inside for k, v in _factories(x).items()}


def equal_by_content(case: Case) -> None:
    """A transform and its copies are equal and have equal hashes: rebuilt, copied, pickled, unflattened."""
    tx = case.transform
    again = tx.replace()
    leaves, treedef = jax.tree.flatten(tx)
    others = [again, copy.copy(tx), copy.deepcopy(tx), treedef.unflatten(leaves)]
    # pickle stores functions by name, and finds neither local functions nor lambdas.
    if "<locals>" not in getattr(tx._spec.factory, "__qualname__", "") and "<function" not in repr(tx):
        others.append(pickle.loads(pickle.dumps(tx)))
    for other in others:
        require(other == tx and hash(other) == hash(tx), f"{other!r} is not equal to {tx!r}")
    require(jax.tree.structure(again) == treedef, "expected a rebuilt transform to have the same tree structure")


def config_round_trip(case: Case) -> None:
    """`from_config(to_config(tx)) == tx`, with the config written to JSON and read again in between."""
    text = json.dumps(to_config(case.transform))
    require(from_config(json.loads(text)) == case.transform, f"expected an equal transform from the config {text}")


def numbers_are_declared(case: Case) -> None:
    """Arguments that are floats or arrays are annotated as numbers, so that they are pytree leaves."""
    for name, argument in case.transform.arguments.items():
        undeclared = isinstance(argument, (float, jax.Array)) and name not in case.transform._spec.numbers
        require(not undeclared, f"expected an annotation such as gradtx.Scalar for the argument {name}={argument!r}")


def traced_numbers_are_the_same(case: Case) -> None:
    """Traced hyperparameters give the same results as Python numbers, up to rounding."""
    params, updates = params_of(case, alike=True), updates_of(case, 2, alike=True)

    @jax.jit
    def step(tx: Any, updates: Any, state: Any) -> Any:
        return tx.update(updates, state, params, **case.extras(params))

    tx, state, out = numbers_of(case.transform), case.transform.init(params), []
    for one in updates:
        one, state = step(tx, one, state)
        out.append(one)
    close(
        (out, state),
        run(case, params, updates, move=False),
        "traced hyperparameters",
        rtol=1e-4,
        magnified=case.magnified,
    )


def numbers_may_follow_schedules(case: Case) -> None:
    """Every hyperparameter may be a schedule, read at step 0 first; a constant schedule changes nothing."""
    params, updates = params_of(case, alike=True), updates_of(case, alike=True)
    plain = _plain_numbers(case.transform)
    wanted = run(case, params, updates)[0]
    constant = case.transform.replace(**{name: schedules.constant(number) for name, number in plain.items()})
    close(run(case, params, updates, constant)[0], wanted, "constant schedules", rtol=1e-4, magnified=case.magnified)
    lines = {name: schedules.linear(number, 0.5 * number, 2) for name, number in plain.items()}
    changing = case.transform.replace(**lines)
    out, state = run(case, params, updates, changing)
    close(out[0], wanted[0], "the first step of schedules", rtol=1e-4, magnified=case.magnified)
    finite("updates with schedules", *out)
    traced = jax.eval_shape(lambda state: changing.update(updates[0], state, params, **case.extras(params))[1], state)
    for one in (state, traced):
        same_form(one, changing.init(params), f"the state with {', '.join(plain)} on schedules")


def _plain_numbers(tx: Any) -> dict[str, float]:
    numbers = {name: tx.arguments[name] for name in tx._spec.numbers}
    return {name: number for name, number in numbers.items() if isinstance(number, (int, float))}


def states_have_names(case: Case) -> None:
    """Every array of a state has a name in `state_dict`, below that of its part, and is restored by it."""
    tx, params = case.transform, params_of(case)
    holds = ", ".join(f"`{part.label}`" for part in transforms_in(tx))
    require(
        not holds or tx._spec.role is not None or unfolded(tx) is not None,
        f"{tx.factory_name} takes the transforms {holds} and has no role, so that names do not lead into their states; "
        f"decorate it by @transformation(role='wrapper'), and put the state of each under a key called as the argument",
    )
    state = tx.init(params)
    identical(load_state_dict(tx, params, state_dict(tx, state)), state, "restored by the names")
    own = unscheduled(jax.eval_shape(_with_marks(tx).init, params))
    for index, part in enumerate(parts(tx)):
        try:
            found = share(part, index, own).index
        except (KeyError, IndexError, TypeError, AttributeError):
            found = None
        require(found == index, misplaced(tx, part, state).complaint)


def _with_marks(tx: Any) -> Any:
    """The transform, with marks around the states of its parts."""
    count = itertools.count()

    def marked(x: Any) -> Any:
        if not is_transform(x):
            return x
        work, index = as_transformation(x)._built().work, next(count)
        init = lambda step, params: _Marked(index, work.init(step, params))
        return GradientTransformation._of(replace(work, init=init, leaf=None))

    arguments = {name: jax.tree.map(marked, x, is_leaf=is_transform) for name, x in tx._arguments.items()}
    return GradientTransformation._make(tx._spec, arguments) if parts(tx) else tx


@jax.tree_util.register_pytree_node_class
class _Marked:
    """The state of the part of this index."""

    def __init__(self, index: int, state: Any):
        self.index, self.state = index, state

    def tree_flatten(self) -> tuple:
        return (self.state,), self.index

    @classmethod
    def tree_unflatten(cls, index: int, children: tuple) -> "_Marked":
        return cls(index, *children)


LAWS = [
    text_evaluates_back,
    equal_by_content,
    config_round_trip,
    numbers_are_declared,
    traced_numbers_are_the_same,
    numbers_may_follow_schedules,
    states_have_names,
]
