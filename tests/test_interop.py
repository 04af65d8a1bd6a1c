"""In the loops of Flax, Haiku and Equinox, inside Optax and around it, and number for number against it."""

from functools import partial

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
from optax.contrib import reduce_on_plateau

import gradtx as gx
from gradtx import schedules

STEPS = 5
X = jax.random.normal(jax.random.key(0), (16, 2))
Y = jnp.sum(X, axis=1, keepdims=True) ** 2
TRACES = []  # grows when a loss is traced, which is once for each compilation of a step
MATRICES = gx.where(lambda path, p: p.ndim > 1)


def by_kind(bias, kernel):
    # `b` in Haiku, `bias` elsewhere.
    return gx.by_path({"**/b": bias, "**/bias": bias, "**": kernel})


# Functions, so that each call makes an equal transform that is another object.
KINDS = {
    "adamw by question": lambda: gx.adamw(1e-2, weight_decay=0.1, mask=MATRICES),
    "adamw by path": lambda: gx.adamw(1e-2, weight_decay=0.1, mask=by_kind(bias=False, kernel=True)),
    "partition": lambda: gx.partition({"a": gx.adam(1e-2), "b": gx.rmsprop(1e-2, momentum=0.9)}, by_kind("b", "a")),
    "masked": lambda: gx.masked(gx.adamax(1e-2), MATRICES, rest=gx.sgd(1e-2, momentum=0.9)),
    "chain": lambda: gx.chain(gx.clip_by_global_norm(1.0), gx.adam(schedules.cosine_decay(1e-2, 100))),
    "named chain": lambda: gx.chain(("clip", gx.clip_by_global_norm(1.0)), ("opt", gx.adagrad(1e-1))),
    "inject": lambda: gx.inject(gx.adam(1e-2)),
}


def error(prediction):
    TRACES.append("error")
    return jnp.mean((prediction - Y) ** 2)


# Each library: parameters, their loss, and its loop: `start(tx) -> carry`, `step(carry) -> carry, loss`, `read(carry)`.


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
    return params, loss, lambda tx: start(tx=tx), step, lambda state: state.params


def nnx_model():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(2, 8, rngs=rngs), jnp.tanh, nnx.Linear(8, 1, rngs=rngs))


@nnx.jit
def nnx_step(model, optimizer):
    value, grads = nnx.value_and_grad(lambda model: error(model(X)))(model)
    optimizer.update(model, grads)
    return value


def flax_nnx():
    graph, params = nnx.split(nnx_model(), nnx.Param)

    def start(tx):
        model = nnx_model()
        return model, nnx.Optimizer(model, tx, wrt=nnx.Param)

    def loss(params):
        return error(nnx.merge(graph, params)(X))

    return params, loss, start, lambda carry: (carry, nnx_step(*carry)), lambda carry: nnx.state(carry[0], nnx.Param)


def haiku():
    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 1])(x)))
    params = net.init(jax.random.key(0), X)

    def loss(params):
        return error(net.apply(params, X))

    @jax.jit
    def step(carry):
        params, state, tx = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return (gx.apply_updates(params, updates), state, tx), value

    return params, loss, lambda tx: (params, tx.init(params), tx), step, lambda carry: carry[0]


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

    return params, loss, lambda tx: (equinox_model(), tx.init(params), tx), step, lambda carry: trainable(carry[0])


def losses_of(step, carry):
    losses = []
    for _ in range(STEPS):
        carry, value = step(carry)
        losses.append(float(value))
    return losses, carry


def assert_close(actual, expected, rtol=1e-5, atol=1e-6):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), actual, expected)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("library", [linen, flax_nnx, haiku, equinox])
def test_a_librarys_loop_learns_what_the_plain_loop_learns_and_an_equal_transform_is_not_traced_again(library, make):
    params, loss, start, step, read = library()
    losses, carry = losses_of(step, start(make()))
    assert losses[-1] < losses[0]

    traced = len(TRACES)
    assert losses_of(step, start(make()))[0] == losses
    assert len(TRACES) == traced

    tx = make()
    plain_step, state = gx.make_train_step(loss, tx, donate=False), tx.init(params)
    for _ in range(STEPS):
        params, state, _ = plain_step(params, state)
    assert_close(read(carry), params)


