"""What newcomers tried, and what they are told: the cause and the remedy."""

import haiku
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

import gradtx as gx
from gradtx import optax as facade

PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
STATE = gx.adam(0.1).init(PARAMS)


@gx.transformation
def without_state():
    return (lambda params: ()), (lambda updates, state, params: updates)


@gx.schedule
def a_number(value: gx.Scalar):
    return value


@gx.transformation
def a_function(rate: gx.Scalar):
    return lambda g: -rate * g


def _stepped(loss, **options):
    return gx.make_train_step(loss, gx.adam(0.1), donate=False, **options)(PARAMS, STATE)


STACKED = jax.tree.map(lambda p: jnp.stack([p, p]), PARAMS)
SCHEDULED = gx.adam(gx.schedules.linear(1.0, 0.0, 10))

MISTAKES = {
    "a schedule in a chain": (lambda: gx.chain(gx.adam(0.1), gx.schedules.linear(1.0, 0.0, 10)), "that is a schedule"),
    "an operator": (lambda: gx.adam(0.1) | gx.clip(1.0), r"chain\(a, b\) in series"),
    "a sum": (lambda: gx.adam(0.1) + gx.clip(1.0), r"add\(a, b\)"),
    "an item": (lambda: gx.chain(gx.clip(1.0), gx.adam(0.1))[1], "has no item 1"),
    "nesterov without momentum": (lambda: gx.sgd(0.1, nesterov=True), "nesterov=True needs a momentum"),
    "a mask under another name": (lambda: gx.adamw(0.1, weight_decay_mask=True), "here it is mask"),
    "the transform as parameters": (lambda: gx.adam(0.1).init(gx.adam(0.1)), r"got adam\(.*; call tx.init\(params\)"),
    "the state as parameters": (lambda: gx.adam(0.1).init(STATE), "expected the parameters, got a state"),
    "shapes as parameters": (lambda: gx.adam(0.1).init(jax.eval_shape(lambda: PARAMS)), r"jax.eval_shape\(tx.init"),
    "an inject of Optax": (lambda: gx.inject(optax.adam(0.1)), "made of gradtx's factories"),
    "integers to minimize over": (lambda: gx.minimize(jnp.sum, gx.lbfgs(), jnp.arange(3)), "start from floating-point"),
    "parameters in place of a transform": (lambda: gx.minimize(jnp.sum, jnp.ones(3), gx.lbfgs()), "are swapped"),
    "an update without a state": (
        lambda: without_state().update(PARAMS, (), PARAMS),
        r"has to return \(updates, state\)",
    ),
    "a decomposition as a step": (
        lambda: gx.matrixwise(jnp.linalg.svd).update(jnp.eye(2), ()),
        r"expected one matrix of the shape \(2, 2\)",
    ),
    "a choice that is traced": (
        lambda: jax.jit(lambda on: gx.sgd(0.1, 0.9, nesterov=on).init(jnp.ones(2)))(True),
        "make the transform outside of jit",
    ),
    "axes by a function of two": (
        lambda: gx.muon(0.1, axes=lambda path, p: p.ndim == 2).init(PARAMS),
        r"a function for axes .* by_path\({'\*\*/kernel': matrix\(\)",
    ),
    "the state of gradtx in the facade": (
        lambda: facade.scale_by_adam().update(PARAMS, STATE),
        "expected Optax's ScaleByAdamState",
    ),
    "a string in the facade": (
        lambda: facade.adam("1e-3"),
        "learning_rate: expected a number or a schedule, got '1e-3'",
    ),
    "updates one level deeper": (
        lambda: gx.adam(0.1).update({"params": PARAMS}, STATE, PARAMS),
        r"one level deeper, in 'params'; give what is in it",
    ),
    "a mask by a leaf": (
        lambda: gx.adamw(0.1, mask=lambda p: p.ndim > 1).init(PARAMS),
        r"mask: the function gets the whole tree .* gradtx.where\(lambda path, p",
    ),
    "two decays": (
        lambda: gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.99)),
        "averages with the decay 0.9, and bias_correction corrects one of 0.99",
    ),
    "a schedule's factory that returns a number": (lambda: a_number(1.0)(3), "return lambda step"),
    "a transform as a number": (lambda: gx.adam(gx.adam(0.1)), r"transforms are composed: chain\("),
    "a transform as a function": (lambda: gx.elementwise(gx.square()), r"got the transform square\(\); transforms are"),
    "a transform as a state": (lambda: gx.eval_params(gx.adam(0.1), PARAMS), r"call eval_params\(state, params\)"),
    "names by keyword": (lambda: gx.chain(clip=gx.clip(1.0)), r"with names: chain\(\('clip', clip"),
    "the limit of a minimization by position": (
        lambda: gx.minimize(lambda p: jnp.sum(p), gx.lbfgs(), jnp.zeros(2), 100),
        "limits are given by name, as in max_steps=100",
    ),
    "a state in place of parameters": (
        lambda: gx.load_state_dict(gx.adam(0.1), STATE, gx.state_dict(gx.adam(0.1), STATE)),
        r"call load_state_dict\(tx, params, d\)",
    ),
    "a file without names": (
        lambda: gx.load_state_dict(gx.adam(0.1), PARAMS, {"arr_0": np.zeros(1)}),
        "it was saved without names",
    ),
    "the state of an optimizer with an option": (
        lambda: gx.adam(0.1).update(PARAMS, gx.sgd(0.1, momentum=0.9).init(PARAMS), PARAMS),
        "a state like that of .*sgd with momentum",
    ),
    "an optimizer in place of a factory": (
        lambda: facade.inject_hyperparams(facade.adam(0.1)),
        "expected a factory, as in inject_hyperparams",
    ),
    "the name of an optimizer": (lambda: gx.soap(0.1, rest="adamw"), r"got 'adamw'; give adamw\(learning_rate"),
    "the state of another optimizer of Optax": (
        lambda: gx.interop.optax.from_state(optax.adam(0.1).init(PARAMS), gx.sgd(0.1, momentum=0.9), PARAMS),
        "give the transform that is made as the one of Optax was",
    ),
    "a state made by vmap": (
        lambda: gx.adam(0.1).update(STACKED, jax.vmap(gx.adam(0.1).init)(STACKED), STACKED),
        r"it was made by jax.vmap\(tx.init\), .* jax.vmap\(tx.update\)",
    ),
    "a scheduled state made by vmap": (
        lambda: SCHEDULED.update(STACKED, jax.vmap(SCHEDULED.init)(STACKED), STACKED),
        r"it was made by jax.vmap\(tx.init\)",
    ),
    "regular expressions": (
        lambda: gx.adamw(0.1, mask=gx.by_path({".*bias": False, ".*": True})).init(PARAMS),
        r"not regular expressions: write '\*\*/bias' for",
    ),
    "a label that is missing": (
        lambda: gx.partition({"a": gx.sgd(0.1)}, {"dense": {"kernel": "a"}}).init(PARAMS),
        "there are none for dense/bias",
    ),
    "a number in place of a switch": (lambda: gx.sgd(0.1, 0.9, 1e-4), r"it is called as sgd\(learning_rate"),
    "rates in a dict": (lambda: gx.adam({"kernel": 1e-3, "bias": 1e-4}), r"for several: partition\("),
    "a function in a config": (
        lambda: gx.to_config(gx.adam(lambda step: 1e-3)),
        "a function has no name in a config, and adam.learning_rate",
    ),
    "no dtype": (lambda: facade.adam(1e-3, mu_dtype="bf16"), "'bf16' is not a dtype"),
    "a body that returns a function of a gradient": (
        lambda: a_function(0.1).init(PARAMS),
        r"of a gradient it is one by elementwise\(function\)",
    ),
    "lists in place of tuples": (
        lambda: gx.adam(0.1).update([[jnp.ones(2)]], gx.adam(0.1).init([(jnp.ones(2),)]), [(jnp.ones(2),)]),
        r"at '0' a list and a tuple; .* jax.tree.unflatten\(jax.tree.structure\(params\), jax.tree.leaves\(grads\)",
    ),
    "auxiliary output and loss in the other order": (
        lambda: _stepped(lambda params: ({"loss": 1.0}, jnp.sum(params["dense"]["bias"])), has_aux=True),
        r"swapped: return \(loss, aux\)",
    ),
    "one number with has_aux": (
        lambda: _stepped(lambda params: jnp.sum(params["dense"]["bias"]), has_aux=True),
        r"got one array, float32 of the shape \(\); return both, or leave has_aux out",
    ),
    "several transforms in a plot": (
        lambda: gx.plot.trajectories([gx.sgd(0.1), gx.adam(0.1)], gx.problems.surfaces.ravine),
        "give a dict by name",
    ),
    "the arguments of a plot in the other order": (
        lambda: gx.plot.schedule(100, gx.schedules.constant(1.0)),
        r"swapped; call plot.schedule\(schedule, steps\)",
    ),
    "a network of Haiku": (
        lambda: gx.adam(0.1).init(haiku.transform(lambda x: x)),
        r"got a network, Transformed; its parameters are net.init\(key, x\)",
    ),
    "a module of Flax": (
        lambda: gx.adam(0.1).init(linen.Dense(2)),
        r"a network, Dense; .* net.init\(key, x\)\['params'\]",
    ),
    "an array of objects": (
        lambda: gx.adam(0.1).init({"w": np.asarray([None, None])}),
        "the leaf 'w' is a NumPy array of the dtype object",
    ),
    "a warm-up longer than the whole": (
        lambda: facade.warmup_cosine_decay_schedule(0.0, 1.0, 100, 50),
        "warmup_cosine_decay_schedule: expected decay_steps above warmup_steps, as it counts the warm-up too",
    ),
    "nothing in a chain": (lambda: gx.chain(gx.clip(1.0), None), r"got None as part 1; for no transform: identity\(\)"),
    "nothing under a name in a chain": (lambda: gx.chain(("clip", None), ("opt", gx.sgd(0.1))), "got None as part 0"),
    "a duration for each schedule": (
        lambda: gx.schedules.join([gx.schedules.constant(1.0), gx.schedules.constant(0.1)], [10, 90]),
        "expected 1 duration for 2 segments",
    ),
    "a duration for each value": (
        lambda: gx.schedules.piecewise_constant([1.0, 0.1, 0.01], [10, 90, 10]),
        "expected 2 durations for 3 segments",
    ),
    "a duration for each value of a line": (
        lambda: gx.schedules.piecewise_interpolate([1.0, 0.1], [10, 90]),
        "expected 1 duration .* between 2 values",
    ),
    "a schedule in place of a whole number": (
        lambda: gx.muon(0.1, steps=gx.schedules.linear(3, 5, 100)),
        "muon: steps: expected a whole number, .* cannot follow a schedule",
    ),
    "a schedule in place of a string": (
        lambda: gx.scale_by_polyak(variant=gx.schedules.constant(1.0)),
        "scale_by_polyak: variant: expected a string, .* cannot follow a schedule",
    ),
    "a learning rate of L-BFGS": (lambda: gx.lbfgs(1e-3), "there is no learning rate"),
    "the loss in place of loss and gradient": (
        lambda: gx.lbfgs().update(
            PARAMS, gx.lbfgs().init(PARAMS), PARAMS, value_and_grad_fn=lambda params: jnp.ones(())
        ),
        r"got one array; give jax.value_and_grad\(loss\), or value_fn=loss",
    ),
    "the losses of the examples": (
        lambda: gx.polyak_sgd().update(PARAMS, gx.polyak_sgd().init(PARAMS), PARAMS, value=jnp.ones(32)),
        r"of the shape \(32,\); take its mean",
    ),
    "a switch by position": (lambda: gx.sgd(0.1, True), "got True; True goes by name: nesterov=True"),
    "a bound of 0": (lambda: gx.clip_by_global_norm(0.0), "for no bound leave the part out"),
    "a bound of 0 for each array": (lambda: gx.clip_by_block_norm(0), "for no bound leave the part out"),
    "a bound of 0 for each element": (lambda: gx.clip(0.0), "for no bound leave the part out"),
    "several arrays per parameter": (
        lambda: gx.memory(lambda p: (p, p), lambda g, m, p: m).init(PARAMS),
        "init returned a tuple; it returns one array per parameter",
    ),
    "an unknown beginning of names": (
        lambda: gx.load_state_dict(gx.adam(0.1), PARAMS, gx.state_dict(gx.adam(0.1), STATE), rename={"x": "y"}),
        "entries are adam/scale_by_adam",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_says_what_to_do(name):
    make, message = MISTAKES[name]
    with pytest.raises(gx.GradtxError, match=message):
        make()


@pytest.mark.parametrize(
    ("result", "hint"), [(None, "is `return` missing"), ({"loss": 1.0}, "give one entry, or .* has_aux=True")]
)
def test_a_loss_that_is_no_number(result, hint):
    tx = gx.adam(0.1)
    step = gx.make_train_step(lambda params: result, tx, donate=False)
    with pytest.raises(gx.GradtxTypeError, match=hint):
        step(PARAMS, STATE)
    with pytest.raises(gx.GradtxTypeError, match=hint):
        gx.minimize(lambda params: result, tx, PARAMS)


@pytest.mark.parametrize(
    ("module", "name", "hint"),
    [
        (gx, "adma", "did you mean 'adam'"),
        (gx, "cosine_decay", "it is gradtx.schedules.cosine_decay"),
        (gx, "global_norm", "gradtx"),
        (facade, "adm", "did you mean 'adam'"),
        (facade, "muon", "it is contrib.muon"),
    ],
)
def test_names(module, name, hint):
    with pytest.raises(AttributeError, match=hint):
        getattr(module, name)


def test_names_of_other_kinds_are_not_offered():
    with pytest.raises(AttributeError) as error:
        _ = gx.positive_decay
    assert "PositiveDecay" not in str(error.value)


def test_a_module_is_renamed_wherever_it_occurs():
    tx, now = gx.adam(0.1), {"linear": PARAMS["dense"]}
    _, state = tx.update(PARAMS, STATE, PARAMS)
    got = gx.load_state_dict(tx, now, gx.state_dict(tx, state), rename={"dense": "linear"})
    _, wanted = tx.update(now, tx.init(now), now)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_names_are_not_given_to_the_arrays_of_other_parts():
    saved = gx.state_dict(gx.sgd(0.1, momentum=0.9), gx.sgd(0.1, momentum=0.9).init({"w": jnp.ones(2)}))
    with pytest.raises(gx.GradtxValueError) as error:
        gx.load_state_dict(gx.lion(0.1), {"w": jnp.ones(2)}, saved)
    assert "add_momentum'" not in str(error.value)
    assert "strict=False" not in str(error.value)


@pytest.mark.parametrize("is_jitted", [False, True])
def test_a_function_that_branches_on_values(is_jitted):
    tx = gx.chain(gx.elementwise(lambda g: g if g > 0 else -g), gx.sgd(0.1))
    update = jax.jit(tx.update) if is_jitted else tx.update
    with pytest.raises((ValueError, TypeError)) as error:
        update(jnp.ones(2), tx.init(jnp.ones(2)))
    assert any("jnp.where" in note for note in error.value.__notes__)


def test_a_beginning_of_names_is_not_taken_for_a_part_of_others():
    old = gx.chain(gx.add_momentum(0.9), gx.accumulate_gradients(gx.add_momentum(0.9), 2))
    new = gx.chain(gx.skip_nonfinite(gx.add_momentum(0.9)), gx.accumulate_gradients(gx.add_momentum(0.9), 2))
    rename = {"add_momentum": "skip_nonfinite/inner/add_momentum"}
    _, state = old.update(PARAMS, old.init(PARAMS))
    with pytest.warns(UserWarning, match="skip_nonfinite"):
        got = gx.load_state_dict(new, PARAMS, gx.state_dict(old, state), rename=rename, strict=False)
    names = gx.state_dict(new, got)
    assert jnp.all(names["skip_nonfinite/inner/add_momentum/dense/bias"] == 1)


def test_the_cause_of_an_error_in_init_stays():
    def init(params):
        cause = KeyError("cause")
        raise RuntimeError("mine") from cause

    with pytest.raises(RuntimeError) as error:
        gx.GradientTransformation(init, lambda updates, state, params: (updates, state)).init(PARAMS)
    assert isinstance(error.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "params", [(PARAMS, STATE), [PARAMS, STATE], {"state": STATE}, gx.sgd(jnp.float32(0.1)), (jnp.ones(2), jnp.ones(2))]
)
def test_what_may_be_parameters(params):
    gx.clip(1.0).init(params)


def test_shapes_are_enough_for_a_state_without_arrays():
    assert gx.sgd(0.1).init(jax.eval_shape(lambda: PARAMS)) == ()


def test_a_state_of_what_is_no_number():
    tx = gx.matrixwise(lambda g, key: (g, key), init=lambda p: jax.random.key(0))
    tx.update(jnp.eye(2), tx.init(jnp.eye(2)))


def _sum(params):
    return jnp.sum(params["dense"]["bias"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: _stepped(lambda params: float(_sum(params))),
        lambda: _stepped(lambda params: _sum(params).item()),
        lambda: gx.minimize(lambda params: np.asarray(_sum(params)), gx.adam(0.1), PARAMS),
        lambda: gx.sweep(lambda tx, key: float(tx.learning_rate), gx.adam(0.1), {"learning_rate": [0.1]}),
    ],
)
def test_a_loss_that_is_read_while_it_is_traced(call):
    with pytest.raises((jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)) as error:
        call()
    assert any("return the array itself" in note for note in error.value.__notes__)


def test_a_state_that_leaked():
    states, tx = [STATE], gx.adam(0.1)

    @jax.jit
    def step(grads):
        updates, state = tx.update(grads, states[-1], PARAMS)
        states.append(state)
        return updates

    step(PARAMS)
    with pytest.raises(jax.errors.UnexpectedTracerError) as error:
        tx.update(PARAMS, states[-1], PARAMS)
    assert any("return them from it" in note for note in error.value.__notes__)


def test_the_state_of_another_optimizer_is_recognized_from_few_leaves():
    seen = []

    @gx.transformation
    def counting(learning_rate: gx.NonNegative):
        return gx.treewise(lambda u, s, p: (u, s), lambda params: seen.append(len(jax.tree.leaves(params))) or ())

    params = {str(index): PARAMS for index in range(30)}
    for other, name in ((gx.lion(0.1), "lion"), (gx.muon(0.1), "muon"), (gx.sgd(0.1, 0.9), "sgd with momentum")):
        with pytest.raises(gx.GradtxValueError, match=f"a state like that of {name}"):
            gx.adam(0.1).update(params, other.init(params), params)
    assert set(seen) == {2}  # a matrix and a vector


def test_a_schedule_of_the_facade_under_vmap():
    def value(peak):
        return facade.warmup_cosine_decay_schedule(0.0, peak, 10, 50, end_value=0.1)(30)

    peaks = [0.0, 0.5, 1.0]
    np.testing.assert_allclose(jax.vmap(value)(jnp.asarray(peaks)), list(map(value, peaks)), rtol=1e-6)


def test_arguments_that_may_be_schedules_stay_so():
    @gx.transformation
    def handed_on(rate: float):
        return gx.sgd(rate)

    handed_on(SCHEDULED.learning_rate).init(PARAMS)
    gx.schedules.warmup(10, gx.schedules.constant(1.0))
    gx.clip(gx.schedules.linear(0.0, 1.0, 10))
