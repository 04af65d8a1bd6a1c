"""In the training loops of Flax, Haiku and Equinox, and of plain trees: the same numbers, and one trace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import gradtx as gx
from gradtx import schedules

STEPS = 5
X = jax.random.normal(jax.random.key(0), (16, 2))
Y = jnp.sum(X, axis=1, keepdims=True) ** 2
TRACES = []  # grows when a loss is traced, which is once for each compilation of a step
MATRICES = gx.where(lambda path, p: p.ndim > 1)


def by_kind(bias, kernel):
    # `b` in Haiku, `bias` elsewhere.
    return gx.by_path({"**/b": bias, "**/bias": bias, "**": kernel}, allow_unused=True)


DECAYS = by_kind(bias=False, kernel=True)

# Functions, so that each call makes an equal transform that is another object.
KINDS = {
    "adamw by question": lambda: gx.adamw(1e-2, weight_decay=0.1, mask=MATRICES),
    "adamw by path": lambda: gx.adamw(1e-2, weight_decay=0.1, mask=DECAYS),
    "partition": lambda: gx.partition({"a": gx.adam(1e-2), "b": gx.rmsprop(1e-2, momentum=0.9)}, by_kind("b", "a")),
    "masked": lambda: gx.masked(gx.adamax(1e-2), MATRICES, rest=gx.sgd(1e-2, momentum=0.9)),
    "chain": lambda: gx.chain(gx.clip_by_global_norm(1.0), gx.adam(schedules.cosine_decay(1e-2, 100))),
    "named chain": lambda: gx.chain(("clip", gx.clip_by_global_norm(1.0)), ("opt", gx.adagrad(1e-1))),
    "inject": lambda: gx.inject(gx.adam(1e-2)),
    "schedule_free_adamw": lambda: gx.schedule_free_adamw(1e-2, warmup_steps=2, weight_decay=0.1, mask=DECAYS),
    "accumulate_gradients": lambda: gx.accumulate_gradients(gx.adamw(1e-2, mask=DECAYS), 2),
}
FEW = ["adamw by path", "partition", "schedule_free_adamw", "accumulate_gradients"]
# What these are evaluated with are not the parameters, but averages that the state keeps.
AVERAGING = {"schedule_free_adamw"}


class Loop(NamedTuple):
    """A library's loop: `carry = start(tx)`, then `carry, loss = step(carry)`, and at the end the two are read off."""

    params: Any
    loss: Callable[[Any], Any]
    start: Callable[[gx.GradientTransformation], Any]
    step: Callable[[Any], Any]
    params_of: Callable[[Any], Any]
    state_of: Callable[[Any], Any]


def error(prediction):
    TRACES.append("error")
    return jnp.mean((prediction - Y) ** 2)


def linen():
    net = nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(1)])
    params, apply = net.init(jax.random.key(0), X)["params"], net.apply

    def loss(params):
        return error(apply({"params": params}, X))

    @jax.jit
    def step(state):
        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    start = partial(TrainState.create, apply_fn=apply, params=params)
    return Loop(params, loss, lambda tx: start(tx=tx), step, lambda state: state.params, lambda state: state.opt_state)


def nnx_model():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(2, 8, rngs=rngs), jnp.tanh, nnx.Linear(8, 1, rngs=rngs))


def sharded_nnx_model():
    """The same model, its hidden units spread over the devices of the mesh that is set."""

    def over(*axes):
        return nnx.with_partitioning(nnx.initializers.lecun_normal(), axes)

    rngs, zeros = nnx.Rngs(0), nnx.with_partitioning(nnx.initializers.zeros, ("units",))
    first = nnx.Linear(2, 8, kernel_init=over(None, "units"), bias_init=zeros, rngs=rngs)
    return nnx.Sequential(first, jnp.tanh, nnx.Linear(8, 1, kernel_init=over("units", None), rngs=rngs))


@nnx.jit
def nnx_step(model, optimizer):
    value, grads = nnx.value_and_grad(lambda model: error(model(X)))(model)
    optimizer.update(model, grads)
    return value


def flax_nnx(make_model=nnx_model):
    graph, params = nnx.split(make_model(), nnx.Param)

    def start(tx):
        model = make_model()
        return model, nnx.Optimizer(model, tx, wrt=nnx.Param)

    def loss(params):
        return error(nnx.merge(graph, params)(X))

    def step(carry):
        return carry, nnx_step(*carry)

    return Loop(params, loss, start, step, lambda c: nnx.state(c[0], nnx.Param), lambda c: c[1].opt_state)


