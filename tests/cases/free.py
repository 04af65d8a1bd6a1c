"""Learning-rate-free and schedule-free ones, and those that want the loss itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import references

import gradtx as gx

from ._make import by_default, case, reference

DIFFERENCE = "an adapted bound is the difference of nearly equal losses, which float32 does not hold to 1e-5"
AGAIN = "norms and estimates want each array before the step can be taken"
ORDERED = {"descends_on_complex_parameters": "it compares numbers, which complex ones cannot be"}
READ_TWICE = "XLA copies the parameters and the sum, which several of its loops read and one overwrites"
ESTIMATE = "the estimate goes through the derivatives of the loss"


def _value(params):
    leaves = [p.astype(float) for p in jax.tree.leaves(params)]
    return sum((jnp.sum(p**2) for p in leaves), jnp.full((), 5.0, float))


def _numpy_value(params):
    return 5 + np.sum(params**2)


def _curved(params):
    """A loss whose Hessian is diagonal, so that the estimate is exact, and well away from 0."""
    leaves = [p.astype(float) for p in jax.tree.leaves(params)]
    return sum((jnp.sum(p**2 - 0.5 * jnp.cos(p)) for p in leaves), jnp.zeros((), float))


def _diagonal(params):
    return 2 + 0.5 * np.cos(params)


VALUE = {"extras": lambda params: {"value": _value(params)}}
CURVATURE = {"extras": lambda params: {"value_fn": _curved, "key": jax.random.key(0)}}


def _by_value(name, **arguments):
    return partial(getattr(references, name), value=_numpy_value, **arguments)


CASES = [
    # Parts.
    case("maximum", gx.maximum(gx.identity(), gx.scale_by_ema(0.9))),
    case("current_params", gx.current_params()),
    case("initial_params", gx.initial_params(), stored=1),
    case("nonnegative_sum", gx.nonnegative_sum(), temporary=(1.0, READ_TWICE)),
    case("max_distance_from_init", gx.max_distance_from_init(0.1), stored=1),
    case("scale_by_global_rss", gx.scale_by_global_rss(eps_root=0.1), odd=True),
    case("scale_by_dadapt", gx.scale_by_dadapt(estim_lr0=0.01), odd=True, stored=3),
    case("scale_by_prodigy", gx.scale_by_prodigy(estim_lr0=0.01), odd=True, stored=4),
    case("momo_step", gx.momo_step(0.1, denominator=gx.chain(gx.absolute(), gx.add_constant(1.0))), odd=True, **VALUE),
    case("schedule_free_averaging", gx.schedule_free_averaging(0.1), odd=True, stored=1),
    case("hutchinson", gx.hutchinson(), **CURVATURE),
    case("hutchinson, now and then", gx.hutchinson(2), **CURVATURE),
    # Distance over gradients, and bets.
    case(
        "dog",
        gx.dog(init_step=0.1, weight_decay=0.01),
        partial(references.dog, init_step=("heuristic", 0.1), weight_decay=0.01),
        stored=1,
        temporary=(1.0, AGAIN),
        solves={"quadratic": (gx.dog(), 2000), "rosenbrock": (gx.dog(), 20000), "ravine": (gx.dog(), 8000)},
    ),
    case(
        "dowg",
        gx.dowg(0.1),
        reference("dowg", learning_rate=0.1),
        stored=1,
        temporary=(1.0, AGAIN),
        solves={"quadratic": (gx.dowg(), 210), "rosenbrock": (gx.dowg(), 5250), "ravine": (gx.dowg(), 2100)},
    ),
    case(
        "cocob",
        gx.cocob(0.5, weight_decay=0.1),
        reference("cocob", learning_rate=0.5, weight_decay=0.1),
        stored=5,
        temporary=(1.0, READ_TWICE),
        excused=ORDERED,
        solves={"quadratic": (gx.cocob(), 300), "rosenbrock": (gx.cocob(), 10000), "ravine": (gx.cocob(), 10500)},
    ),
    # Estimates.
    case(
        "dadapt_adamw",
        gx.dadapt_adamw(estim_lr0=0.01, weight_decay=0.1),
        partial(references.dadapt_adamw, estim_lr0=0.01, weight_decay=0.1),
        stored=3,
        temporary=(2.0, AGAIN),
        solves=by_default(gx.dadapt_adamw, {"quadratic": (1.0, 292), "rosenbrock": (1.0, 1950), "ravine": (1.0, 975)}),
    ),
    case(
        "prodigy",
        gx.prodigy(estim_lr0=0.01, weight_decay=0.1),
        partial(references.prodigy, estim_lr0=0.01, weight_decay=0.1),
        compared=50,
        stored=4,
        solves=by_default(gx.prodigy, {"quadratic": (1.0, 292), "rosenbrock": (1.0, 1950), "ravine": (1.0, 975)}),
    ),
    case(
        "prodigy, warming up",
        gx.prodigy(beta3=0.9, estim_lr0=0.01, safeguard_warmup=True),
        partial(references.prodigy, beta3=0.9, estim_lr0=0.01, safeguard_warmup=True),
        compared=50,
        stored=4,
    ),
    case(
        "momo",
        gx.momo(0.1),
        _by_value("momo", learning_rate=0.1),
        stored=1,
        **VALUE,
        solves={"quadratic": (gx.momo(), 525), "rosenbrock": (gx.momo(), 315), "ravine": (gx.momo(), 525)},
    ),
    case(
        "momo, decayed",
        gx.momo(0.1, weight_decay=0.1),
        _by_value("momo", learning_rate=0.1, weight_decay=0.1),
        **VALUE,
    ),
    case(
        "momo, adapting",
        gx.momo(0.1, adapt_lower_bound=True),
        _by_value("momo", learning_rate=0.1, adapt_lower_bound=True),
        compared=50,
        tolerance=1e-3,
        excused=dict.fromkeys(["jit_equals_eager", "agrees_with_its_reference"], DIFFERENCE),
        **VALUE,
    ),
    case(
        "momo_adam",
        gx.momo_adam(0.1),
        _by_value("momo_adam", learning_rate=0.1),
        stored=2,
        temporary=(1.0, AGAIN),
        **VALUE,
        solves=by_default(gx.momo_adam, {"quadratic": (1.0, 292), "rosenbrock": (1.0, 487), "ravine": (1.0, 487)}),
    ),
    case(
        "momo_adam, adapting",
        gx.momo_adam(0.1, weight_decay=0.1, lower_bound=1.0, adapt_lower_bound=True),
        _by_value("momo_adam", learning_rate=0.1, weight_decay=0.1, lower_bound=1.0, adapt_lower_bound=True),
        compared=50,
        tolerance=1e-3,
        magnified=10.0,  # the same difference
        temporary=(1.0, AGAIN),
        excused=dict.fromkeys(["jit_equals_eager", "agrees_with_its_reference"], DIFFERENCE),
        **VALUE,
    ),
    case(
        "mechanize",
        gx.mechanize(gx.sgd(0.1), s_init=0.1),
        reference("mechanize_sgd", learning_rate=0.1, s_init=0.1),
        compared=50,
        stored=1,
    ),
    # Schedule-free.
    case("schedule_free", gx.schedule_free(gx.adam(0.1), 0.1), odd=True),
    case(
        "schedule_free_sgd",
        gx.schedule_free_sgd(0.1, 10, weight_decay=0.1),
        reference("schedule_free_sgd", learning_rate=0.1, warmup_steps=10, weight_decay=0.1),
        odd=True,
        stored=1,
        solves=by_default(
            gx.schedule_free_sgd, {"quadratic": (1.0, 75), "rosenbrock": (0.003, 3750), "ravine": (0.1, 1500)}
        ),
    ),
    case(
        "schedule_free_adamw",
        gx.schedule_free_adamw(0.1, 10, weight_decay=0.1),
        reference("schedule_free_adamw", learning_rate=0.1, warmup_steps=10, weight_decay=0.1),
        odd=True,
        stored=2,
        solves=by_default(
            gx.schedule_free_adamw, {"quadratic": (3.0, 75), "rosenbrock": (3.0, 2250), "ravine": (3.0, 1500)}
        ),
    ),
    # Curvature.
    case(
        "sophia",
        gx.sophia(1e-3, gamma=0.1, update_interval=2),
        reference("sophia", hessian_diagonal=_diagonal, gamma=0.1, update_interval=2),
        stored=2,
        temporary=(4.0, ESTIMATE),
        excused=ORDERED,
        **CURVATURE,
        solves=by_default(gx.sophia, {"quadratic": (0.3, 750), "rosenbrock": (0.1, 750), "ravine": (0.1, 750)}),
    ),
    case(
        "adahessian",
        gx.adahessian(1e-3, weight_decay=0.1),
        reference("adahessian", hessian_diagonal=_diagonal, weight_decay=0.1),
        stored=2,
        temporary=(4.0, ESTIMATE),
        **CURVATURE,
        solves=by_default(gx.adahessian, {"quadratic": (3.0, 150), "rosenbrock": (3.0, 10500), "ravine": (3.0, 225)}),
    ),
]
