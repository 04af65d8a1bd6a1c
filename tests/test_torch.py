"""Agreement with PyTorch over 50 steps, in float64, and its own checkpoints moved here; where PyTorch is installed.

A build for the CPU does. Wrong inputs are in `test_from_torch.py`, whose checkpoints are made without PyTorch.
"""

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx.interop.torch import load_optimizer_state

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]

STEPS, RATE, EXACT = 50, 0.01, 1e-12
SHAPES = {"b": (3,), "w": (4, 3)}  # in the order of the leaves


class Parity(NamedTuple):
    """A transform that should agree with an optimizer of PyTorch.

    Attributes:
        ours: the transform.
        theirs: the optimizer's class, by name.
        options: its arguments, less the learning rate.
        tolerance: how far apart the updates may be, as a part of the largest.
        deviation: why they are not closer.
    """

    ours: Any
    theirs: str
    options: dict[str, Any]
    tolerance: float = EXACT
    deviation: str = ""


def _decayed(*transforms):
    return gx.chain(gx.add_decayed_weights(0.1), *transforms)


PARITIES = {
    "SGD": Parity(gx.sgd(RATE), "SGD", {}),
    "SGD, momentum": Parity(gx.sgd(RATE, 0.9), "SGD", {"momentum": 0.9}),
    "SGD, nesterov": Parity(gx.nesterov(RATE), "SGD", {"momentum": 0.9, "nesterov": True}),
    "SGD, weight_decay": Parity(_decayed(gx.sgd(RATE, 0.9)), "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    "SGD, maximize": Parity(gx.chain(gx.scale(-1.0), gx.sgd(RATE)), "SGD", {"maximize": True}),
    "Adam": Parity(gx.adam(RATE), "Adam", {}),
    "Adam, betas": Parity(gx.adam(RATE, 0.8, 0.99, 1e-4), "Adam", {"betas": (0.8, 0.99), "eps": 1e-4}),
    "Adam, weight_decay": Parity(_decayed(gx.adam(RATE)), "Adam", {"weight_decay": 0.1}),
    "Adam, amsgrad": Parity(gx.amsgrad(RATE, corrected=False), "Adam", {"amsgrad": True}),
    "AdamW": Parity(gx.adamw(RATE, weight_decay=0.1), "AdamW", {"weight_decay": 0.1}),
    "NAdam": Parity(gx.nadam(RATE), "NAdam", {"momentum_decay": 1e9}, EXACT, "without its warmup of the momentum"),
    "RAdam": Parity(gx.radam(RATE, eps=0.0), "RAdam", {"eps": 0.0}, EXACT, "PyTorch adds eps before the correction"),
    "Adamax": Parity(gx.adamax(RATE), "Adamax", {}, 1e-7, "PyTorch adds eps to each magnitude, not to the largest"),
    "Adagrad": Parity(gx.adagrad(RATE, 0.0, 1e-10), "Adagrad", {}),
    "Adagrad, start": Parity(gx.adagrad(RATE, 0.1, 1e-10), "Adagrad", {"initial_accumulator_value": 0.1}),
    "Adagrad, lr_decay": Parity(
        gx.adagrad(lambda step: RATE / (1 + 0.1 * step), 0.0, 1e-10), "Adagrad", {"lr_decay": 0.1}
    ),
    "Adadelta": Parity(gx.adadelta(RATE), "Adadelta", {}),
    "RMSprop": Parity(gx.rmsprop(RATE, 0.99), "RMSprop", {}),
    "RMSprop, momentum": Parity(gx.rmsprop(RATE, 0.99, momentum=0.9), "RMSprop", {"momentum": 0.9}),
    "RMSprop, centered": Parity(gx.rmsprop(RATE, 0.99, centered=True), "RMSprop", {"centered": True}),
    "Rprop": Parity(gx.rprop(RATE), "Rprop", {}),
    "ASGD": Parity(
        gx.chain(gx.add_decayed_weights(1e-2), gx.sgd(lambda step: RATE / (1 + 1e-2 * RATE * step) ** 0.75)),
        "ASGD",
        {"lambd": 1e-2},
    ),
    "Adafactor": Parity(
        gx.adafactor(lambda step: jnp.minimum(RATE, 1 / jnp.sqrt(step + 1.0)), 1), "Adafactor", {"eps": (1e-30, 1e-3)}
    ),
}


def _arrays(random):
    return {name: random.standard_normal(shape) for name, shape in SHAPES.items()}


def _drawn():
    random = np.random.default_rng(0)
    return [_arrays(random) for _ in range(STEPS + 1)]


def _tensors(arrays):
    return [torch.tensor(x, requires_grad=True) for x in arrays.values()]


def _steps(optimizer, leaves, gradients):
    """The parameters after each step."""
    out = []
    for g in gradients:
        for leaf, x in zip(leaves, g.values(), strict=True):
            leaf.grad = torch.tensor(x)
        optimizer.step()
        out.append(np.concatenate([leaf.detach().numpy().ravel() for leaf in leaves]))
    return np.stack(out)


def _ours(tx, params, state, gradients):
    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = gx.apply_updates(params, updates)
        return (params, state), jnp.concatenate([p.ravel() for p in jax.tree.leaves(params)])

    stacked = jax.tree.map(lambda *xs: np.stack(xs), *gradients)
    return jax.jit(lambda *carry: jax.lax.scan(step, carry, stacked)[1])(params, state)


@pytest.fixture(autouse=True)
def _all_in_float64():
    # The products of decays and the learning rates that PyTorch keeps in arrays have its default dtype.
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", PARITIES)
def test_it_agrees_with_pytorch(name):
    one = PARITIES[name]
    start, *gradients = _drawn()
    leaves = _tensors(start)
    theirs = _steps(getattr(torch.optim, one.theirs)(leaves, lr=RATE, **one.options), leaves, gradients)
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, start)
        ours = np.asarray(_ours(one.ours, params, one.ours.init(params), gradients))
    begin = np.concatenate([x.ravel() for x in start.values()])
    assert np.max(np.abs(ours - theirs)) < one.tolerance * np.max(np.abs(theirs - begin))
    assert one.deviation or one.tolerance == EXACT


