"""A running Optax optimizer goes on as a gradtx one, and back."""

import functools
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gradtx as gx
from gradtx import schedules
from gradtx.interop.optax import from_state, to_state

RATE, HIS_RATE = schedules.linear(1e-2, 1e-3, 8), optax.linear_schedule(1e-2, 1e-3, 8)
CLIP, HIS_CLIP = gx.clip_by_global_norm(1.0), optax.clip_by_global_norm(1.0)
MASK = {"dense": {"kernel": True, "bias": False}, "out": False}
LABELS = {"dense": {"kernel": "a", "bias": "b"}, "out": "b"}
SQUARED = {"eps": 0.0, "eps_root": 1e-8}  # where Optax has its eps

PAIRS = {
    "sgd": (gx.sgd(0.1), optax.sgd(0.1)),
    "sgd, momentum": (gx.sgd(0.1, 0.9), optax.sgd(0.1, 0.9)),
    "sgd, nesterov": (gx.sgd(RATE, 0.9, nesterov=True), optax.sgd(HIS_RATE, 0.9, nesterov=True)),
    "sgd, schedule": (gx.sgd(RATE), optax.sgd(HIS_RATE)),
    "signum": (gx.signum(1e-2, 0.9), optax.signum(1e-2, 0.9)),
    "adam": (gx.adam(1e-2), optax.adam(1e-2)),
    "adam, no memory": (gx.adam(1e-2, b1=0.0), optax.adam(1e-2, b1=0.0)),
    "adamw": (gx.adamw(1e-2, weight_decay=0.1), optax.adamw(1e-2, weight_decay=0.1)),
    "adamw, chain": (gx.chain(CLIP, gx.adamw(RATE)), optax.chain(HIS_CLIP, optax.adamw(HIS_RATE))),
    "adamax": (gx.adamax(1e-2), optax.adamax(1e-2)),
    "nadamw": (gx.nadamw(1e-2), optax.nadamw(1e-2)),
    "amsgrad": (gx.amsgrad(1e-2), optax.amsgrad(1e-2)),
    "yogi": (gx.yogi(1e-2), optax.yogi(1e-2)),
    "radam": (gx.radam(1e-2), optax.radam(1e-2)),
    "adabelief": (gx.adabelief(1e-2), optax.adabelief(1e-2)),
    "lamb": (gx.lamb(1e-2), optax.lamb(1e-2)),
    "lars": (gx.lars(RATE), optax.lars(HIS_RATE)),
    "lion": (gx.lion(RATE), optax.lion(HIS_RATE)),
    "rmsprop": (gx.rmsprop(RATE, **SQUARED), optax.rmsprop(HIS_RATE)),
    "rmsprop, centred": (
        gx.rmsprop(1e-2, centered=True, momentum=0.9, **SQUARED),
        optax.rmsprop(1e-2, centered=True, momentum=0.9),
    ),
    "rmsprop, nesterov": (
        gx.rmsprop(1e-2, momentum=0.9, nesterov=True, **SQUARED),
        optax.rmsprop(1e-2, momentum=0.9, nesterov=True),
    ),
    "rmsprop, in Optax's order": (
        gx.chain(gx.scale_by_rms(**SQUARED), gx.scale_by_learning_rate(RATE), gx.add_momentum(0.9)),
        optax.rmsprop(HIS_RATE, momentum=0.9),
    ),
    "adagrad": (gx.adagrad(1e-2, eps=0.0, eps_root=1e-7), optax.adagrad(1e-2)),
    "adadelta": (gx.adadelta(RATE), optax.adadelta(HIS_RATE)),
    "corrected average": (gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.9)), optax.ema(0.9)),
    "two in a chain": (
        gx.chain(gx.adam(1e-2), CLIP, gx.add_momentum(0.9)),
        optax.chain(optax.adam(1e-2), HIS_CLIP, optax.trace(0.9)),
    ),
    "named chain": (
        gx.chain(("z", gx.add_momentum(0.8)), ("opt", gx.adam(1e-2)), ("m", gx.add_momentum(0.9))),
        optax.named_chain(("z", optax.trace(0.8)), ("opt", optax.adam(1e-2)), ("m", optax.trace(0.9))),
    ),
    "window of two": (
        gx.accumulate_gradients(gx.adam(RATE), 2),
        optax.MultiSteps(optax.adam(HIS_RATE), 2),
    ),
    "window of three": (
        gx.accumulate_gradients(gx.adam(RATE), schedules.constant(3.0)),
        optax.MultiSteps(optax.adam(HIS_RATE), 3),
    ),
    "apply_if_finite": (
        gx.skip_nonfinite(gx.adam(RATE), 3),
        optax.apply_if_finite(optax.adam(HIS_RATE), 3),
    ),
    "inject_hyperparams": (gx.inject(gx.adam(0.5)), optax.inject_hyperparams(optax.adam)(1e-2)),
    "inject_hyperparams, schedule": (
        gx.sgd(RATE, 0.9),
        optax.inject_hyperparams(optax.sgd)(HIS_RATE, momentum=0.9),
    ),
    "masked": (gx.masked(gx.adam(1e-2), MASK), optax.masked(optax.adam(1e-2), MASK)),
    "partition": (
        gx.partition({"a": gx.adam(1e-2), "b": gx.sgd(RATE, 0.9)}, LABELS),
        optax.partition({"a": optax.adam(1e-2), "b": optax.sgd(HIS_RATE, 0.9)}, LABELS),
    ),
}
MASKED = ("masked", "partition")
# What others share most of their way with; they wait for the slow run.
ALIKE = (
    "adam, no memory",
    "adamw",
    "sgd, schedule",
    "adamax",
    "yogi",
    "radam",
    "lars",
    "lamb",
    "window of three",
    "adadelta",
)
# In Optax they were always counted, and are of no use where nothing is corrected or scheduled.
UNREAD = ("signum", "inject_hyperparams, schedule")


