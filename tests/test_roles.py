"""A transform is recognized by its factory and its role, never by the name of the factory or of an argument."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx._values.registry import REGISTRY, Role
from gradtx.interop.optax import from_state, to_state
from gradtx.interop.torch import load_optimizer_state

PARAMS = {"w": jnp.ones(2)}
ADAM = [
    "numerator/scale_by_ema/w",
    "numerator/bias_correction/before",
    "numerator/bias_correction/last",
    "denominator/scale_by_ema/w",
    "denominator/bias_correction/before",
    "denominator/bias_correction/last",
]


def _chain_expression():
    @gx.transformation
    def chain(learning_rate: gx.Scalar):
        return gx.adam(learning_rate)

    return chain(0.1)


def _chain_wrapper():
    @gx.transformation(role="wrapper")
    def chain(inner):
        def init(step, params):
            return {"inner": step.init(inner, params), "norm": jnp.zeros(())}

        def update(step, updates, state, params):
            updates, new = step.update(inner, updates, state["inner"], params)
            return updates, {"inner": new, "norm": gx.tree.norm(updates)}

        return gx.combinator(init, update)

    return chain(gx.scale_by_adam())


def _names(tx):
    return list(gx.state_dict(tx, tx.init(PARAMS)))


def test_the_registry_keeps_the_factories_of_gradtx():
    tx = _chain_expression()
    assert tx.factory_name == "chain"
    assert REGISTRY["chain"] is gx.chain.spec is not tx._spec
    assert tx._spec.role is None
    assert gx.chain.spec.role is Role.SERIES


def test_only_a_series_adds_no_level_to_names():
    inside = [f"scale_by_adam/{name}" for name in ADAM]
    assert _names(gx.chain(gx.scale_by_adam())) == inside
    assert _names(_chain_expression()) == [f"chain/{name}" for name in inside]
    assert _names(_chain_wrapper()) == [*(f"chain/inner/{name}" for name in inside), "chain/norm"]


def test_a_series_of_another_name_adds_no_level():
    @gx.transformation(role="series")
    def pipeline(*stages):
        return gx.chain(*stages)

    tx, chain = (factory(gx.clip(1.0), gx.scale_by_adam()) for factory in (pipeline, gx.chain))
    assert _names(tx) == _names(chain) == [f"scale_by_adam/{name}" for name in ADAM]
    assert str(gx.diagram(tx)) == str(gx.diagram(chain))


def test_diagrams_of_a_let_and_a_use_of_the_user():
    @gx.transformation
    def let(factor: gx.Scalar):
        return gx.elementwise(lambda g: factor * g)

    @gx.transformation
    def use(tag: str):
        return gx.sign()

    drawn = gx.diagram(gx.chain(let(2.0), use("m")))
    assert '["let<br/>factor=2.0"]' in str(drawn)
    assert "use" in str(drawn)
    assert "let" in drawn.svg
    names = gx.diagram(gx.let("m", gx.sign(), gx.use("m")))
    assert "-.->" in str(names)
    assert "-.->" not in str(drawn)


def test_diagrams_of_a_naming_factory_with_other_argument_names():
    @gx.transformation(role="naming")
    def let(moment, tag, rest):
        return gx.let(tag, moment, rest)

    ours = gx.let("m", gx.scale_by_ema(0.9), gx.difference(gx.identity(), gx.use("m")))
    theirs = let(gx.scale_by_ema(0.9), "m", gx.difference(gx.identity(), gx.use("m")))
    assert str(gx.diagram(theirs)) == str(gx.diagram(ours))
    assert gx.diagram(theirs).svg == gx.diagram(ours).svg


def test_diagrams_of_roles_without_a_name_show_boxes():
    @gx.transformation(role="naming")
    def let(inner):
        return gx.chain(inner)

    @gx.transformation(role="reading")
    def use(factor: gx.Scalar):
        return gx.elementwise(lambda g: factor * g)

    drawn = str(gx.diagram(let(use(2.0))))
    assert 'subgraph n1["let"]' in drawn
    assert '["use<br/>factor=2.0"]' in drawn


def _primitive_called(name):
    """A stateful factory of the user: one array per parameter, and no bias correction."""

    def body(decay: gx.Decay = 0.5):
        return gx.memory(jnp.zeros_like, lambda g, m, p: decay * m + g, lambda g, m, p: m)

    body.__name__ = body.__qualname__ = name
    return gx.transformation(body)


THEIRS = {
    "bias_correction": optax.ema(0.9),
    "bias_correction_ahead": optax.ema(0.9),
    "scale_by_ema": optax.ema(0.9),
    "scale_by_adam": optax.scale_by_adam(),
    "add_momentum": optax.trace(0.9),
    "rmsprop": optax.rmsprop(0.1, momentum=0.9),
    "accumulate_gradients": optax.MultiSteps(optax.sgd(0.1), 2),
    "skip_nonfinite": optax.apply_if_finite(optax.sgd(0.1), 2),
    "inject": optax.inject_hyperparams(optax.sgd)(0.1),
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_factory_with_a_name_of_gradtx_has_no_counterpart_in_optax(name):
    theirs, tx = THEIRS[name], _primitive_called(name)()
    assert REGISTRY[name] is getattr(gx, name).spec is not tx._spec
    state = theirs.init(PARAMS)
    message = f"no counterpart for {name}/w of {name}|stages without a counterpart in {name}"
    with pytest.raises(gx.GradtxValueError, match=message):
        from_state(state, tx, PARAMS)
    with pytest.raises(gx.GradtxValueError, match=message):
        to_state(tx.init(PARAMS), tx, state)


def test_the_step_count_of_optax_is_not_given_to_a_bias_correction_of_the_user():
    theirs = optax.ema(0.9).init(PARAMS)
    from_state(theirs, gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.9)), PARAMS)
    tx = gx.chain(gx.scale_by_ema(0.9), _primitive_called("bias_correction")(0.9))
    with pytest.raises(gx.GradtxValueError, match="no counterpart for bias_correction/w of chain"):
        from_state(theirs, tx, PARAMS)


def _run(tx, steps=3):
    state = tx.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):  # for Optax
        for step in range(steps):
            _, state = tx.update({"w": jnp.asarray([1.0, -2.0]) * (step + 1)}, state, PARAMS)
    return state


def _close(got, expected):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_an_expression_with_a_name_of_gradtx_is_followed_to_its_parts():
    @gx.transformation
    def scale_by_adam(learning_rate: gx.Scalar):
        return gx.chain(gx.add_momentum(0.9), gx.scale(learning_rate))

    @gx.transformation
    def bias_correction(learning_rate: gx.Scalar):
        return gx.adam(learning_rate)

    for tx, theirs in (
        (scale_by_adam(0.1), optax.chain(optax.trace(0.9), optax.scale(0.1))),
        (bias_correction(0.1), optax.adam(0.1)),
    ):
        state = _run(theirs)
        moved = from_state(state, tx, PARAMS)
        _close(moved, _run(tx))
        _close(to_state(moved, tx, theirs.init(PARAMS)), state)


def test_a_factory_with_a_name_of_gradtx_has_no_counterpart_in_pytorch():
    checkpoint = {"state": {0: {"step": 1, "exp_avg": np.ones(2), "exp_avg_sq": np.ones(2)}}}
    load_optimizer_state(checkpoint, gx.scale_by_adam(), PARAMS, ["w"])
    with pytest.raises(gx.GradtxValueError, match="no counterpart for scale_by_adam/w of scale_by_adam"):
        load_optimizer_state(checkpoint, _primitive_called("scale_by_adam")(), PARAMS, ["w"])


@pytest.mark.parametrize("name", ["init", "update", "replace", "arguments", "expression", "factory_name"])
def test_arguments_with_the_name_of_an_attribute_are_refused(name):
    namespace = {}
    exec(f"def factory({name}): return None", namespace)
    with pytest.raises(gx.GradtxTypeError, match=f"factory: .*{name!r}"):
        gx.transformation(namespace["factory"])


def test_arguments_are_attributes():
    assert gx.record("grad", gx.tree.norm).name == "grad"
    assert gx.scale(2.0).factor == 2.0
    assert gx.reduce_on_plateau(0.5).factor == 0.5
    assert gx.let("m", gx.sign(), gx.use("m")).name == "m"

    @gx.transformation
    def smooth(kernel: object, name: str, factor: gx.Scalar):
        return gx.scale(factor)

    tx = smooth((1, 2), "wide", 0.5)
    assert (tx.kernel, tx.name, tx.factor) == ((1, 2), "wide", 0.5)


def test_dir_lists_the_arguments_and_nothing_private():
    listed = dir(gx.adam(1e-3))
    assert set(gx.adam(1e-3).arguments) <= set(listed)
    assert {"init", "update", "replace"} <= set(listed)
    assert not [name for name in listed if name.startswith("_")]
