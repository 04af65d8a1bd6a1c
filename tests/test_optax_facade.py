"""`gradtx.optax` beside Optax: the same names, arguments, states and numbers."""

import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
import gradtx.optax as facade

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.array([0.5, -0.2])}

# Where two signatures differ, and why.
OTHER_ARGUMENTS = {
    "ScalarOrSchedule": "a type",
    "ShouldSkipUpdateFunction": "a protocol",
    "GradientTransformation": "a class",
    "GradientTransformationExtraArgs": "a class",
}
SUBMODULES = ("contrib", "schedules", "transforms", "tree", "tree_utils")
HANDED_ON = ("losses", "assignment", "perturbations", "projections", "microbatching", "second_order", "experimental")


def _names(module):
    return [name for name in vars(module) if not name.startswith("_") and not inspect.ismodule(getattr(module, name))]


CASES = [("", name) for name in _names(optax)] + [
    (module, name) for module in SUBMODULES for name in _names(getattr(optax, module))
]


def _both(module, name):
    pair = facade, optax
    if module:
        pair = tuple(getattr(library, module) for library in pair)
    return tuple(getattr(library, name) for library in pair)


@pytest.mark.skipif(optax.__version__ != facade.__version__, reason="another version of Optax may have other names")
@pytest.mark.parametrize(("module", "name"), CASES, ids=[".".join(filter(None, case)) for case in CASES])
def test_every_name_is_there_with_the_same_arguments(module, name):
    ours, theirs = _both(module, name)
    if ours is theirs or not callable(theirs) or name in OTHER_ARGUMENTS or hasattr(theirs, "_fields"):
        return
    try:
        wanted = inspect.signature(theirs).parameters.values()
    except ValueError:
        return
    got = list(inspect.signature(ours).parameters.values())
    assert [p.name for p in got] == [p.name for p in wanted]
    assert [p.kind for p in got] == [p.kind for p in wanted]
    for mine, other in zip(got, wanted, strict=True):
        if not callable(other.default) and not hasattr(other.default, "update"):
            assert repr(mine.default) == repr(other.default) or mine.default == other.default, mine.name


def test_what_is_out_of_scope_is_that_of_optax():
    for name in HANDED_ON:
        module, theirs = getattr(facade, name), getattr(optax, name)
        for attribute in _names(theirs):
            assert getattr(module, attribute) is getattr(theirs, attribute)
    assert facade.l2_loss is optax.l2_loss
    with pytest.raises(AttributeError, match=r"neither 'gradtx.optax' nor 'optax' has an attribute 'lost_loss'"):
        facade.lost_loss  # noqa: B018


def test_pairs_and_states_are_of_the_classes_of_optax():
    tx = facade.chain(facade.clip(1.0), facade.adam(1e-3))
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert isinstance(facade.identity(), optax.GradientTransformation)
    assert isinstance(tx.init(PARAMS)[1][0], optax.ScaleByAdamState)
    for name in _names(optax):
        item = getattr(optax, name)
        if hasattr(item, "_fields"):
            assert getattr(facade, name) is item, name