def random_tree(seed, dtype=None):
    random = np.random.default_rng(seed)
    shapes = {"dense": {"kernel": (3, 2), "bias": (2,)}, "out": (4,)}
    return jax.tree.map(
        lambda shape: jnp.asarray(random.standard_normal(shape), dtype), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )


def run(tx, params, state, seeds):
    """Parameters and state after these steps, and how far the parameters went."""
    start = params
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for seed in seeds:
            updates, state = tx.update(random_tree(seed), state, params)
            params = gx.apply_updates(params, updates)
    return params, state, jax.tree.map(jnp.subtract, params, start)


@pytest.fixture
def in_float64():
    """In float32 Optax's bias corrections are wrong by 7e-6, which would hide what goes wrong on the way."""
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.disable_jit())
        yield


def assert_close(actual, expected, rtol=1e-6):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * np.max(np.abs(y), initial=0))


@pytest.mark.parametrize("name", [pytest.param(x, marks=[pytest.mark.slow] if x in ALIKE else []) for x in PAIRS])
def test_a_run_goes_on_with_the_same_numbers_and_back(name, in_float64):
    ours, theirs = PAIRS[name]
    start = random_tree(0)
    params, state, _ = run(theirs, start, theirs.init(start), range(1, 6))
    there, there_state, way = run(theirs, params, state, range(6, 11))

    moved = from_state(state, ours, params if name in MASKED else None)
    here, here_state, own_way = run(ours, params, moved, range(6, 11))
    assert jax.tree.structure(moved) == jax.tree.structure(here_state) == jax.tree.structure(ours.init(params))
    assert_close(own_way, way)

    like = theirs.init(start)
    if name not in UNREAD:
        assert_close(to_state(moved, ours, like), state)
    back = to_state(here_state, ours, like)
    assert jax.tree.map(lambda x: x.dtype, back) == jax.tree.map(lambda x: x.dtype, there_state)
    assert_close(run(theirs, here, back, range(11, 13))[2], run(theirs, there, there_state, range(11, 13))[2])


@functools.cache
def adam_after(tx=PAIRS["adam"][1]):
    """Or another one, after five steps."""
    with jax.disable_jit():
        return run(tx, random_tree(0), tx.init(random_tree(0)), range(1, 6))[1]


def test_in_float32_as_far_as_optax_is_right():
    theirs, ours, params = optax.adam(1e-2), gx.adam(1e-2), random_tree(0)
    state = adam_after()
    moved = from_state(state, ours)
    with jax.disable_jit():
        assert_close(run(ours, params, moved, range(6, 11))[2], run(theirs, params, state, range(6, 11))[2], 2e-5)
        # What was counted is what is counted here.
        assert_close(moved, run(ours, params, ours.init(params), range(1, 6))[1])


def test_moments_in_half_precision_go_there_and_back():
    theirs = optax.adam(1e-2, mu_dtype=jnp.bfloat16)
    state = adam_after(tx=theirs)
    moved = from_state(state, gx.adam(1e-2))
    assert {x.dtype.name for x in jax.tree.leaves(moved)} == {"float32"}
    back = to_state(moved, gx.adam(1e-2), theirs.init(random_tree(0)))
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_arrays_are_copies_that_may_be_donated():
    state = adam_after()
    tx = gx.adam(1e-2)
    jax.jit(tx.update, donate_argnums=1)(random_tree(1), from_state(state, tx))
    assert not any(x.is_deleted() for x in jax.tree.leaves(state))


def test_a_flax_nnx_optimizer():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    with jax.numpy_dtype_promotion("standard"):
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    named = gx.state_dict(gx.adam(1e-2), from_state(optimizer.opt_state, gx.adam(1e-2), params))
    np.testing.assert_allclose(named["adam/scale_by_adam/numerator/scale_by_ema/kernel"], 0.1, rtol=1e-6)


def _refuses(message, state, tx, params=None):
    with pytest.raises(gx.GradtxValueError, match=message):
        from_state(state, tx, params)


