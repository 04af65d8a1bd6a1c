"""Inside Optax and around it, and number for number against it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import reduce_on_plateau

import gradtx as gx
from gradtx import schedules


def assert_close(actual, expected, rtol=1e-5, atol=1e-6):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), actual, expected)


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
LABELS = gx.by_path({"**/bias": "plain", "**": "decayed"})
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
    "partition": lambda tx: gx.partition({"a": tx, "b": gx.identity()}, gx.by_path({"**": "a"}), allow_unused=True),
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


def test_as_optaxs_class():
    tx = gx.momo(0.1)
    theirs = gx.interop.optax.to_optax(tx)
    assert isinstance(theirs, optax.GradientTransformationExtraArgs)
    params, g = jnp.ones(3), jnp.full(3, 0.5)
    whole = optax.chain(theirs, optax.scale(1.0))
    got, _ = whole.update(g, whole.init(params), params, value=jnp.asarray(2.0))
    wanted, _ = tx.update(g, tx.init(params), params, value=jnp.asarray(2.0))
    np.testing.assert_array_equal(got, wanted)