WITHOUT = {
    "LBFGS": "evaluates the loss several times a step",
    "Muon": "is for matrices alone",
    "SparseAdam": "takes sparse gradients",
}


def test_every_optimizer_of_pytorch_is_compared():
    classes = {name for name, x in vars(torch.optim).items() if isinstance(x, type) and name != "Optimizer"}
    assert classes == {one.theirs for one in PARITIES.values()} | WITHOUT.keys()


class Move(NamedTuple):
    """A run that begins in PyTorch and goes on here.

    Attributes:
        make: PyTorch's optimizer of parameters.
        ours: the same one here.
        step: how many steps there were, where PyTorch does not store it.
    """

    make: Any
    ours: Any
    step: int | None = None


MOVES = {
    "Adam": Move(lambda p: torch.optim.Adam(p, RATE), gx.adam(RATE)),
    "Adam, fused": Move(lambda p: torch.optim.Adam(p, RATE, fused=True), gx.adam(RATE)),
    "Adam, amsgrad": Move(lambda p: torch.optim.Adam(p, RATE, amsgrad=True), gx.amsgrad(RATE, corrected=False)),
    "AdamW": Move(lambda p: torch.optim.AdamW(p, RATE, weight_decay=0.1), gx.adamw(RATE, weight_decay=0.1)),
    "RAdam": Move(lambda p: torch.optim.RAdam(p, RATE, eps=0.0), gx.radam(RATE, eps=0.0)),
    "Adamax": Move(lambda p: torch.optim.Adamax(p, RATE, eps=0.0), gx.adamax(RATE, eps=0.0)),
    "RMSprop": Move(lambda p: torch.optim.RMSprop(p, RATE, momentum=0.9), gx.rmsprop(RATE, 0.99, momentum=0.9)),
    "Adagrad": Move(
        lambda p: torch.optim.Adagrad(p, RATE, lr_decay=0.1),
        gx.adagrad(lambda step: RATE / (1 + 0.1 * step), 0.0, 1e-10),
    ),
    "Adadelta": Move(lambda p: torch.optim.Adadelta(p, 1.0), gx.adadelta()),
    "SGD": Move(lambda p: torch.optim.SGD(p, RATE, 0.9), gx.sgd(RATE, 0.9)),
    "SGD, schedule": Move(
        lambda p: torch.optim.SGD(p, RATE, 0.9, nesterov=True, weight_decay=0.1),
        _decayed(gx.sgd(gx.schedules.linear(RATE, 0.0, 20), 0.9, nesterov=True)),
        step=5,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MOVES)
def test_a_checkpoint_goes_on_with_the_same_numbers(name, dtype):
    move = MOVES[name]
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).to(getattr(torch, dtype))
    optimizer = move.make(model.parameters())
    factor = (lambda t: 1 - t / 20) if "schedule" in name else (lambda t: 1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    random = np.random.default_rng(1)
    batches = [(random.standard_normal((4, 3)), random.standard_normal((4, 2))) for _ in range(10)]

    def go(batches):
        for x, y in batches:
            optimizer.zero_grad()
            x, y = (torch.tensor(array.astype(dtype)) for array in (x, y))
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()

    def params():
        return {
            layer: {
                "w": jnp.asarray(model[i].weight.detach().numpy().T),
                "b": jnp.asarray(model[i].bias.detach().numpy()),
            }
            for layer, i in (("first", 0), ("last", 2))
        }

    def loss(params, x, y):
        hidden = jnp.tanh(x @ params["first"]["w"] + params["first"]["b"][None])
        return jnp.mean((hidden @ params["last"]["w"] + params["last"]["b"][None] - y) ** 2)

    go(batches[:5])
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    checkpoint = torch.load(file, map_location="cpu")
    with jax.enable_x64(dtype == "float64"):
        here = params()
        order = ["first/w", "first/b", "last/w", "last/b"]
        state = load_optimizer_state(checkpoint, move.ours, here, order, lambda path, x: x.T, move.step)
        for x, y in batches[5:]:
            grads = jax.grad(loss)(here, jnp.asarray(x, dtype), jnp.asarray(y, dtype))
            updates, state = move.ours.update(grads, state, here)
            here = gx.apply_updates(here, updates)
        go(batches[5:])
        digit = float(jnp.finfo(dtype).eps)
        for x, y in zip(jax.tree.leaves(here), jax.tree.leaves(params()), strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=50 * digit * np.max(np.abs(y)))


def test_a_checkpoint_in_bfloat16():
    # NumPy has no such dtype, and a tensor does not turn into an array by itself.
    leaf = torch.zeros(3, dtype=torch.bfloat16, requires_grad=True)
    optimizer = torch.optim.Adam([leaf], RATE)
    leaf.grad = torch.tensor([1.0, -2.0, 3.0], dtype=torch.bfloat16)
    optimizer.step()
    tx = gx.adam(RATE)
    state = load_optimizer_state(optimizer.state_dict(), tx, {"w": jnp.zeros(3, jnp.bfloat16)}, ["w"])
    moment = gx.state_dict(tx, state)["adam/scale_by_adam/numerator/scale_by_ema/w"]
    np.testing.assert_array_equal(moment, optimizer.state[leaf]["exp_avg"].float().numpy())


@pytest.mark.parametrize("name", ["sgd", "momentum", "adamw", "clip + adamw", "rmsprop, centred"])
def test_the_benchmark_makes_the_same_steps(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import optimizers, torch_peer

    made = []
    full = torch.full
    monkeypatch.setattr(torch, "full", lambda *args, **more: made.append(full(*args, **more)) or made[-1])
    params = {"w": jnp.full((40, 30), 0.01)}
    once = torch_peer.going(torch, name, params)
    tx = optimizers.PAIRS[name].ours()
    state, grads = tx.init(params), params
    for _ in range(5):
        once()
        updates, state = tx.update(grads, state, params)
        params = gx.apply_updates(params, updates)
    np.testing.assert_allclose(made[0].detach().numpy() - 0.01, np.asarray(params["w"]) - 0.01, rtol=1e-4)


@pytest.mark.parametrize(("rule", "adjusted"), [("original", "original"), ("match_rms_adamw", "match_rms_adamw")])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_muon_agrees_with_pytorch(monkeypatch, rule, adjusted, nesterov, shape):
    # PyTorch computes the products in bfloat16, where two orders of a sum differ by more than what is compared here.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    random = np.random.default_rng(0)
    start, *gradients = ({"w": random.standard_normal(shape)} for _ in range(STEPS + 1))
    leaves = _tensors(start)
    options = {"momentum": 0.95, "weight_decay": 0.1, "nesterov": nesterov, "adjust_lr_fn": adjusted}
    theirs = _steps(torch.optim.Muon(leaves, lr=RATE, **options), leaves, gradients)
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, start)
        axes = gx.matrix(inputs=-1, outputs=-2)  # as PyTorch has them
        tx = gx.muon(RATE, 0.95, 0.1, nesterov=nesterov, rule=rule, method="keller", axes=axes)
        ours = np.asarray(_ours(tx, params, tx.init(params), gradients))
    assert np.max(np.abs(ours - theirs)) < 1e-6 * np.max(np.abs(theirs - start["w"].ravel()))


def test_the_programs_of_the_page_run(tmp_path, monkeypatch, capsys):
    page = ROOT / "docs" / "from_pytorch_and_keras.md"
    programs = [text for text in re.findall(r"```py\n(.*?)```", page.read_text(), re.DOTALL) if "torch" in text]
    assert len(programs) == 3
    x = torch.randn(32, 8)
    names = {"torch": torch, "nn": torch.nn, "batches": [(x, x.sum(1, keepdim=True))]}
    monkeypatch.chdir(tmp_path)
    for program in programs:
        exec(program, names)
    assert len(capsys.readouterr().out.splitlines()) == 20
    assert names["saved"]["param_groups"][0]["weight_decay"] == 0.1
