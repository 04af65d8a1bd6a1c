"""A checkpoint of a PyTorch optimizer goes on here. The checkpoints are made by PyTorch's recursions in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import schedules
from gradtx.interop.torch import load_optimizer_state

ORDER = ["dense/kernel", "dense/bias", "out"]
SHAPES = {"dense/kernel": (2, 3), "dense/bias": (2,), "out": (4,)}  # PyTorch's: a kernel is (out, in)
RATE = 1e-2


class Tensor:
    """What a tensor of PyTorch shows of itself to who does not know it."""

    def __init__(self, array):
        self._array = array

    def numpy(self):
        return self._array


def transposed(path, array):
    return array.T if path.endswith("kernel") else array


def tree_of(arrays):
    kernel, bias, out = (jnp.asarray(transposed(path, arrays[path])) for path in ORDER)
    return {"dense": {"bias": bias, "kernel": kernel}, "out": out}


def arrays_of(seed):
    random = np.random.default_rng(seed)
    return {path: random.standard_normal(shape) for path, shape in SHAPES.items()}


def adam(g, p, state, decoupled=0.0, largest=False, b1=0.9, b2=0.999, eps=1e-8):
    """One step: the parameter; the state moves."""
    state["step"] = state.get("step", np.float32(0)) + np.float32(1)
    t = int(state["step"])
    state["exp_avg"] = b1 * state.get("exp_avg", 0 * g) + (1 - b1) * g
    state["exp_avg_sq"] = b2 * state.get("exp_avg_sq", 0 * g) + (1 - b2) * g**2
    second = state["exp_avg_sq"]
    if largest:
        second = state["max_exp_avg_sq"] = np.maximum(state.get("max_exp_avg_sq", 0 * g), second)
    root = np.sqrt(second) / np.sqrt(1 - b2**t) + eps
    return p * (1 - RATE * decoupled) - RATE / (1 - b1**t) * state["exp_avg"] / root


def sgd(g, p, state, nesterov=False, coupled=0.0, rates=lambda t: RATE, t=0):
    g = g + coupled * p
    buffer = state.get("momentum_buffer")
    state["momentum_buffer"] = g if buffer is None else 0.9 * buffer + g
    return p - rates(t) * (g + 0.9 * state["momentum_buffer"] if nesterov else state["momentum_buffer"])


def run(one, arrays, states, steps, **options):
    for t in steps:
        grads, more = arrays_of(t + 1), {"t": t} if one is sgd else {}
        arrays = {path: one(grads[path], arrays[path], states[path], **options, **more) for path in ORDER}
    return arrays


def checkpoint(states, wrap=lambda x: x, **options):
    state = {number: {name: wrap(x) for name, x in states[path].items()} for number, path in enumerate(ORDER)}
    return {"state": state, "param_groups": [{"params": [0, 1], **options}, {"params": [2], **options}]}


COUPLED = gx.chain(gx.add_decayed_weights(0.1), gx.sgd(RATE, 0.9, nesterov=True))
RATES = schedules.linear(1e-2, 0.0, 20)
LABELS = gx.by_path({"out": "b", "**": "a"})
CASES = {
    "Adam": (adam, {}, gx.adam(RATE)),
    "AdamW": (adam, {"decoupled": 0.1}, gx.chain(gx.clip(100.0), gx.adamw(RATE, weight_decay=0.1))),
    "AMSGrad": (adam, {"largest": True}, gx.amsgrad(RATE, corrected=False)),
    "SGD": (sgd, {}, gx.sgd(RATE, 0.9)),
    "SGD, nesterov": (sgd, {"nesterov": True, "coupled": 0.1}, COUPLED),
    "SGD, schedule": (sgd, {"rates": lambda t: 1e-2 * (1 - t / 20)}, gx.sgd(RATES, 0.9)),
    "partition": (adam, {}, gx.partition({"a": gx.adam(RATE), "b": gx.adam(RATE)}, LABELS)),
}


@pytest.mark.parametrize("wrap", [lambda x: x, Tensor], ids=["arrays", "tensors"])
@pytest.mark.parametrize("name", CASES)
def test_a_run_goes_on_with_the_same_numbers(name, wrap):
    one, options, tx = CASES[name]
    states = {path: {} for path in ORDER}
    arrays = run(one, arrays_of(0), states, range(5), **options)
    step = 5 if name == "SGD, schedule" else None
    with jax.enable_x64(True):  # where the way, a small difference of parameters, has more digits
        params = here = tree_of(arrays)
        state = load_optimizer_state(checkpoint(states, wrap), tx, params, ORDER, transposed, step)
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
        there = tree_of(run(one, arrays, states, range(5, 10), **options))
        for t in range(5, 10):
            updates, state = tx.update(tree_of(arrays_of(t + 1)), state, here)
            here = gx.apply_updates(here, updates)
    for x, y, start in zip(*map(jax.tree.leaves, (here, there, params)), strict=True):
        np.testing.assert_allclose(x - start, y - start, rtol=1e-9, atol=1e-9 * np.max(np.abs(y - start)))


def adam_checkpoint(**options):
    states = {path: {} for path in ORDER}
    run(adam, arrays_of(0), states, range(3))
    return checkpoint(states, **options)


PARAMS = tree_of(arrays_of(0))


def _refuses(message, state, tx=None, order=ORDER, arrange=transposed, kind=gx.GradtxValueError, **more):
    tx = tx or gx.adam(RATE)
    with pytest.raises(kind, match=message):
        load_optimizer_state(state, tx, PARAMS, order, arrange, **more)


def test_orders_that_do_not_fit():
    good = adam_checkpoint()
    _refuses(
        r"order: expected each of dense/bias, dense/kernel, out once, got dense/kernel, out",
        good,
        order=["dense/kernel", "out"],
    )
    _refuses(r"order: expected each of .* once, got dense/weight", good, order=["dense/weight", "dense/bias", "out"])
    _refuses(r"order: expected each of .* once", good, order=[*ORDER, "out"])
    less = {"state": {number: good["state"][number] for number in (0, 1)}, "param_groups": [{"params": [0, 1]}]}
    _refuses("expected 3 parameters in the PyTorch state, got 2", less)
    _refuses("expected 3 parameters in the PyTorch state, got 2", {"state": less["state"]})


def test_shapes_that_do_not_fit():
    _refuses(
        r"in load_optimizer_state: 'adam/scale_by_adam/numerator/scale_by_ema/dense/kernel': expected the shape "
        r"\(3, 2\), got \(2, 3\)",
        adam_checkpoint(),
        arrange=lambda path, array: array,
    )


def test_states_that_lack_something_or_have_more():
    lazy = adam_checkpoint()
    lazy["state"].pop(2)
    _refuses("scale_by_adam: expected exp_avg for 'out' in the PyTorch state, got nothing", lazy)
    _refuses(
        "expected momentum_buffer for 'dense/bias' in the PyTorch state, got step, exp_avg, exp_avg_sq; it is",
        adam_checkpoint(),
        gx.sgd(RATE, 0.9),
    )
    _refuses(
        "scale_by_rms: expected square_avg for 'dense/bias' in the PyTorch state, got step, exp_avg, exp_avg_sq",
        adam_checkpoint(),
        gx.rmsprop(RATE),
    )
    _refuses(
        "the PyTorch state has no counterpart for lion/.* of lion",
        adam_checkpoint(),
        gx.lion(RATE),
    )
    _refuses("sgd has no counterpart for exp_avg, exp_avg_sq of the PyTorch state", adam_checkpoint(), gx.sgd(RATE))
    largest = {path: {} for path in ORDER}
    run(adam, arrays_of(0), largest, range(1), largest=True)
    _refuses("adam has no counterpart for max_exp_avg_sq of the PyTorch state", checkpoint(largest))
    _refuses(
        "PyTorch takes the maximum before the bias correction; use corrected=False",
        checkpoint(largest),
        gx.amsgrad(RATE),
    )


def test_counts_that_do_not_fit():
    apart = adam_checkpoint()
    apart["state"][1]["step"] = 7
    _refuses("expected one step count for all parameters, got 3, 7", apart)
    states = {path: {} for path in ORDER}
    run(sgd, arrays_of(0), states, range(1))
    _refuses(
        "expected a step count for the schedules of sgd, got none in the PyTorch state; pass step=...",
        checkpoint(states),
        gx.sgd(RATES, 0.9),
    )
    _refuses("the decay 'b2' of adam follows a schedule", adam_checkpoint(), gx.adam(RATE, b2=RATES))


def test_options_without_a_counterpart():
    _refuses("gradtx has no counterpart for PyTorch's option maximize=True", adam_checkpoint(maximize=True))
    states = {path: {} for path in ORDER}
    run(sgd, arrays_of(0), states, range(1))
    _refuses(
        "gradtx has no counterpart for PyTorch's option dampening=0.5",
        checkpoint(states, dampening=0.5, maximize=False),
        gx.sgd(RATE, 0.9),
    )


@pytest.mark.parametrize("wrong", [[1, 2], {"exp_avg": 1}, {"state": [1]}])
def test_what_is_no_checkpoint(wrong):
    _refuses(
        "expected the dict that an optimizer's state_dict\\(\\) returns, with the key 'state', got",
        wrong,
        kind=gx.GradtxTypeError,
    )