def haiku():
    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 1])(x)))
    return by_hand(net.init(jax.random.key(0), X), lambda params: error(net.apply(params, X)))


def by_hand(params, loss):
    """A loop that gives the transform to its jitted step as an argument: the numbers are traced."""

    @jax.jit
    def step(carry):
        params, state, tx = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return (gx.apply_updates(params, updates), state, tx), value

    return Loop(params, loss, lambda tx: (params, tx.init(params), tx), step, lambda c: c[0], lambda c: c[1])


equinox_model = partial(eqx.nn.MLP, 2, 1, 8, 1, activation=jnp.tanh, key=jax.random.key(0))
trainable = partial(eqx.filter, filter_spec=eqx.is_inexact_array)


def equinox():
    params, static = eqx.partition(equinox_model(), eqx.is_inexact_array)

    @eqx.filter_jit
    def jitted(model, state, tx):
        value, grads = eqx.filter_value_and_grad(lambda model: error(jax.vmap(model)(X)))(model)
        updates, state = tx.update(grads, state, trainable(model))
        return eqx.apply_updates(model, updates), state, value

    def step(carry):
        model, state, value = jitted(*carry)
        return (model, state, carry[2]), value

    def loss(params):
        return error(jax.vmap(eqx.combine(params, static))(X))

    def start(tx):
        return equinox_model(), tx.init(params), tx

    return Loop(params, loss, start, step, lambda c: trainable(c[0]), lambda c: c[1])


def dicts():
    """A nested dict, in a loop whose transform is static: equal transforms must be one to `jit`."""
    first, last = jax.random.split(jax.random.key(0))
    params = {
        "hidden": {"kernel": jax.random.normal(first, (2, 8)), "bias": jnp.zeros(8)},
        "head": {"kernel": jax.random.normal(last, (8, 1)), "bias": jnp.zeros(1)},
    }

    def layer(p, x):
        return x @ p["kernel"] + p["bias"][None]

    def loss(params):
        return error(layer(params["head"], jnp.tanh(layer(params["hidden"], X))))

    @partial(jax.jit, static_argnums=2)
    def jitted(params, state, tx):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    def step(carry):
        params, state, value = jitted(*carry)
        return (params, state, carry[2]), value

    return Loop(params, loss, lambda tx: (params, tx.init(params), tx), step, lambda c: c[0], lambda c: c[1])


@jax.tree_util.register_dataclass
@dataclass
class Net:
    """One hidden layer; what kind it is, is structure and not a leaf."""

    kernel: jax.Array
    bias: jax.Array
    head: dict[str, jax.Array]
    activation: str = field(default="tanh", metadata={"static": True})

    def __call__(self, x):
        hidden = getattr(jnp, self.activation)(x @ self.kernel + self.bias[None])
        return hidden @ self.head["kernel"] + self.head["bias"][None]


def dataclasses():
    first, last = jax.random.split(jax.random.key(0))
    head = {"kernel": jax.random.normal(last, (8, 1)), "bias": jnp.zeros(1)}
    return by_hand(Net(jax.random.normal(first, (2, 8)), jnp.zeros(8), head), lambda net: error(net(X)))


def losses_of(step, carry):
    losses = []
    for _ in range(STEPS):
        carry, value = step(carry)
        losses.append(float(value))
    return losses, carry


def assert_close(actual, expected, rtol=1e-5, atol=1e-6):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), actual, expected)


LIBRARIES = (linen, flax_nnx, haiku, equinox)
# Each library with one kind, and each kind with one library; all of them in the slow run.
FIRST = {(LIBRARIES[index % len(LIBRARIES)], name) for index, name in enumerate(KINDS)}
ALL_LOOPS = [
    pytest.param(library, name, marks=[] if (library, name) in FIRST else [pytest.mark.slow])
    for library in LIBRARIES
    for name in KINDS
]
ALL_LOOPS += [(library, name) for library, name in zip((dicts, dataclasses), FEW, strict=False)]
ALL_LOOPS += [pytest.param(dicts, name, marks=pytest.mark.slow) for name in FEW[1:]]
ALL_LOOPS += [pytest.param(dataclasses, name, marks=pytest.mark.slow) for name in (FEW[0], *FEW[2:])]


