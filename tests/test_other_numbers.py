"""The page for those who come from Optax lists every optimizer and part that has the same name and other numbers."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import test_parity
from optax import contrib
from optax_table import FACADE, NUMBERS, with_other_numbers
from test_parity import RATE, Parity

import gradtx as gx
import gradtx.optax as facade

LISTED = with_other_numbers()
# What is called in another way: with parts, labels or masks, or with parameters of its own class (`lookahead`). And
# what has no numbers (`set_to_zero`).
NOT_COMPARED = {"bias_correction", "chain", "freeze", "lookahead", "masked", "partition", "set_to_zero"}
ROUNDING = 1e-8  # `mechanize` divides the distance from the start by a scale of 1e-6
# By name what is given besides the learning rate: to each function the arguments that it has.
ARGUMENTS = {
    "adafactor": {"learning_rate": None},
    "adaptive_grad_clip": {"clipping": 0.01},
    "add_decayed_weights": {"weight_decay": 0.1},
    "add_noise": {"eta": 0.01, "gamma": 0.55, "key": jax.random.key(0)},
    "clip": {"max_delta": 0.1},
    "clip_by_block_rms": {"threshold": 0.1},
    "clip_by_global_norm": {"max_norm": 0.1},
    "dowg": {"eps": 0.01},
    "dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 1.0, "seed": 3},
    "mechanize": {"inner": gx.sgd(RATE), "base_optimizer": optax.sgd(RATE)},
    "noisy_sgd": {"key": jax.random.key(0)},
    "polyak_sgd": {"scaling": 0.5},
    "scale": {"factor": 0.5, "step_size": 0.5},
    "schedule_free": {"inner": gx.sgd(RATE), "base_optimizer": optax.sgd(RATE)},
    "schedule_free_adamw": {"warmup_steps": 10},
    "schedule_free_sgd": {"warmup_steps": 10},
}
NAMES = sorted(
    name
    for name, item in vars(gx).items()
    if hasattr(item, "spec") and (hasattr(contrib, name) or hasattr(optax, name)) and name not in NOT_COMPARED
)


def _made(name, *homes):
    """The transform of this name, with the arguments above; what is deprecated at the root is of `contrib` first."""
    function = next(getattr(home, name) for home in homes if hasattr(home, name))
    arguments = {"learning_rate": RATE} | ARGUMENTS.get(name, {})
    known = inspect.signature(function).parameters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        return function(**{key: value for key, value in arguments.items() if key in known})


def _differ(ours, theirs, name):
    return test_parity._difference(Parity(ours, theirs, examples=(3,) if name == "dpsgd" else ()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_differs_is_listed_and_the_facade_has_the_numbers_of_optax(name):
    theirs = _made(name, contrib, optax)
    assert _differ(_made(name, gx), theirs, name) < ROUNDING or name in LISTED
    if any(name in names.split(", ") and rest[-1] == FACADE for names, *rest in NUMBERS):
        assert _differ(_made(name, facade.contrib, facade), theirs, name) < 1e-6


def test_deviations_in_the_tests_of_parity_are_listed():
    found = [*test_parity.PARITIES.values(), *test_parity.DIFFERENCES.values()]
    assert {one.ours.factory_name for one in found if one.deviation} <= LISTED


def test_a_tiny_gradient_moves_by_the_step_of_polyak():
    g = jnp.full(3, 1e-9)
    ours, theirs = (tx.update(g, tx.init(g), g, value=1.0)[0] for tx in (gx.scale_by_polyak(), optax.scale_by_polyak()))
    np.testing.assert_array_equal(theirs, 0.0)
    np.testing.assert_allclose(ours, 1e-9, rtol=1e-6)


def test_a_metric_below_0_that_stays_the_same_has_not_improved():
    scales = []
    with jax.numpy_dtype_promotion("standard"):
        for tx in (gx.reduce_on_plateau(0.5, 2), contrib.reduce_on_plateau(0.5, 2)):
            state = tx.init(jnp.ones(2))
            for _ in range(4):
                _, state = tx.update(jnp.ones(2), state, value=jnp.asarray(-1.0))
            scales.append(float(state.scale))
    assert scales == [0.5, 1.0]


# What the last column of the table gives as arguments, where `test_parity.py` does not compare it already.
AS_OPTAX = {
    "adafactor": (gx.adafactor(1.0), optax.adafactor(None)),
    "dowg": (gx.dowg(RATE, init_distance=0.01**0.5, eps=0.01), contrib.dowg(RATE, eps=0.01)),
    "scale_by_ademamix": (gx.scale_by_ademamix(alpha=6.0), contrib.scale_by_ademamix()),
}


@pytest.mark.parametrize("name", AS_OPTAX)
def test_these_arguments_have_the_numbers_of_optax(name):
    assert _differ(*AS_OPTAX[name], name) < 1e-6
