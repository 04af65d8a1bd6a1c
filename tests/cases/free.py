"""Learning-rate-free and schedule-free ones, and those that want the loss itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import references

import gradtx as gx

from ._make import case, reference

QUOTIENT = "the step is a quotient that is used again"
AGAIN = "norms and estimates want each array before the step can be taken"


def _value(params):
    return 5 + sum(jnp.sum(p.astype(jnp.float32) ** 2) for p in jax.tree.leaves(params))


def _numpy_value(params):
    return 5 + np.sum(params**2)


def _curved(params):
    """A loss whose Hessian is diagonal, so that the estimate is exact, and well away from 0."""
    return sum(
        jnp.sum(p.astype(jnp.float32) ** 2 - 0.5 * jnp.cos(p.astype(jnp.float32))) for p in jax.tree.leaves(params)
    )


def _diagonal(params):
    return 2 + 0.5 * np.cos(params)


VALUE = {"extras": lambda params: {"value": _value(params)}}
CURVATURE = {"extras": lambda params: {"obj_fn": _curved, "key": jax.random.key(0)}}


def _by_value(name, **arguments):
    return partial(getattr(references, name), value=_numpy_value, **arguments)


CASES = [
    # Parts.
    case("maximum", gx.maximum(gx.identity(), gx.scale_by_ema(0.9))),
    case("parameters", gx.parameters()),
    case("start", gx.start(), stored=1),
    case("running_sum_above_zero", gx.running_sum_above_zero()),
    case("distance_travelled", gx.distance_travelled(0.1), stored=1),
    case("scale_by_global_rss", gx.scale_by_global_rss(eps_root=0.1), odd=True),
    case("scale_by_dadapt", gx.scale_by_dadapt(estim_lr0=0.01), odd=True, stored=3),
    case("scale_by_prodigy", gx.scale_by_prodigy(estim_lr0=0.01), odd=True, stored=4),
    case("model_step", gx.model_step(0.1, denominator=gx.chain(gx.absolute(), gx.shift(1.0))), odd=True, **VALUE),
    case("average_ahead", gx.average_ahead(0.1), odd=True, stored=1),
    case("hutchinson", gx.hutchinson(), **CURVATURE),
    case("hutchinson, now and then", gx.hutchinson(2), **CURVATURE),
    # Distance over gradients, and bets.
    case(
        "dog",
        gx.dog(init_step=0.1, weight_decay=0.01),
        partial(references.dog, init_step=("heuristic", 0.1), weight_decay=0.01),
        stored=1,
    ),
    case("dowg", gx.dowg(0.1), reference("dowg", learning_rate=0.1), stored=1),
    case("cocob", gx.cocob(0.5, weight_decay=0.1), reference("cocob", learning_rate=0.5, weight_decay=0.1), stored=5),
    # Estimates.
    case(
        "dadapt_adamw",
        gx.dadapt_adamw(estim_lr0=0.01, weight_decay=0.1),
        partial(references.dadapt_adamw, estim_lr0=0.01, weight_decay=0.1),
        stored=3,
        temporary=(1.0, AGAIN),
    ),
    case(
        "prodigy",
        gx.prodigy(estim_lr0=0.01, weight_decay=0.1),
        partial(references.prodigy, estim_lr0=0.01, weight_decay=0.1),
        compared=50,
        stored=4,
        temporary=(1.0, AGAIN),
    ),
    case(
        "prodigy, warming up",
        gx.prodigy(beta3=0.9, estim_lr0=0.01, safeguard_warmup=True),
        partial(references.prodigy, beta3=0.9, estim_lr0=0.01, safeguard_warmup=True),
        compared=50,
        stored=4,
        temporary=(1.0, AGAIN),
    ),
    case("momo", gx.momo(0.1), _by_value("momo", learning_rate=0.1), stored=1, temporary=(1.0, AGAIN), **VALUE),
    case(
        "momo, decayed",
        gx.momo(0.1, weight_decay=0.1, adapt_lower_bound=True),
        _by_value("momo", learning_rate=0.1, weight_decay=0.1, adapt_lower_bound=True),
        compared=50,
        **VALUE,
    ),
    case("momo_adam", gx.momo_adam(0.1), _by_value("momo_adam", learning_rate=0.1), stored=2, **VALUE),
    case(
        "momo_adam, decayed",
        gx.momo_adam(0.1, weight_decay=0.1, lower_bound=1.0, adapt_lower_bound=True),
        _by_value("momo_adam", learning_rate=0.1, weight_decay=0.1, lower_bound=1.0, adapt_lower_bound=True),
        compared=50,
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
    ),
    case(
        "schedule_free_adamw",
        gx.schedule_free_adamw(0.1, 10, weight_decay=0.1),
        reference("schedule_free_adamw", learning_rate=0.1, warmup_steps=10, weight_decay=0.1),
        odd=True,
        stored=2,
    ),
    # Curvature.
    case(
        "sophia",
        gx.sophia(1e-3, update_interval=2),
        reference("sophia", hessian_diagonal=_diagonal, update_interval=2),
        stored=2,
        temporary=(2.0, "the estimate is an array"),
        **CURVATURE,
    ),
    case(
        "adahessian",
        gx.adahessian(1e-3, weight_decay=0.1),
        reference("adahessian", hessian_diagonal=_diagonal, weight_decay=0.1),
        stored=2,
        temporary=(2.0, "the estimate is an array"),
        **CURVATURE,
    ),
]