SCHEDULE = {"init_value": 0.1, "decay_steps": 7}
OPTIMIZERS = {
    **{
        name: lambda library, name=name: getattr(library, name)(0.05)
        for name in (
            *("adabelief", "adadelta", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "amsgrad", "fromage"),
            *("lamb", "lars", "lion", "nadam", "nadamw", "novograd", "optimistic_gradient_descent", "radam", "rmsprop"),
            *("rprop", "sgd", "sign_sgd", "signum", "sm3", "yogi", "optimistic_adam_v2", "adafactor"),
        )
    },
    "adam, scheduled": lambda o: o.adam(o.cosine_decay_schedule(**SCHEDULE), nesterov=True, eps_root=1e-6),
    "adamw, masked and scheduled": lambda o: o.adamw(
        o.linear_schedule(0.1, 0.0, 9), b2=0.95, weight_decay=o.constant_schedule(0.1), mask={"w": True, "b": False}
    ),
    "adabelief, nesterov": lambda o: o.adabelief(0.05, nesterov=True),
    "radam, nesterov": lambda o: o.radam(0.05, b2=0.9, nesterov=True),
    "amsgrad, uncorrected": lambda o: o.amsgrad(0.05, bias_correction_mu=False, bias_correction_nu=False),
    "fromage, scheduled": lambda o: o.fromage(o.linear_schedule(0.1, 0.0, 9)),
    "rmsprop, centred": lambda o: o.rmsprop(0.05, eps=1e-5, centered=True, momentum=0.9, nesterov=True),
    "rmsprop, corrected": lambda o: o.rmsprop(0.05, eps_in_sqrt=False, bias_correction=True, initial_scale=1.0),
    "rmsprop, centred and corrected": lambda o: o.rmsprop(0.05, eps=1e-3, centered=True, bias_correction=True),
    "sgd, momentum": lambda o: o.sgd(0.05, momentum=0.9, nesterov=True),
    "adafactor, everything": lambda o: o.adafactor(
        0.05, 2, 0.7, 1, clipping_threshold=0.5, momentum=0.9, weight_decay_rate=0.01
    ),
    "adafactor, not factored": lambda o: o.adafactor(0.05, factored=False, multiply_by_parameter_scale=False),
    "lars, masked": lambda o: o.lars(0.05, 0.1, {"w": True, "b": False}, trust_ratio_mask={"w": False, "b": True}),
    "noisy_sgd": lambda o: o.noisy_sgd(0.05, key=3),
    "adamax, larger eps": lambda o: o.adamax(0.05, eps=0.1),
    "yogi, smaller": lambda o: o.chain(o.scale_by_yogi(eps_root=1e-3, initial_accumulator_value=0.1), o.scale(-0.1)),
    "lion, smooth": lambda o: o.chain(o.scale_by_lion(mode="smooth", smooth_beta=3.0), o.scale(-0.1)),
    "lion, refined": lambda o: o.chain(o.scale_by_lion(mode="refined"), o.scale(-0.1)),
    "ema": lambda o: o.chain(o.ema(0.9), o.trace(1.0), o.scale(-0.01)),
    "ema, as it is": lambda o: o.chain(o.ema(0.9, debias=False), o.scale(-0.01)),
    "apply_every": lambda o: o.chain(o.apply_every(3), o.scale(-0.01)),
    "many": lambda o: o.chain(
        o.zero_nans(),
        o.clip(1.0),
        o.clip_by_block_rms(0.5),
        o.clip_by_global_norm(0.4),
        o.centralize(),
        o.adaptive_grad_clip(0.3),
        o.normalize_by_update_norm(2.0),
        o.scale_by_param_block_norm(),
        o.scale_by_param_block_rms(),
        o.scale_by_trust_ratio(0.1),
        o.add_decayed_weights(0.1),
        o.scale_by_optimistic_gradient(0.5, 0.7),
        o.scale(-0.1),
    ),
    "dog by array": lambda o: o.chain(
        o.scale_by_distance_over_gradients()
        if o is facade
        else optax._src.transform.scale_by_distance_over_gradients(),
        o.scale(-1.0),
    ),
    "nonnegative": lambda o: o.chain(o.sgd(0.5), o.keep_params_nonnegative()),
    "masked": lambda o: o.chain(o.masked(o.adam(0.1), {"w": True, "b": False}), o.scale(0.5)),
    "masked by a function": lambda o: o.masked(o.sgd(0.1), lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
    "multi_transform": lambda o: o.multi_transform({"a": o.adamw(0.1), "z": o.set_to_zero()}, {"w": "a", "b": "z"}),
    "selective": lambda o: o.selective_transform(o.adam(0.1), freeze_mask={"w": True, "b": False}),
    "named": lambda o: o.named_chain(("clip", o.clip(0.5)), ("adam", o.adam(0.1))),
    "flatten": lambda o: o.flatten(o.adam(0.1)),
    "MultiSteps": lambda o: o.MultiSteps(o.adam(0.1), 3).gradient_transformation(),
    "MultiSteps, sums": lambda o: o.MultiSteps(
        o.adam(0.1), lambda n: n + 1, use_grad_mean=False, should_skip_update_fn=o.skip_not_finite
    ).gradient_transformation(),
    "apply_if_finite": lambda o: o.apply_if_finite(o.adam(0.1), 3),
    "conditionally_transform": lambda o: o.conditionally_transform(o.adam(0.1), lambda step: step % 2 == 1),
    "conditionally_mask": lambda o: o.conditionally_mask(o.adam(0.1), lambda step: step % 2 == 0),
    "injected": lambda o: o.inject_hyperparams(o.adamw, static_args=("b2",))(o.exponential_decay(0.1, 2, 0.5), b1=0.8),
    "snapshot": lambda o: o.chain(o.snapshot("norm", o.tree.norm), o.sgd(0.1)),
    **{
        f"contrib.{name}": lambda o, name=name: getattr(o.contrib, name)(0.05)
        for name in (
            *("acprop", "ademamix", "adopt", "simplified_ademamix", "cocob", "dadapt_adamw", "prodigy", "dog", "dowg"),
            *("madgrad", "schedule_free_sgd", "schedule_free_adamw"),
        )
    },
    "contrib.adopt, nesterov": lambda o: o.contrib.adopt(0.05, nesterov=True, use_clipping=False),
    "contrib.ademamix, scheduled": lambda o: o.contrib.ademamix(
        0.05, b3=o.linear_schedule(0.9, 0.99, 5), alpha=o.linear_schedule(0.0, 5.0, 5)
    ),
    "contrib.mechanize": lambda o: o.contrib.mechanize(o.adam(0.1)),
    "contrib.schedule_free": lambda o: o.contrib.schedule_free(o.sgd(0.1), o.linear_schedule(0.0, 0.1, 3), b1=0.8),
    "contrib.sam": lambda o: o.contrib.sam(o.adam(0.1), o.chain(o.contrib.normalize(), o.sgd(0.05)), 3),
    "contrib.split": lambda o: o.contrib.split_real_and_imaginary(o.adam(0.1)),
}
OWN_STATES = (
    *("contrib.acprop", "contrib.cocob", "contrib.dadapt_adamw", "contrib.prodigy", "contrib.dog", "contrib.dowg"),
    *("contrib.madgrad", "contrib.mechanize"),
)
"""What keeps gradtx's own state: nobody reads these fields."""


def _loss(params):
    return jnp.sum((params["w"] @ params["w"].T - 0.3) ** 2) + jnp.sum(jnp.cos(3 * params["b"])) + 3.0


def _run(tx, steps=7):
    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return jax.tree.map(jnp.add, params, updates), state

    params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), float), PARAMS)
    state = tx.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def _plain(tree):
    leaves = [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return [np.asarray(x, np.float64) for x in leaves]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_states_are_those_of_optax(name):
    # In 64 bits: Optax's bias correction rounds in the fifth digit otherwise.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        (params, state), (wanted, their) = (_run(OPTIMIZERS[name](library)) for library in (facade, optax))
    for x, y in zip(_plain(params), _plain(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9)
    if name in OWN_STATES:
        return
    assert jax.tree.structure(state) == jax.tree.structure(their)
    assert [x.dtype for x in jax.tree.leaves(state)] == [x.dtype for x in jax.tree.leaves(their)]
    for x, y in zip(_plain(state), _plain(their), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["adam", "amsgrad", "lion", "rmsprop, centred", "MultiSteps", "injected"])
def test_training_goes_on_with_a_state_of_optax_and_back(name):
    make = OPTIMIZERS[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        _, state = _run(make(optax))
        state = pickle.loads(pickle.dumps(state))
        grads = jax.grad(_loss)(PARAMS)
        (ours, new), (theirs, _) = (make(library).update(grads, state, PARAMS) for library in (facade, optax))
        for x, y in zip(_plain(ours), _plain(theirs), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
        make(optax).update(grads, new, PARAMS)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd, momentum", "adafactor", "lion", "contrib.schedule_free_adamw"])
def test_states_of_half_precision_have_the_dtypes_of_optax(name, dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        ours, theirs = (OPTIMIZERS[name](library).init(params) for library in (facade, optax))
        assert jax.tree.map(jnp.result_type, ours) == jax.tree.map(jnp.result_type, theirs)
        _, new = OPTIMIZERS[name](facade).update(params, ours, params)
    assert jax.tree.map(jnp.result_type, new) == jax.tree.map(jnp.result_type, ours)


def test_the_first_moment_has_its_dtype():
    tx = facade.adamw(1e-3, mu_dtype=jnp.bfloat16)
    state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)[1]
    assert state[0].mu["w"].dtype == jnp.bfloat16
    assert state[0].nu["w"].dtype == jnp.float32


SCHEDULES = {
    "warmup_cosine_decay": lambda o: o.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20, 0.1),
    "warmup_exponential": lambda o: o.warmup_exponential_decay_schedule(0.0, 1.0, 5, 4, 0.5, 2, True, 0.05),
    "join": lambda o: o.join_schedules([o.constant_schedule(1.0), o.linear_schedule(1.0, 0.0, 5)], [7]),
    "piecewise_constant": lambda o: o.piecewise_constant_schedule(1.0, {3: 0.5, 9: 0.1}),
    "piecewise_interpolate": lambda o: o.piecewise_interpolate_schedule("cosine", 1.0, {3: 2.0, 9: 0.1}),
    "one cycle": lambda o: o.cosine_onecycle_schedule(20, 1.0),
    "one cycle, linear": lambda o: o.linear_onecycle_schedule(20, 1.0),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.1, 2.0, 10, 3),
    "exponential": lambda o: o.exponential_decay(1.0, 4, 0.5, 3, True, 0.1),
    "exponential, growing": lambda o: o.exponential_decay(1.0, 4, 1.5, end_value=3.0),
    "sgdr": lambda o: o.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": d, "end_value": 0.1} for d in (6, 12)]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_have_the_values_of_optax(name):
    ours, theirs = (SCHEDULES[name](library) for library in (facade, optax))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted = [theirs(count) for count in range(25)]
        np.testing.assert_allclose([ours(count) for count in range(25)], wanted, rtol=1e-5, atol=1e-7)
        traced = jax.jit(lambda counts: jax.lax.map(ours, counts))(jnp.arange(25, dtype=jnp.int32))
        np.testing.assert_allclose(traced, wanted, rtol=1e-5, atol=1e-7)


def test_states_are_read_and_changed_by_name():
    tx = facade.inject_hyperparams(facade.adam)(0.1)
    state = tx.init(PARAMS)
    assert int(facade.tree.get(state, "ScaleByAdamState").count) == 0
    state = facade.tree_utils.tree_set(state, learning_rate=jnp.float32(0.5))
    assert float(state.hyperparams["learning_rate"]) == 0.5
    with pytest.raises(KeyError, match="Found multiple values for 'count'"):
        facade.tree.get(state, "count")
    with pytest.raises(KeyError, match="Found no values matching 'beta'"):
        facade.tree.set(state, beta=1.0)
    in_half = facade.tree_map_params(tx, lambda x: x.astype(jnp.float16), state)
    assert in_half.inner_state[0].nu["w"].dtype == jnp.float16
    assert in_half.count.dtype == jnp.int32
    of_masked = facade.masked(facade.adam(0.1), {"w": True, "b": False})
    for library in (facade, optax):
        ones = library.tree_map_params(of_masked, jnp.ones_like, of_masked.init(PARAMS))
        assert float(ones.inner_state[0].mu["w"].sum()) == 6.0


def test_wrong_input_is_said():
    with pytest.raises(gx.GradtxValueError, match="the parameters are missing"):
        facade.adamw(1e-3).update(PARAMS, facade.adamw(1e-3).init(PARAMS))
    with pytest.raises(gx.GradtxValueError, match="'z' have no transform; known labels: 'a'"):
        facade.multi_transform({"a": facade.sgd(1.0)}, {"w": "a", "b": "z"}).init(PARAMS)
    with pytest.raises(gx.GradtxValueError, match="expected a state of 2 parts, got 1"):
        facade.sgd(1.0).update(PARAMS, (facade.EmptyState(),))
    with pytest.raises(gx.GradtxValueError, match="static_args: b9 are not arguments"):
        facade.inject_hyperparams(facade.adam, static_args=("b9",))


def test_native_transforms_and_the_facade_go_into_each_other():
    inside = facade.chain(gx.clip_by_global_norm(1.0), facade.adam(0.1))
    around = gx.chain(gx.clip_by_global_norm(1.0), facade.adam(0.1))
    for x, y in zip(_plain(_run(inside)[0]), _plain(_run(around)[0]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize(
    "tx",
    [
        facade.scale_by_polyak(),
        facade.polyak_sgd(),
        facade.lbfgs(),
        facade.scale_by_backtracking_linesearch(3),
        facade.contrib.momo(),
        facade.contrib.momo_adam(),
        facade.contrib.reduce_on_plateau(),
    ],
    ids=["scale_by_polyak", "polyak_sgd", "lbfgs", "backtracking", "momo", "momo_adam", "reduce_on_plateau"],
)
def test_a_missing_loss_is_named(tx):
    params = jnp.ones(2)
    with pytest.raises(gx.GradtxTypeError, match="the extra argument 'value' is missing"):
        tx.update(params, tx.init(params), params)


@pytest.mark.parametrize("name", ["clip", "clip_by_global_norm", "clip_by_block_rms"])
def test_a_bound_of_0_makes_every_update_0(name):
    updates = {"w": jnp.asarray([1.0, -2.0])}
    for library in (facade, optax):
        tx = getattr(library, name)(0.0)
        assert jnp.all(tx.update(updates, tx.init(updates))[0]["w"] == 0)