def test_a_train_state_tells_transforms_apart_by_their_numbers():
    _, _, start, step, _ = linen()
    losses = [losses_of(step, start(gx.adam(jnp.float32(number))))[0] for number in (1e-2, 1e-2, 1e-3, 1e-2)]
    assert losses[0] == losses[1] == losses[3] != losses[2]


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


PARAMS = {"a": {"bias": jnp.array([0.3, -0.2]), "kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]])}, "b": jnp.ones(3)}
GRADS = jax.tree.map(lambda p: jax.random.normal(jax.random.key(p.size), (50, *p.shape)), PARAMS)
MASK = {"a": {"bias": False, "kernel": True}, "b": False}


def updates_of(tx, all_grads=GRADS, **extra):
    """The updates of all steps, in a loop that applies them."""

    def step(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params, **extra)
        return (optax.apply_updates(params, updates), state), updates

    with jax.numpy_dtype_promotion("standard"):  # Optax leaves mixed dtypes to it
        return jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), all_grads)[1]


CLIP, DECAYED = optax.clip_by_global_norm(1.0), partial(gx.adamw, weight_decay=0.1)
LABELS = by_kind("plain", "decayed")
GROUPS = {"decayed": gx.adamw(1e-2), "plain": gx.inject(gx.sgd(schedules.linear(1e-2, 0.0, 10), momentum=0.9))}
MIXED = {"decayed": optax.adamw(1e-2), "plain": gx.chain(CLIP, gx.adam(1e-2))}
OPTAX = {"decayed": optax.adamw(1e-2), "plain": optax.chain(CLIP, optax.adam(1e-2))}
THE_SAME = {
    "optax.chain": (optax.chain(CLIP, gx.adam(1e-2)), gx.chain(gx.clip_by_global_norm(1.0), gx.adam(1e-2))),
    "optax.partition": (optax.partition(GROUPS, LABELS), gx.partition(GROUPS, LABELS)),
    "optax.multi_transform": (optax.multi_transform(GROUPS, LABELS), gx.partition(GROUPS, LABELS)),
    "optax.masked": (optax.masked(gx.adam(1e-2), MASK), gx.masked(gx.adam(1e-2), MASK)),
    "optax.inject_hyperparams": (optax.inject_hyperparams(DECAYED)(1e-2), DECAYED(1e-2)),
    "optax, a schedule": (optax.sgd(schedules.linear(1e-2, 0.0, 30)), gx.sgd(schedules.linear(1e-2, 0.0, 30))),
    "gradtx.chain": (gx.chain(CLIP, gx.adam(1e-2)), optax.chain(CLIP, optax.adam(1e-2))),
    "gradtx.chain, named": (gx.chain(("clip", CLIP), ("opt", gx.adam(1e-2))), optax.chain(CLIP, optax.adam(1e-2))),
    "gradtx.inject": (gx.inject(gx.chain(CLIP, gx.adam(1e-2))), optax.chain(CLIP, optax.adam(1e-2))),
    "gradtx.partition": (gx.partition(MIXED, LABELS), optax.partition(OPTAX, LABELS)),
    "gradtx.masked": (gx.masked(optax.adam(1e-2), MASK, rest=CLIP), gx.masked(gx.adam(1e-2), MASK, rest=CLIP)),
    "linear": (gx.adam(optax.linear_schedule(1e-2, 1e-3, 20)), gx.adam(schedules.linear(1e-2, 1e-3, 20))),
    "cosine": (gx.adam(optax.cosine_decay_schedule(1e-2, 30)), gx.adam(schedules.cosine_decay(1e-2, 30))),
    # Optax counts all 30 steps in the second number, gradtx those of each segment.
    "warmup": (
        gx.sgd(optax.warmup_cosine_decay_schedule(1e-4, 1e-2, warmup_steps=10, decay_steps=30)),
        gx.sgd(schedules.join([schedules.linear(1e-4, 1e-2, 10), schedules.cosine_decay(1e-2, 20)], [10])),
    ),
}
# Calls of which only the library differs.
BY_IMPORT = {
    "sgd": lambda lib: lib.sgd(1e-2),
    "sgd, momentum": lambda lib: lib.sgd(1e-2, momentum=0.9),
    "sgd, nesterov": lambda lib: lib.sgd(1e-2, momentum=0.9, nesterov=True),
    "adam": lambda lib: lib.adam(1e-2),
    "adam, all numbers": lambda lib: lib.adam(1e-2, b1=0.8, b2=0.99, eps=1e-4, eps_root=1e-4),
    "adamw": lambda lib: lib.adamw(1e-2),
    "adamw, mask": lambda lib: lib.adamw(1e-2, weight_decay=0.1, mask=MASK),
    "adamw, mask function": lambda lib: lib.adamw(1e-2, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
    # Optax adds eps to each magnitude, gradtx to the largest of them; it is too small here to tell.
    "adamax": lambda lib: lib.adamax(1e-2),
    "nadam": lambda lib: lib.nadam(1e-2),
    "nadamw": lambda lib: lib.nadamw(1e-2, weight_decay=0.1, mask=MASK),
    "amsgrad": lambda lib: lib.amsgrad(1e-2),
    "lion": lambda lib: lib.lion(1e-2, weight_decay=0.1, mask=MASK),
    "sign_sgd": lambda lib: lib.sign_sgd(1e-2),
}
RMS, OPTAX_RMS = partial(gx.rmsprop, 1e-2, eps=0.0, eps_root=1e-4), partial(optax.rmsprop, 1e-2, eps=1e-4)
BY_HAND = {
    # Optax's eps is inside the root unless it is told otherwise; gradtx's is outside, and `eps_root` is the one inside.
    "rmsprop, outside": (gx.rmsprop(1e-2, eps=1e-4), OPTAX_RMS(eps_in_sqrt=False)),
    "rmsprop, inside": (RMS(), OPTAX_RMS()),
    # Optax has the momentum after the learning rate, gradtx before it: the same unless the learning rate changes.
    "rmsprop, centered": (RMS(centered=True, momentum=0.9), OPTAX_RMS(centered=True, momentum=0.9)),
    "adadelta": (gx.adadelta(1e-2), optax.adadelta(1e-2)),  # `decay` is called `rho` there
    "adagrad": (gx.adagrad(1e-2, eps=0.0, eps_root=1e-7), optax.adagrad(1e-2)),  # as rmsprop, but always inside
}
PAIRS = THE_SAME | {name: (make(gx), make(optax)) for name, make in BY_IMPORT.items()} | BY_HAND


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_updates_are_the_same_with_optax_and_without(name):
    one, other = map(updates_of, PAIRS[name])
    # Optax takes `1 - b2**t` by subtraction in float32, which costs its Adam 7e-6 of each update. Where terms nearly
    # cancel, the rounding is relative to the terms, which are about as large as the learning rate of 1e-2.
    assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_optax_multi_steps_accumulates_for_gradtx():
    updates = updates_of(optax.MultiSteps(gx.adamw(1e-2), 2))
    means = jax.tree.map(lambda g: g.reshape(-1, 2, *g.shape[1:]).mean(axis=1), GRADS)
    assert_close(jax.tree.map(lambda u: u[1::2], updates), updates_of(gx.adamw(1e-2), means), atol=1e-7)
    assert all(not np.any(u[::2]) for u in jax.tree.leaves(updates))


WRAPS = {
    "chain": gx.chain,
    "named chain": lambda tx: gx.chain(("all", tx)),
    "inject": gx.inject,
    "partition": lambda tx: gx.partition({"a": tx, "b": gx.identity()}, gx.by_path({"**": "a"})),
    "masked": lambda tx: gx.masked(tx, mask=True),
    # Optax passes extras on to instances of this class of its own only.
    "optax.chain": lambda tx: optax.chain(optax.GradientTransformationExtraArgs(*tx)),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_extras_reach_optax_through_gradtx(wrap):
    tx = wrap(gx.chain(gx.sgd(1e-2), reduce_on_plateau(factor=0.5, patience=1)))
    updates = updates_of(tx, value=jnp.float32(1.0))
    # The first value is an improvement; each one after it is not, and halves the scale.
    assert_close(updates, jax.tree.map(lambda g: (-1e-2 * 0.5 ** np.arange(50) * np.asarray(g).T).T, GRADS), atol=0)


def test_an_nnx_optimizer_passes_extras_on():
    model, before = nnx_model(), nnx_model()
    times = gx.treewise(lambda g, state, params, *, value: (jax.tree.map(lambda x: value * x, g), state))
    ones = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    nnx.Optimizer(model, gx.chain(gx.sgd(1.0), times), wrt=nnx.Param).update(model, ones, value=3.0)
    np.testing.assert_allclose(model.layers[2].bias[...], before.layers[2].bias[...] - 3.0)
