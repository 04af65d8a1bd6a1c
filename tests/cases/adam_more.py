"""Adams of later years, and what they are made of."""

from functools import partial

import gradtx as gx
from gradtx import schedules

from . import _make
from ._make import SMALL_EPS, by_default, reference

case = partial(_make.case, tolerance=1e-6)

# Before its second moment can be trusted, RAdam is gradient descent, which the walls of a valley throw far away.
WARM = schedules.warmup(1000, schedules.cosine_decay(0.3, 3000))

LAST = "the update of the step before is overwritten with the one that is read beside it"

CASES = [
    case("radam_denominator", gx.radam_denominator(0.9), nonnegative=True),
    # RAdam and AdaBound.
    case("scale_by_radam", gx.scale_by_radam(), odd=True, stored=2),
    case(
        "radam",
        gx.radam(1e-3),
        reference("radam"),
        odd=True,
        stored=2,
        solves={"quadratic": (0.3, 225), "rosenbrock": (gx.radam(WARM), 4000), "ravine": (0.03, 6000)},
    ),
    case("radam, of a short memory", gx.radam(1e-3, b2=0.9), reference("radam", b2=0.9), odd=True),
    case("radam, never", gx.radam(1e-3, b2=0.5), reference("radam", b2=0.5), odd=True),
    case(
        "adabound",
        gx.adabound(0.1),
        reference("adabound", learning_rate=0.1),
        odd=True,
        stored=2,
        solves={"quadratic": (3.0, 150), "rosenbrock": (0.3, 375), "ravine": (3.0, 225)},
    ),
    # AdaBelief.
    case("scale_by_belief", gx.scale_by_belief(eps=SMALL_EPS, eps_root=0.0), odd=True, scale_invariant=True, stored=2),
    case(
        "adabelief",
        gx.adabelief(1e-3),
        reference("adabelief"),
        odd=True,
        stored=2,
        solves={"quadratic": (3.0, 150), "rosenbrock": (1.0, 1500), "ravine": (1.0, 225)},
    ),
    # The change of the gradient.
    case("scale_by_adan", gx.scale_by_adan(), odd=True, stored=4, temporary=(1.0, LAST)),
    case(
        "adan",
        gx.adan(1e-3, weight_decay=0.1),
        reference("adan", weight_decay=0.1),
        odd=True,
        stored=4,
        temporary=(1.0, LAST),
        solves=by_default(gx.adan, {"quadratic": (3.0, 150), "rosenbrock": (0.3, 750), "ravine": (3.0, 750)}),
    ),
    case(
        "mars",
        gx.mars(1e-3, weight_decay=0.1),
        reference("mars", weight_decay=0.1),
        odd=True,
        stored=3,
        temporary=(1.0, LAST),
        solves=by_default(gx.mars, {"quadratic": (3.0, 75), "rosenbrock": (0.1, 225), "ravine": (1.0, 150)}),
    ),
    # Optimism.
    case(
        "optimistic_adam",
        gx.optimistic_adam(1e-3, alpha=0.9, beta=0.7),
        reference("optimistic_adam", alpha=0.9, beta=0.7),
        odd=True,
        stored=3,
        temporary=(2.0, LAST + ", and is a quotient that goes two ways"),
        solves=by_default(
            gx.optimistic_adam, {"quadratic": (3.0, 75), "rosenbrock": (0.3, 1500), "ravine": (3.0, 375)}
        ),
    ),
    # Several means.
    case("scale_by_ademamix", gx.scale_by_ademamix(b3=0.999, eps=SMALL_EPS), odd=True, scale_invariant=True, stored=3),
    case(
        "ademamix",
        gx.ademamix(1e-3, b3=0.999, weight_decay=0.1),
        reference("ademamix", b3=0.999, weight_decay=0.1),
        odd=True,
        stored=3,
        solves=by_default(gx.ademamix, {"quadratic": (3.0, 150), "rosenbrock": (1.0, 1500), "ravine": (1.0, 500)}),
    ),
    case(
        "simplified_ademamix",
        gx.simplified_ademamix(1e-3, alpha=2.0),
        reference("simplified_ademamix", alpha=2.0),
        odd=True,
        stored=2,
        solves=by_default(
            gx.simplified_ademamix, {"quadratic": (0.1, 3750), "rosenbrock": (0.03, 2250), "ravine": (0.01, 3750)}
        ),
    ),
    # Asynchronous ones.
    case(
        "adopt",
        gx.adopt(1e-3, b2=0.999, weight_decay=0.1),
        reference("adopt", b2=0.999, weight_decay=0.1),
        odd=True,
        stored=2,
        temporary=(1.0, LAST),
        solves=by_default(gx.adopt, {"quadratic": (3.0, 225), "rosenbrock": (1.0, 2250), "ravine": (3.0, 375)}),
    ),
    case(
        "acprop",
        gx.acprop(1e-3),
        reference("acprop"),
        odd=True,
        stored=2,
        temporary=(1.0, LAST),
        solves={"quadratic": (3.0, 150), "rosenbrock": (0.003, 15000), "ravine": (0.3, 3750)},
    ),
    # AdamP.
    case(
        "remove_radial",
        gx.remove_radial(gx.identity(), delta=1.0, weight_decay=0.1),
        odd=True,
    ),
    case(
        "adamp",
        gx.adamp(1e-3, weight_decay=0.1, delta=1.0),
        reference("adamp", weight_decay=0.1, delta=1.0),
        shape=(4, 3),
        odd=True,
        stored=2,
        temporary=(5.0, "cosines and projections of whole rows"),
        solves=by_default(gx.adamp, {"quadratic": (3.0, 225), "rosenbrock": (1.0, 1500), "ravine": (1.0, 225)}),
    ),
]
