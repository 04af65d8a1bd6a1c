"""The commonest mistakes of all: each is told apart, named in words, and has its remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
TRANSFORMS = [
    gx.adam(0.1),
    gx.adamw(0.1),
    gx.sgd(0.1, 0.9),
    gx.adafactor(0.1),
    gx.lookahead(gx.adam(0.1), 2, 0.5),
    gx.inject(gx.adam(0.1)),
    gx.partition({"all": gx.adam(0.1)}, "all"),
    gx.accumulate_gradients(gx.adam(0.1), 2),
    gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1)),
    gx.bucketed(gx.adam(0.1), min_count=1),
]
MISTAKES = {
    "nothing": (lambda tx: None, r"got None; create it with state = tx.init\(params\)"),
    "init not called": (lambda tx: tx.init, r"got the method `init`, which was not called; .*tx.init\(params\)"),
    "the transform": (lambda tx: tx, r"got the transform .*; create its state with state = tx.init\(params\)"),
    "not unpacked": (
        lambda tx: tx.update(PARAMS, tx.init(PARAMS), PARAMS),
        r"got updates and a state, as tx.update returns them; unpack them: updates, state = tx.update\(",
    ),
    "parameters": (
        lambda tx: PARAMS,
        r"got a tree shaped like the parameters; the order is tx.update\(updates, state, params\)",
    ),
    "of Optax": (
        lambda tx: optax.adam(0.1).init(PARAMS),
        r"got Optax's EmptyState, ScaleByAdamState; convert it: gradtx.interop.optax.from_state\(state, tx, params\)",
    ),
    "by name": (
        lambda tx: gx.state_dict(tx, tx.init(PARAMS)),
        r"got a dict of arrays by name; restore it: gradtx.load_state_dict\(tx, params, state\)",
    ),
    "of another": (
        lambda tx: gx.yogi(0.1).init(PARAMS),
        r"got a state like that of .*; create it with tx.init\(params\)",
    ),
    "in lists": (lambda tx: list(gx.adam(0.1).init(PARAMS)), "got a list; if it was restored"),
}


NO_PYTREES = {"init not called"}  # jit refuses a function before gradtx sees it
GIVEN = [
    pytest.param(mistake, tx, jitted, id=f"{mistake}-{tx.factory_name}-{'jitted' if jitted else 'eager'}")
    for mistake in MISTAKES
    for tx in TRANSFORMS
    for jitted in (False, True)
    if not (jitted and mistake in NO_PYTREES) and not (mistake == "of another" and tx == gx.adam(0.1))  # has its state
]


@pytest.mark.parametrize(("mistake", "tx", "jitted"), GIVEN)
def test_what_is_given_as_the_state(mistake, tx, jitted):
    give, complaint = MISTAKES[mistake]
    state = give(tx)

    def update(state):
        return tx.update(PARAMS, state, PARAMS)

    with pytest.raises(gx.GradtxValueError, match=f"expected the state of {tx.factory_name} as the second") as error:
        (jax.jit(update) if jitted else update)(state)
    assert error.match(complaint)


@pytest.mark.parametrize("tx", TRANSFORMS, ids=lambda tx: tx.factory_name)
def test_parameters_and_state_swapped(tx):
    with pytest.raises(gx.GradtxError, match=r"parameters and state are swapped; the order is tx.update\(updates, st"):
        tx.update(PARAMS, PARAMS, tx.init(PARAMS))


def test_a_transform_is_not_called():
    with pytest.raises(gx.GradtxTypeError, match=r"call tx.update\(updates, state, params\)"):
        gx.adam(0.1)(PARAMS)


def test_an_optimizer_that_is_right_but_whose_step_fails_says_so():
    """Errors that have another cause are not taken for a wrong state."""
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.momo())
    with pytest.raises(gx.GradtxTypeError, match="the extra argument 'value' is missing"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    broken = gx.elementwise(lambda g: g.no_such_method())
    with pytest.raises(AttributeError, match="no_such_method"):
        gx.chain(gx.adam(0.1), broken).update(PARAMS, gx.chain(gx.adam(0.1), broken).init(PARAMS))


def test_extras_inside_optax():
    tx = optax.chain(gx.momo())
    with pytest.raises(gx.GradtxTypeError, match=r"'value' is missing.*optax.GradientTransformationExtraArgs\(\*tx\)"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, value=1.0)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("MultiSteps", r"accumulate_gradients\(tx, every\)"),
        ("multi_transform", r"partition\(transforms, labels\)"),
        ("inject_hyperparams", r"inject\(tx\)"),
        ("ema", r"chain\(scale_by_ema\(decay\), bias_correction\(decay\)\)"),
        ("trace", r"add_momentum\(decay\)"),
        ("global_norm", r"tree.norm\(tree\)"),
        ("warmup_cosine_decay_schedule", r"schedules.warmup\(warmup_steps, schedules.cosine_decay"),
        ("apply_if_finite", r"skip_nonfinite\(tx, max_consecutive\)"),
        ("AdamW", "adamw"),
        ("SGD", "sgd"),
        ("RMSprop", "rmsprop"),
        ("CosineAnnealingLR", "schedules.cosine_decay"),
    ],
)
def test_names_of_other_libraries(name, here):
    with pytest.raises(AttributeError, match=rf"module 'gradtx' has no attribute '{name}'; here it is {here}"):
        getattr(gx, name)


def test_a_name_of_optax_is_told_in_both_ways():
    import gradtx.optax as facade

    for name in facade.__all__:
        if hasattr(gx, name):
            continue
        with pytest.raises(AttributeError, match=rf"here it is .+; as in Optax it is gradtx.optax.{name}$"):
            getattr(gx, name)


def test_counterparts_are_there():
    """Every function that a counterpart begins with exists, and no name is that of something of gradtx."""
    from gradtx._base.counterparts import COUNTERPARTS

    scope = {"gradtx": gx, "jax": jax, "np": np, **vars(gx), "Schedule": gx.Schedule}
    for name, text in COUNTERPARTS.items():
        assert name not in gx.__all__
        start = text.split("(")[0].split(",")[0].split(";")[0].split(" ")[0]
        if start not in ("tx.update", "tx.init", "nothing:"):
            assert eval(start, scope) is not None


def test_states_of_wrappers_are_not_taken_for_something_else():
    """A dict of groups was not restored from a file, and the two fields of `Injected` are no updates and state."""
    groups = gx.masked(gx.adam(0.1), True)
    for other in (groups, gx.inject(gx.adam(0.1))):
        with pytest.raises(gx.GradtxValueError, match="the state of") as error:
            gx.adam(0.1).update(PARAMS, other.init(PARAMS), PARAMS)
        assert "unpack" not in str(error.value)
        assert "restored" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: gx.sgd(0.1, dampening=0.1), "chain\\(scale\\(1 - dampening\\), tx\\)"),
        (lambda: gx.adagrad(0.1, lr_decay=0.1), "schedules.inverse_time_decay"),
        (lambda: gx.adam(0.1, decoupled_weight_decay=True), "adamw"),
        (lambda: gx.reduce_on_plateau(min_lr=1e-3), "min_scale"),
        (lambda: gx.schedules.cosine_decay(1e-3, T_max=10), "here it is steps"),
        (lambda: gx.schedules.exponential_decay(1e-3, 10, gamma=0.1), "here it is decay_rate"),
    ],
)
def test_arguments_of_pytorch(call, hint):
    with pytest.raises(gx.GradtxTypeError, match=hint):
        call()


def test_a_range_is_named_once():
    tx = gx.inject(gx.sgd(0.1))
    with pytest.raises(gx.GradtxValueError, match=r"learning_rate: expected a number of at least 0, got -1\.0"):
        gx.set_hyperparams(tx.init(PARAMS), learning_rate=-1.0)


def test_how_to_ascend_is_said_of_rates_only():
    with pytest.raises(gx.GradtxValueError, match="to ascend"):
        gx.sgd(-0.1)
    with pytest.raises(gx.GradtxValueError) as error:
        gx.clip_by_global_norm(-1.0)
    assert "ascend" not in str(error.value)


def test_a_string_is_no_number_and_swapped_arguments_are_told():
    with pytest.raises(gx.GradtxValueError, match="learning_rate: expected a number"):
        gx.set_hyperparams(gx.inject(gx.sgd(0.1)).init(PARAMS), learning_rate="a")
    with pytest.raises(gx.GradtxTypeError, match="swapped"):
        gx.summary(PARAMS, gx.sgd(0.1))
