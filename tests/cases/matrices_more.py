"""Shampoo, PSGD, Scion, and methods of a low rank."""

import jax
import jax.numpy as jnp
import numpy as np
import references

import gradtx as gx
from gradtx import schedules

from ._make import case, reference
from .matrices import BAND, BASES, PRODUCTS, SHAPE, STEEP, TURNED, _solves

ROOTS = {"magnified": 100.0, "tolerance": 1e-3}  # inverse roots of factors of condition 100
RIDGE = {"excused": {"numbers_are_declared": "ridge is structure: how many polynomials there are depends on it"}}
SLICES = {"excused": {"numbers_are_declared": "fraction is structure: how many slices there are depends on it"}}
FACTORS = {"temporary": (20.0, "two factors and their roots"), **ROOTS}


def _first_basis(seed, inputs, rank):
    """The directions that `scale_by_dion` begins with."""
    with jax.enable_x64(True):
        state = gx.scale_by_dion(rank, seed=seed).init(jnp.zeros((inputs, 4)))
    return np.asarray(state.basis, float)


CASES = [
    case("lmo", gx.lmo(), stored=0, odd=True, scale_invariant=True, temporary=PRODUCTS, **SHAPE, **STEEP, **BAND),
    *(
        case(
            f"lmo, {norm}",
            gx.lmo(norm),
            stored=0,
            odd=True,
            scale_invariant=True,
            temporary=(1.0, "norms"),
            **SHAPE,
            **BAND,
        )
        for norm in ("sign", "columns", "rows", "rms")
    ),
    case("precondition_by_kronecker", gx.precondition_by_kronecker(ridge=1e-2), odd=True, **SHAPE, **FACTORS, **RIDGE),
    case(
        "precondition_by_kl_kronecker",
        gx.precondition_by_kl_kronecker(ridge=1e-2, every=3),
        odd=True,
        **SHAPE,
        **FACTORS,
        **RIDGE,
    ),
    case("precondition_by_whitening", gx.precondition_by_whitening(), odd=True, **SHAPE, **FACTORS),
    case("low_rank", gx.low_rank(gx.scale_by_ema(0.9), 2, every=5), odd=True, temporary=BASES, **SHAPE, **TURNED),
    case("scale_by_dion", gx.scale_by_dion(2), odd=True, temporary=BASES, **SHAPE, **TURNED),
    case(
        "orthogonalize_largest",
        gx.orthogonalize_largest(),
        stored=1,
        odd=True,
        temporary=PRODUCTS,
        **SHAPE,
        **STEEP,
        **SLICES,
    ),
    case(
        "scion",
        gx.scion(1e-2, radius=2.0, method="svd"),
        reference("scion", learning_rate=1e-2, radius=2.0),
        stored=1,
        shape=(6, 4),
        solves={
            name: (gx.scion(schedules.cosine_decay(rate, steps), radius=1.0, constrained=False), steps)
            for name, rate, steps in [("quadratic", 0.1, 500), ("rosenbrock", 0.03, 4000), ("ravine", 0.1, 2000)]
        },
        temporary=PRODUCTS,
        **BAND,
    ),
    case(
        "mars_muon",
        gx.mars_muon(1e-2, method="svd"),
        reference("mars_muon", learning_rate=1e-2, weight_decay=0.1),
        stored=2,
        shape=(6, 4),
        solves=_solves(gx.mars_muon, quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        temporary=PRODUCTS,
        **BAND,
    ),
    case(
        "shampoo",
        gx.shampoo(1e-2, ridge=1e-2, weight_decay=0.1),
        reference("shampoo", learning_rate=1e-2, decay=0.999, ridge=1e-2, weight_decay=0.1),
        shape=(6, 4),
        stored=7,
        solves=_solves(gx.shampoo, quadratic=0.3, rosenbrock=0.3, ravine=0.3),
        **FACTORS,
        **RIDGE,
    ),
    case(
        "kl_shampoo",
        gx.kl_shampoo(1e-2, ridge=1e-2, weight_decay=0.1, every=3),
        reference("kl_shampoo", learning_rate=1e-2, ridge=1e-2, weight_decay=0.1, every=3),
        shape=(6, 4),
        stored=5,
        solves=_solves(gx.kl_shampoo, quadratic=0.3, rosenbrock=0.3, ravine=0.3),
        **FACTORS,
        **RIDGE,
    ),
    case(
        "dion",
        gx.dion(1e-2, 2),
        lambda gradients, parameters: references.dion(
            gradients, parameters, learning_rate=1e-2, rank=2, weight_decay=0.01, first_basis=_first_basis(0, 6, 2)
        ),
        shape=(6, 4),
        solves=_solves(lambda rate, **more: gx.dion(rate, 4, **more), quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        temporary=BASES,
        **TURNED,
    ),
    case(
        "galore_adamw",
        gx.galore_adamw(1e-2, 2, every=20, weight_decay=0.1),
        reference("galore_adamw", learning_rate=1e-2, rank=2, every=20, eps=1e-8, weight_decay=0.1),
        shape=(6, 4),
        solves=_solves(gx.galore_adamw, quadratic=0.3, rosenbrock=0.3, ravine=0.3),
        temporary=BASES,
        **TURNED,
    ),
    case(
        "psgd_kron",
        gx.psgd_kron(1e-2, weight_decay=0.1),
        reference("psgd_kron", learning_rate=1e-2, weight_decay=0.1),
        shape=(6, 4),
        stored=3,
        solves=_solves(gx.psgd_kron, quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        **FACTORS,
    ),
]