@pytest.mark.parametrize(("library", "name"), ALL_LOOPS)
def test_a_librarys_loop_learns_what_the_plain_loop_learns_and_an_equal_transform_is_not_traced_again(library, name):
    loop, make = library(), KINDS[name]
    losses, carry = losses_of(loop.step, loop.start(make()))
    assert losses[-1] < losses[0]

    traced = len(TRACES)
    assert losses_of(loop.step, loop.start(make()))[0] == losses
    assert len(TRACES) == traced

    tx, params = make(), loop.params
    plain_step, state = gx.make_train_step(loop.loss, tx, donate=False), tx.init(params)
    for _ in range(STEPS):
        params, state, _ = plain_step(params, state)
    assert_close(loop.params_of(carry), params)
    if name in AVERAGING:
        averages = gx.eval_params(loop.state_of(carry), loop.params_of(carry))
        assert_close(averages, gx.eval_params(state, params))
        apart = jax.tree.map(lambda a, p: jnp.any(jnp.abs(a - p) > 1e-4), averages, params)
        assert all(jax.tree.leaves(apart))


def test_a_train_state_tells_transforms_apart_by_their_numbers():
    loop, numbers = linen(), (1e-2, 1e-2, 1e-3, 1e-2)
    losses = [losses_of(loop.step, loop.start(gx.adam(jnp.float32(number))))[0] for number in numbers]
    assert losses[0] == losses[1] == losses[3] != losses[2]