def test_another_optimizer_is_refused_by_the_names_of_both():
    adam = adam_after()
    _refuses(
        r"^in from_state > rmsprop > .*scale_by_rms: expected a ScaleByRmsState as the next stateful stage of the "
        r"Optax state, got a ScaleByAdamState",
        adam,
        gx.rmsprop(1e-2),
    )
    _refuses(
        "scale_by_adam: expected a ScaleByAdamState .* got no further stage",
        optax.sgd(0.1).init({}),
        gx.adam(1e-2),
        random_tree(0),
    )
    _refuses("the Optax state has stages without a counterpart in sgd: ScaleByAdamState", adam, gx.sgd(1e-2))
    _refuses(
        "in from_state > .*add_momentum: expected a TraceState", adam, gx.chain(gx.adam(1e-2), gx.add_momentum(0.9))
    )
    _refuses(
        "the Optax state has no counterpart for initial_params/dense/bias, .* of initial_params",
        (),
        gx.initial_params(),
        random_tree(0),
    )
    unknown = optax.chain(optax.adam(1e-2), optax.scale_by_sm3())
    _refuses(
        "stages without a counterpart in adam: ScaleBySM3State",
        adam_after(tx=unknown),
        gx.adam(1e-2),
    )


def test_other_parameters_are_refused():
    adam = adam_after()
    _refuses(
        r"expected the parameters w, got dense/bias, dense/kernel, out in ScaleByAdamState.mu of the Optax state",
        adam,
        gx.adam(1e-2),
        {"w": jnp.ones(2)},
    )
    transposed = jax.tree.map(lambda x: x.T, random_tree(0))
    _refuses(
        r"from_state: 'adam/.*/dense/kernel': expected the shape \(2, 3\), got \(3, 2\)",
        adam,
        gx.adam(1e-2),
        transposed,
    )
    masked = optax.masked(optax.adam(1e-2), MASK)
    _refuses(
        r"expected the parameters for a state with a mask or a partition, got None",
        adam_after(tx=masked),
        gx.masked(gx.adam(1e-2), MASK),
    )


def test_what_a_count_does_not_say_is_refused():
    scheduled = gx.adam(1e-2, b1=schedules.linear(0.8, 0.9, 10))
    _refuses("the decay 'b1' of adam follows a schedule, and a step count does not determine", adam_after(), scheduled)
    momentum = adam_after(tx=optax.sgd(0.1, 0.9))
    _refuses(
        "expected a step count in the Optax state for the schedule of learning_rate, got none",
        momentum,
        gx.sgd(RATE, 0.9),
    )
    moved = from_state(momentum, gx.sgd(0.1, 0.9))
    with pytest.raises(
        gx.GradtxValueError, match="to_state: expected a step count in the state of sgd for Optax's schedule, got none"
    ):
        to_state(moved, gx.sgd(0.1, 0.9), optax.sgd(HIS_RATE, 0.9).init(random_tree(0)))
    apart = adam_after(tx=optax.chain(optax.ema(0.9), optax.adam(1e-2)))
    apart = (apart[0]._replace(count=jnp.int32(9)), *apart[1:])
    several = gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.9), gx.adam(1e-2))
    _refuses("the stages of the Optax state have different step counts: 9, 5", apart, several)


def test_a_momentum_with_the_learning_rate_in_it_is_refused_where_that_changes():
    reason = "in rmsprop: Optax's momentum buffer is scaled by the learning rate, and a scheduled"
    scheduled = adam_after(tx=optax.rmsprop(HIS_RATE, momentum=0.9))
    _refuses(reason.replace("in rmsprop", "from_state > rmsprop"), scheduled, gx.rmsprop(RATE, momentum=0.9))
    _refuses("a scheduled learning rate cannot be divided out", scheduled, gx.rmsprop(1e-2, momentum=0.9))
    constant = adam_after(tx=optax.rmsprop(1e-2, momentum=0.9))
    _refuses("a learning rate of 0 cannot be divided out", constant, gx.rmsprop(0.0, momentum=0.9))


def test_the_largest_moment_of_pytorch_is_not_that_of_optax():
    _refuses(
        "Optax supports corrected=True only, got False",
        adam_after(tx=optax.amsgrad(1e-2)),
        gx.amsgrad(1e-2, corrected=False),
    )


def test_optax_maps_over_what_a_masked_state_holds_of_the_parameters():
    """It asks `init` with an empty node in place of the parameters, which fits every mask and all labels."""
    params = {"a": jnp.ones(3), "b": jnp.ones(2)}
    for tx in (
        gx.masked(gx.adam(0.1), {"a": True, "b": False}),
        gx.partition({"x": gx.adam(0.1), "y": gx.sgd(0.1)}, {"a": "x", "b": "y"}),
        gx.masked(gx.adam(0.1), gx.by_path({"a": True, "**": False})),
    ):
        state = tx.init(params)
        counted = optax.tree_map_params(tx, jnp.ones_like, state)
        assert sum(float(jnp.sum(x)) for x in jax.tree.leaves(counted)) == 6.0
