"""Quasi-Newton directions and line searches.

The gradients of the laws belong to no loss. A flat one accepts the first step along any direction, so the laws see the
update that a search begins with; searches themselves are in test_line_search.py and test_minimize.py.
"""

import jax
import jax.numpy as jnp

import gradtx as gx

from ._make import CALLS_IN_A_LOOP, case


def _flat(params):
    return 1.0 + 0.0 * sum((jnp.sum(x.real).astype(float) for x in jax.tree.leaves(params)), jnp.zeros((), float))


def _flat_with_slope(params):
    return _flat(params), jax.tree.map(jnp.zeros_like, params)


def _slope(params):
    """The slope of a bowl whose curvatures are 1 and 2."""
    return jax.tree.map(lambda x: x * (1 + jnp.arange(x.size).reshape(x.shape) % 2).astype(x.real.dtype), params)


def _solved_by(tx):
    """They have no learning rate."""
    return {"quadratic": (tx, 40), "rosenbrock": (tx, 100), "ravine": (tx, 20)}


SEARCH = {"temporary": (6.0, "the trial")}
FLAT = {"extras": lambda params: {"value_and_grad_fn": _flat_with_slope}, **SEARCH, "excused": CALLS_IN_A_LOOP}
CURVED = {"magnified": 30.0}  # conjugate directions

CASES = [
    case(
        "precondition_by_lbfgs",
        gx.precondition_by_lbfgs(3),
        stored=8,
        temporary=(8.0, "the products"),
        odd=True,
        scale_invariant=True,
    ),
    case(
        "precondition_by_cg",
        gx.precondition_by_cg(rtol=1e-3),
        stored=0,
        temporary=(8.0, "the products"),
        extras=lambda params: {"grad_fn": _slope},
        excused=CALLS_IN_A_LOOP,
        **CURVED,
    ),
    case("line_search", gx.line_search(gx.scale(-1.0)), stored=1, odd=True, **FLAT),
    case(
        "backtracking",
        gx.backtracking(gx.scale(-1.0), slope=0.0),
        stored=0,
        odd=True,
        extras=lambda params: {"value_fn": _flat},
        excused=CALLS_IN_A_LOOP,
        **SEARCH,
    ),
    case(
        "lbfgs",
        gx.lbfgs(3),
        stored=9,
        odd=True,
        solves=_solved_by(gx.lbfgs()),
        **FLAT | {"temporary": (9.0, "the products and the trial")},
    ),
    case(
        "newton_cg",
        gx.newton_cg(rtol=1e-3),
        stored=1,
        solves=_solved_by(gx.newton_cg()),
        extras=lambda params: {"value_and_grad_fn": _flat_with_slope, "grad_fn": _slope},
        excused=CALLS_IN_A_LOOP,
        **CURVED,
        **SEARCH,
    ),
]