@pytest.mark.parametrize("name", [FEW[0], *(pytest.param(name, marks=pytest.mark.slow) for name in FEW[1:])])
def test_in_nnx_the_state_is_sharded_as_the_parameters_are_and_stays_so(name):
    plain, make = flax_nnx(), KINDS[name]
    expected, whole = losses_of(plain.step, plain.start(make()))
    mesh = jax.make_mesh((8,), ("units",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        loop = flax_nnx(sharded_nnx_model)
        carry = loop.start(make())
        before = shardings_of(loop, carry)
        losses, carry = losses_of(loop.step, carry)
        traced = len(TRACES)
        assert losses_of(loop.step, loop.start(make()))[0] == losses
        assert len(TRACES) == traced
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        for ours, theirs in zip(leaves_of(loop, carry), leaves_of(plain, whole), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        for sharding, leaf in zip(before, leaves_of(loop, carry), strict=True):
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        if name in AVERAGING:
            averages, params = gx.eval_params(loop.state_of(carry), loop.params_of(carry)), loop.params_of(carry)
            same = jax.tree.map(lambda a, p: a.sharding.is_equivalent_to(p.sharding, p.ndim), averages, params)
            assert all(jax.tree.leaves(same))


def leaves_of(loop, carry):
    return jax.tree.leaves((loop.params_of(carry), loop.state_of(carry)))


def shardings_of(loop, carry):
    """How each leaf of parameters and state lies on the devices, after a look at whether those of one path agree."""
    params, state = nnx.to_flat_state(loop.params_of(carry)), loop.state_of(carry)
    places = {"/".join(map(str, path)): variable[...].sharding for path, variable in params}
    spread = 0
    for path, leaf in zip(gx.tree.paths(state), jax.tree.leaves(state), strict=True):
        own = [sharding for end, sharding in places.items() if path.endswith(end)]
        assert leaf.sharding.is_equivalent_to(own[0], leaf.ndim) if own else leaf.sharding.is_fully_replicated
        spread += not leaf.sharding.is_fully_replicated
    assert spread >= 3
    return [leaf.sharding for leaf in leaves_of(loop, carry)]


def test_in_nnx_averages_of_one_group_of_a_partition_go_back_into_the_model():
    model, groups = nnx_model(), {"averaged": gx.average_params(gx.sgd(0.1), 0.5), "plain": gx.sgd(0.1)}
    optimizer = nnx.Optimizer(model, gx.partition(groups, by_kind("plain", "averaged")), wrt=nnx.Param)
    ones = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    for _ in range(2):
        optimizer.update(model, ones)
    trained = nnx.clone(model)
    nnx.update(model, gx.eval_params(optimizer.opt_state, nnx.state(model, nnx.Param)))
    # The kernels went down by 0.1 twice; their average is 2/3 of the last and 1/3 of the first.
    np.testing.assert_allclose(model.layers[0].kernel[...], trained.layers[0].kernel[...] + 0.1 / 3, rtol=1e-5)
    np.testing.assert_array_equal(model.layers[0].bias[...], trained.layers[0].bias[...])


# Without gradients, these take away 1/20 of the parameters that the mask chooses, and leave the others alone.
MASKED = {
    "adamw": lambda mask: gx.adamw(0.1, weight_decay=0.5, mask=mask),
    "masked": lambda mask: gx.masked(gx.adamw(0.1, weight_decay=0.5), mask, rest=gx.set_to_zero()),
    "partition": lambda mask: gx.partition({True: gx.adamw(0.1, weight_decay=0.5), False: gx.set_to_zero()}, mask),
}
NNX_MASKS = {
    "question": MATRICES,
    "path": gx.by_path({"**/kernel": True, "**": False}),
    "other path": gx.by_path({"layers/*/bias": False, "**": True}),
}


@pytest.mark.parametrize("mask", NNX_MASKS.values(), ids=NNX_MASKS)
@pytest.mark.parametrize("transform", MASKED.values(), ids=MASKED)
def test_in_nnx_a_mask_lets_only_kernels_decay(transform, mask):
    model, before = nnx_model(), nnx_model()
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    nnx.Optimizer(model, transform(mask), wrt=nnx.Param).update(model, zeros)
    for layer, old in ((model.layers[0], before.layers[0]), (model.layers[2], before.layers[2])):
        np.testing.assert_allclose(layer.kernel[...], 0.95 * old.kernel[...], rtol=1e-6)
        np.testing.assert_array_equal(layer.bias[...], old.bias[...])


def test_in_nnx_an_injected_number_is_a_variable_that_can_be_set_without_tracing_again():
    model = nnx_model()
    optimizer = nnx.Optimizer(model, gx.inject(gx.adam(1e-2)), wrt=nnx.Param)
    nnx_step(model, optimizer)
    traced = len(TRACES)
    gx.get_hyperparams(optimizer.opt_state)["learning_rate"][...] = 0.0
    assert nnx_step(model, optimizer) == nnx_step(model, optimizer)
    assert len(TRACES) == traced


def test_in_nnx_what_was_logged_stays_as_it_was():
    model, rate = nnx_model(), schedules.linear(1e-2, 0.0, 10)
    tx = gx.chain(gx.record("gradient", gx.tree.norm), gx.adam(rate))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    lines = []
    for _ in range(2):
        nnx_step(model, optimizer)
        lines.append(gx.logs(optimizer.opt_state))
    assert [f"{line['learning_rate']:.3f}" for line in lines] == ["0.010", "0.009"]
    assert lines[0]["gradient"] != lines[1]["gradient"]


@pytest.mark.parametrize("like", [lambda: trainable(equinox_model()), equinox_model], ids=["parameters", "model"])
@pytest.mark.parametrize("transform", MASKED.values(), ids=MASKED)
def test_a_mask_that_is_a_callable_module_is_a_tree(transform, like):
    mask, params = jax.tree.map(lambda p: eqx.is_array(p) and p.ndim > 1, like()), trainable(equinox_model())
    assert callable(mask)
    tx = transform(mask)
    updates, _ = eqx.filter_jit(tx.update)(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    assert_close(updates, jax.tree.map(lambda p: -0.05 * p if p.ndim > 1 else 0 * p, params))


def test_updates_of_filtered_parameters_apply_to_them_and_to_the_whole_module():
    model, params = equinox_model(), trainable(equinox_model())
    updates, _ = gx.sgd(0.1).update(params, (), params)
    whole = gx.apply_updates(model, updates)
    assert eqx.tree_equal(whole, eqx.apply_updates(model, updates))
    assert eqx.tree_equal(trainable(whole), gx.apply_updates(params, updates))


def test_an_nnx_optimizer_passes_extras_on():
    model, before = nnx_model(), nnx_model()
    times = gx.treewise(lambda g, state, params, *, value: (jax.tree.map(lambda x: value * x, g), state))
    ones = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    nnx.Optimizer(model, gx.chain(gx.sgd(1.0), times), wrt=nnx.Param).update(model, ones, value=3.0)
    np.testing.assert_allclose(model.layers[2].bias[...], before.layers[2].bias[...] - 3.0)
