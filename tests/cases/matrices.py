"""Transforms of matrices, and the optimizers made of them."""

import gradtx as gx
from gradtx import schedules
from gradtx.linalg import minimax_polynomials

from ._make import case, reference

TABLE = {"rows": minimax_polynomials(5, 1e-3, 0.02407327424182761).coefficients}

PRODUCTS = (6.0, "the products of a matrix with itself")
SHAPE = {"shape": (6, 4), "matrices": True}
STEEP = {"magnified": 500.0, "tolerance": 1e-3}  # five polynomials, whose slopes at 0 multiply to 1,000
BASES = (20.0, "two bases, and the next ones beside them")
# Eigenvectors of eigenvalues that are near each other turn far.
TURNED = {
    "magnified": 500.0,
    "tolerance": 1e-3,
    "excused": {"sharded_equals_whole": "the factors of a gradient of rank 1 have no determined eigenvectors"},
}
BAND = {"excused": {"numbers_are_declared": "lowest is structure: a table is computed from it"}}


def _solves(factory, **rates):
    """The problems that are solved without a decay of the parameters, by rates that go down to 0."""
    steps = {"quadratic": 500, "rosenbrock": 4000, "ravine": 2000}
    return {
        name: (factory(schedules.cosine_decay(rate, steps[name]), weight_decay=0.0), steps[name])
        for name, rate in rates.items()
    }


CASES = [
    case(
        "orthogonalize",
        gx.orthogonalize(),
        stored=0,
        temporary=PRODUCTS,
        odd=True,
        scale_invariant=True,
        **SHAPE,
        **STEEP,
        **BAND,
    ),
    case(
        "orthogonalize, exact", gx.orthogonalize(method="svd"), stored=0, odd=True, temporary=PRODUCTS, **SHAPE, **BAND
    ),
    case(
        "orthogonalize, keller",
        gx.orthogonalize(method="keller"),
        stored=0,
        odd=True,
        temporary=PRODUCTS,
        **SHAPE,
        **BAND,
    ),
    case("scale_by_shape", gx.scale_by_shape(), stored=0, odd=True, **SHAPE),
    case("scale_by_row_ema", gx.scale_by_row_ema(0.9), stored=1 / 1024, odd=True, **SHAPE),
    case(
        "as_matrices",
        gx.as_matrices(gx.chain(gx.scale_by_ema(0.9), gx.orthogonalize()), gx.matrix(-1, -2)),
        stored=1,
        odd=True,
        temporary=PRODUCTS,
        **SHAPE,
        **STEEP,
    ),
    case("graft", gx.graft(gx.scale_by_ema(0.9), gx.sign()), stored=1, odd=True, temporary=(1.0, "norms")),
    case("keep_norm", gx.keep_norm(gx.sign()), stored=0, odd=True, temporary=(1.0, "norms")),
    case(
        "scale_by_dual_norm",
        gx.scale_by_dual_norm(gx.sign()),
        stored=0,
        odd=True,
        temporary=(1.0, "norms"),
        largest=1e15,
    ),
    case("normalize_by_block_norm", gx.normalize_by_block_norm(), stored=0, odd=True, temporary=(1.0, "norms")),
    case("project_sphere", gx.project_sphere(), stored=0, temporary=(1.0, "norms")),
    case(
        "muon",
        gx.muon(1e-2, method="svd"),
        reference("muon", learning_rate=1e-2, weight_decay=0.1),
        stored=1,
        shape=(6, 4),
        solves=_solves(gx.muon, quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        temporary=PRODUCTS,
        **BAND,
    ),
    case(
        "muon, keller",
        gx.muon(1e-2, 0.9, 0.0, nesterov=False, rule="original", method="keller"),
        reference(
            "muon",
            learning_rate=1e-2,
            momentum=0.9,
            nesterov=False,
            rule="original",
            rows=((3.4445, -4.7750, 2.0315),) * 5,
        ),
        stored=1,
        shape=(6, 4),
        temporary=PRODUCTS,
        **BAND,
    ),
    case(
        "muon, scheduled",
        gx.muon(schedules.linear(1e-2, 0.0, 9)),
        stored=1,
        shape=(6, 4),
        temporary=PRODUCTS,
        **STEEP,
        **BAND,
    ),
    case(
        "normuon",
        gx.normuon(1e-2),
        reference("normuon", learning_rate=1e-2, weight_decay=0.1, **TABLE),
        stored=1,
        shape=(6, 4),
        solves=_solves(gx.normuon, quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        temporary=PRODUCTS,
        **STEEP,
    ),
    case(
        "adamuon",
        gx.adamuon(1e-2),
        reference("adamuon", learning_rate=1e-2, weight_decay=0.1, **TABLE),
        stored=2,
        shape=(6, 4),
        solves=_solves(gx.adamuon, quadratic=0.1, rosenbrock=0.03, ravine=0.03),
        temporary=PRODUCTS,
        **STEEP,
    ),
    case(
        "polargrad",
        gx.polargrad(1e-2),
        reference("polargrad", learning_rate=1e-2, **TABLE),
        stored=1,
        shape=(6, 4),
        solves=_solves(gx.polargrad, quadratic=0.003, rosenbrock=0.0001, ravine=0.003),
        temporary=PRODUCTS,
        largest=1e15,
        **STEEP,
    ),
    case(
        "muon_hyperball",
        gx.muon_hyperball(1e-2),
        reference("muon_hyperball", learning_rate=1e-2, **TABLE),
        stored=1,
        shape=(6, 4),
        temporary=PRODUCTS,
        **STEEP,
    ),
    case(
        "in_eigenbasis",
        gx.in_eigenbasis(gx.ratio(gx.identity(), gx.chain(gx.square(), gx.scale_by_ema(0.9), gx.sqrt())), 0.9, 2),
        stored=5,
        odd=True,
        temporary=BASES,
        **SHAPE,
        **TURNED,
    ),
    case("scale_by_soap", gx.scale_by_soap(), stored=6, odd=True, temporary=BASES, **SHAPE, **TURNED),
    case(
        "soap",
        gx.soap(1e-2, first="skip"),
        reference("soap", learning_rate=1e-2, carry="squares", eps_corrected=True, decay_after=False),
        stored=6,
        shape=(5, 5),
        compared=200,
        temporary=BASES,
        **TURNED,
    ),
    case(
        "soap, first gradient",
        gx.soap(1e-2, first="eigh"),
        shape=(6, 4),
        temporary=BASES,
        solves=_solves(gx.soap, quadratic=0.1, rosenbrock=0.01, ravine=0.01),
        **TURNED,
    ),
    case(
        "soap, smaller side",
        gx.soap(1e-2, first="skip", sides="smaller", every=3),
        reference(
            "soap",
            learning_rate=1e-2,
            every=3,
            carry="squares",
            one_sided=True,
            eps_corrected=True,
            decay_after=False,
        ),
        shape=(5, 4),
        compared=200,
        temporary=BASES,
        **TURNED,
    ),
]
