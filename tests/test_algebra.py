"""Equations between compositions."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import chain, identity, parallel, ratio, scale_by_ema, sqrt, square

RANDOM = np.random.default_rng(0)
PARAMS = {"w": jnp.asarray(RANDOM.standard_normal((3, 2)), jnp.float32), "b": jnp.ones(2)}
GRADIENTS = [
    jax.tree.map(lambda p: jnp.asarray(RANDOM.standard_normal(p.shape), jnp.float32), PARAMS) for _ in range(5)
]


def _updates(tx):
    def run():
        params, state, out = PARAMS, tx.init(PARAMS), []
        for g in GRADIENTS:
            u, state = tx.update(g, state, params)
            params = gx.apply_updates(params, u)
            out.append(u)
        return out

    return jax.jit(run)()


EQUATIONS = {
    "scale_by_rms is a ratio": (
        gx.scale_by_rms(0.9, 1e-8),
        ratio(identity(), chain(square(), scale_by_ema(0.9), sqrt()), 1e-8),
    ),
    "chain is associative": (
        chain(chain(square(), gx.running_sum()), gx.scale(0.1)),
        chain(square(), chain(gx.running_sum(), gx.scale(0.1))),
    ),
    "identity is a left unit": (chain(identity(), gx.adam(0.1)), gx.adam(0.1)),
    "identity is a right unit": (chain(gx.adam(0.1), identity()), gx.adam(0.1)),
    "an empty chain is the identity": (chain(), identity()),
    "names change nothing": (chain(("z", gx.adam(0.1)), ("a", gx.scale(2.0))), chain(gx.adam(0.1), gx.scale(2.0))),
    "adam without a first moment is corrected rmsprop": (
        gx.adam(0.1, b1=0.0),
        chain(
            ratio(identity(), chain(square(), scale_by_ema(0.999), gx.bias_correction(0.999), sqrt()), 1e-8),
            gx.scale_by_learning_rate(0.1),
        ),
    ),
    "adam is its expression": (
        gx.adam(0.1),
        chain(
            ratio(
                chain(scale_by_ema(0.9), gx.bias_correction(0.9)),
                chain(square(), scale_by_ema(0.999), gx.bias_correction(0.999), sqrt()),
                1e-8,
            ),
            gx.scale_by_learning_rate(0.1),
        ),
    ),
    "adamw without decay is adam": (gx.adamw(0.1, weight_decay=0.0), gx.adam(0.1)),
    "a mask of nothing is no decay": (
        gx.adamw(0.1, weight_decay=0.5, mask=gx.by_path({"**": False})),
        gx.adam(0.1),
    ),
    "a mask of everything is decay": (
        gx.adamw(0.1, weight_decay=0.5, mask=gx.by_path({"**": True})),
        gx.adamw(0.1, weight_decay=0.5),
    ),
    "nesterov is sgd with nesterov": (gx.nesterov(0.1), gx.sgd(0.1, 0.9, nesterov=True)),
    "momentum of 0 is none": (gx.sgd(0.1, 0.0), gx.sgd(0.1)),
    "nesterov is the momentum and one step": (
        gx.add_momentum(0.9, nesterov=True),
        parallel(operator.add, identity(), chain(gx.add_momentum(0.9), gx.scale(0.9))),
    ),
    "one group is the transform itself": (gx.partition({"a": gx.adam(0.1)}, gx.by_path({"**": "a"})), gx.adam(0.1)),
    "masked is a partition": (
        gx.masked(gx.adam(0.1), {"w": True, "b": False}, rest=gx.sgd(0.1)),
        gx.partition({1: gx.adam(0.1), 2: gx.sgd(0.1)}, {"w": 1, "b": 2}),
    ),
    "inject changes nothing": (gx.inject(gx.adamw(0.1)), gx.adamw(0.1)),
    "a ratio with itself is 1": (ratio(identity(), identity()), chain(gx.power(0.0))),
    "reciprocal is the power -1": (chain(square(), gx.reciprocal()), chain(square(), gx.power(-1.0))),
    "sqrt is the power one half": (chain(square(), sqrt()), chain(square(), gx.power(0.5))),
    "the root of the square is the magnitude": (chain(square(), sqrt()), gx.absolute()),
    "the sign is the ratio to the magnitude": (gx.sign(), ratio(identity(), gx.absolute())),
    "a running maximum with decay 0 is the magnitude": (chain(gx.absolute(), gx.running_max(0.0)), gx.absolute()),
    "an eps under the root": (
        gx.scale_by_rms(0.9, 0.0, 0.1),
        ratio(
            identity(),
            chain(
                square(),
                scale_by_ema(0.9),
                gx.elementwise(lambda x: x + 0.1),
                sqrt(),
            ),
        ),
    ),
    "previous twice is two steps ago": (
        chain(gx.delay(), gx.delay(), gx.running_sum()),
        chain(gx.running_sum(), gx.delay(), gx.delay()),
    ),
    "kernels and trees give the same": (
        chain(gx.masked(gx.adam(0.1), gx.by_path({"**": True})), gx.scale(0.5)),
        chain(gx.adam(0.1), gx.scale(0.5)),
    ),
    "a name is for what stands twice": (
        gx.let("m", scale_by_ema(0.9), ratio(gx.difference(identity(), gx.use("m")), gx.use("m"), 0.1)),
        ratio(gx.difference(identity(), scale_by_ema(0.9)), scale_by_ema(0.9), 0.1),
    ),
    "a name is read inside trees as inside kernels": (
        gx.let("m", scale_by_ema(0.9), gx.add(gx.use("m"), gx.clip_by_global_norm(1.0))),
        gx.add(scale_by_ema(0.9), gx.clip_by_global_norm(1.0)),
    ),
    "an inner name hides the outer": (
        gx.let("m", square(), gx.let("m", scale_by_ema(0.9), gx.use("m"))),
        scale_by_ema(0.9),
    ),
    "a sum with the opposite is a difference": (
        gx.add(identity(), chain(scale_by_ema(0.9), gx.scale(-1.0))),
        gx.difference(identity(), scale_by_ema(0.9)),
    ),
    "sign times magnitude": (gx.product(gx.sign(), gx.absolute()), identity()),
    "the larger of an update and its opposite": (gx.maximum(identity(), gx.scale(-1.0)), gx.absolute()),
    "bounds of one size": (gx.clip_between(-0.5, 0.5), gx.clip(0.5)),
    "a magnitude is at least 0": (chain(gx.absolute(), gx.clip_min(0.0)), gx.absolute()),
    "shifts add up": (chain(gx.add_constant(0.25), gx.add_constant(0.5)), gx.add_constant(0.75)),
    "corrected rmsprop is adam without a first moment": (
        gx.rmsprop(0.1, 0.999, bias_correction=True),
        gx.adam(0.1, b1=0.0),
    ),
    "ademamix without the slow mean is adam": (gx.ademamix(0.1, alpha=0.0), gx.adam(0.1)),
    "quasi-hyperbolic adam of moments alone is adam": (gx.qhadam(0.1, b1=0.9, nu1=1.0, nu2=1.0), gx.adam(0.1)),
    "adamp whose threshold is 0 is adamw": (
        gx.adamp(0.1, weight_decay=0.2, delta=0.0),
        gx.adamw(0.1, weight_decay=0.2),
    ),
    "schedule-free without interpolation is the inner transform": (
        gx.schedule_free(gx.adam(0.1), 0.1, b1=0.0),
        gx.adam(0.1),
    ),
    "adabound with wide bounds is adam": (gx.adabound(0.1, final_lr=1e6, gamma=1e-9), gx.adam(0.1)),
    "adagrad starts from what it is told": (
        gx.adagrad(0.1, 0.5),
        chain(ratio(identity(), chain(square(), gx.running_sum(0.5), sqrt()), 1e-7), gx.scale_by_learning_rate(0.1)),
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_equation(name):
    left, right = EQUATIONS[name]
    for a, b in zip(jax.tree.leaves(_updates(left)), jax.tree.leaves(_updates(right)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def test_states_have_the_places_of_the_parts():
    assert gx.scale_by_ema(0.9).init(PARAMS).keys() == PARAMS.keys()
    named = chain(("z", gx.scale_by_ema(0.9)), ("a", gx.adam(0.1))).init(PARAMS)
    assert set(named) == {"z", "a"}
    assert named["z"].keys() == PARAMS.keys()
    state = gx.partition({"x": gx.sgd(0.1, 0.9), "y": gx.sgd(0.1)}, {"w": "x", "b": "y"}).init(PARAMS)
    assert state["x"][0]["b"] is None
    assert state["y"] == ()


def test_what_works_on_each_array_by_itself():
    assert gx.adam(0.1)._built().work.leaf is not None
    assert chain(gx.adamw(0.1), gx.scale(1.0))._built().work.leaf is not None
    assert gx.adam(gx.schedules.constant(0.1))._built().work.leaf is not None
    assert gx.inject(gx.adam(0.1))._built().work.leaf is not None
    assert gx.adamw(0.1)._built().work.leaf.needs_params
    for tx in (gx.clip_by_global_norm(1.0), chain(gx.clip_by_global_norm(1.0), gx.adam(0.1))):
        assert tx._built().work.leaf is None


def test_the_unit_of_a_chain_takes_what_the_parts_of_one_take():
    params = {"i": jnp.arange(3), "x": jnp.ones(2)}
    for tx in (gx.set_to_zero(), gx.identity(), chain(), chain(gx.set_to_zero()), chain(gx.identity(), gx.identity())):
        out, _ = tx.update(params, tx.init(params), params)
        assert out["i"].dtype == params["i"].dtype


def test_a_part_may_have_any_name():
    """One called as what factories have is a part as well."""
    inner = chain(("spec", gx.scale(2.0)), ("update", gx.scale_by_ema(0.9)))
    outer = gx.masked(inner, True)
    names = gx.state_dict(outer, outer.init(PARAMS))
    assert any("update" in name for name in names)
    restored = gx.load_state_dict(outer, PARAMS, names)
    assert jax.tree.structure(restored) == jax.tree.structure(outer.init(PARAMS))
