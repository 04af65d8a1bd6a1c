"""Calls that do not fit a public function: the error names the function, what is wrong, and how it is called."""

import importlib
import inspect
import pickle
import pkgutil
import re
import types

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx

PARAMS = {"w": jnp.ones(2)}
TX = gx.adam(0.1)
STATE = TX.init(PARAMS)


def _modules():
    """The public modules, but for the names of Optax, which are called as Optax's are."""
    yield gx
    for info in pkgutil.walk_packages(gx.__path__, "gradtx."):
        if not re.search(r"\._|^gradtx\.optax", info.name):
            yield importlib.import_module(info.name)


FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in _modules()
    for name in getattr(module, "__all__", ())
    if not hasattr(function := getattr(module, name), "spec")  # factories check their calls themselves
    and (inspect.isroutine(function) or hasattr(function, "cache_info"))
}
METHODS = {"tx.init": TX.init, "tx.update": TX.update, "step": gx.make_train_step(lambda params: 0.0, TX)}
CALLED = {**FUNCTIONS, **METHODS}


def _kinds(function):
    return [(p.kind, p.default is p.empty) for p in inspect.signature(function).parameters.values()]


def _refused(function, *args, **kwargs):
    with pytest.raises(gx.GradtxTypeError) as error:
        function(*args, **kwargs)
    return str(error.value)


@pytest.mark.parametrize("address", CALLED)
def test_an_argument_that_is_unknown_or_missing(address):
    function, kinds = CALLED[address], _kinds(CALLED[address])
    messages = []
    if not any(kind is inspect.Parameter.VAR_KEYWORD for kind, _ in kinds):
        messages.append(_refused(function, nonsense=1))
        assert "has no argument 'nonsense'" in messages[-1]
    if any(required and "VAR" not in kind.name for kind, required in kinds):
        messages.append(_refused(function))
        assert re.search("the arguments? '.* (is|are) missing", messages[-1])
    for message in messages:
        name = re.match(r"[\w.]+", message)[0]
        assert name.split(".")[-1] == address.split(".")[-1]
        assert f"; it is called as {name}(" in message
        assert " at 0x" not in message


@pytest.mark.parametrize("address", FUNCTIONS)
def test_functions_stay_what_they_are(address):
    function = FUNCTIONS[address]
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__doc__
    assert {kind.name for kind, _ in _kinds(function)} != {"VAR_POSITIONAL", "VAR_KEYWORD"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TX.update(PARAMS, STATE, PARAMS, 1.0), r"by name: tx.update\(updates, state, params, value=...\)"),
        (lambda: TX.update(grads=PARAMS, opt_state=STATE), "grads is updates here; opt_state is state here"),
        (
            lambda: TX.update(PARAMS),
            r"'state' is missing; it is called as tx.update\(updates, state, params",
        ),
        (lambda: gx.GradientTransformation.update(TX), "the arguments 'updates' and 'state' are missing"),
        (lambda: gx.load_state_dict(TX, {}), r"are the parameters missing\? load_state_dict\(tx, params, d\)"),
        (lambda: gx.minimize(sum, TX, PARAMS, args=(1.0,)), "give them after the parameters"),
        (lambda: gx.minimize(sum, TX, PARAMS, maxiter=3), "here it is max_steps"),
        (lambda: gx.make_train_step(sum, TX, argnums=1), "with respect to the first argument of the loss"),
        (lambda: gx.make_train_step(sum, TX, True), "takes 2 arguments by position, got 3; these go by name: has_aux="),
        (
            lambda: METHODS["step"](params=PARAMS, state=STATE),
            "params is given by position; state is given by position",
        ),
        (lambda: gx.apply_updates(PARAMS, update=PARAMS), "did you mean 'updates'"),
        (lambda: gx.apply_updates(PARAMS, PARAMS, params=PARAMS), "multiple values for argument 'params'"),
        (lambda: gx.plot.schedule(0.1), "plot.schedule: the argument 'steps' is missing"),
    ],
)
def test_the_remedy(call, message):
    with pytest.raises(gx.GradtxTypeError, match=message):
        call()


def test_errors_of_what_a_function_calls_stay():
    def two(a, b):
        return a + b

    def loss(params):
        return two(params)

    for call in (
        lambda: gx.tree.map_with_path(lambda path: path, PARAMS),
        lambda: gx.minimize(loss, TX, PARAMS),
        lambda: gx.make_train_step(loss, TX)(PARAMS, STATE),
        lambda: gx.GradientTransformation(two, lambda updates, state, params: two(1)).init(PARAMS),
        lambda: gx.GradientTransformation(lambda p: (), lambda updates, state, params: two(1)).update(PARAMS, ()),
    ):
        with pytest.raises(TypeError, match=r"missing 1 required positional argument|takes 1 positional") as error:
            call()
        assert not isinstance(error.value, gx.GradtxError)


def test_a_transform_is_a_pair_under_any_tracer():
    init, update = TX
    assert list(inspect.signature(update).parameters) == ["updates", "state", "params", "extra"]
    jax.jit(update, static_argnames=())(PARAMS, jax.jit(init)(PARAMS))
    assert isinstance(gx.adam.__doc__, str)
    assert isinstance(init, types.MethodType)
