"""Adam and its kin."""

from functools import partial

import gradtx as gx
from gradtx import schedules

from . import _make
from ._make import SMALL_EPS, by_default, reference

case = partial(_make.case, tolerance=1e-6)  # the whole family is closer to its references than others need be

CASES = [
    # Adam.
    case(
        "scale_by_adam",
        gx.scale_by_adam(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=2,
    ),
    case(
        "scale_by_adamax",
        gx.scale_by_adamax(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=2,
    ),
    case(
        "adam",
        gx.adam(1e-3),
        reference("adam", learning_rate=1e-3),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 150), "rosenbrock": (1.0, 1500), "ravine": (1.0, 250)},
    ),
    case(
        "adam, eps_root",
        gx.adam(1e-3, 0.8, 0.99, 1e-4, 1e-3),
        reference("adam", learning_rate=1e-3, b1=0.8, b2=0.99, eps=1e-4, eps_root=1e-3),
        odd=True,
    ),
    case(
        "adam, scheduled",
        gx.adam(schedules.linear(1e-3, 0.0, 20), b1=schedules.linear(0.5, 0.9, 20)),
        reference(
            "adam",
            learning_rate=lambda t: 1e-3 * (1 - min(t / 20, 1)),
            b1=lambda t: 0.5 + 0.4 * min(t / 20, 1),
        ),
        odd=True,
    ),
    case(
        "adamw",
        gx.adamw(1e-3, weight_decay=0.1),
        reference("adamw", learning_rate=1e-3, weight_decay=0.1),
        odd=True,
        stored=2,
        solves=by_default(gx.adamw, {"quadratic": (1.0, 150), "rosenbrock": (1.0, 1500), "ravine": (1.0, 250)}),
    ),
    case(
        "adamax",
        gx.adamax(1e-3),
        reference("adamax", learning_rate=1e-3),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 150), "rosenbrock": (1.0, 5000), "ravine": (1.0, 1000)},
    ),
    case(
        "adamaxw",
        gx.adamaxw(1e-3, weight_decay=0.1),
        reference("adamaxw", weight_decay=0.1),
        odd=True,
        stored=2,
        solves=by_default(gx.adamaxw, {"quadratic": (1.0, 150), "rosenbrock": (1.0, 5000), "ravine": (1.0, 1000)}),
    ),
    # Nadam.
    case(
        "scale_by_nadam",
        gx.scale_by_nadam(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=2,
    ),
    case(
        "nadam",
        gx.nadam(1e-3),
        reference("nadam"),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 100), "rosenbrock": (1.0, 1500), "ravine": (1.0, 250)},
    ),
    case(
        "nadamw",
        gx.nadamw(1e-3, weight_decay=0.1),
        reference("nadamw", weight_decay=0.1),
        odd=True,
        stored=2,
        solves=by_default(gx.nadamw, {"quadratic": (1.0, 100), "rosenbrock": (1.0, 1500), "ravine": (1.0, 250)}),
    ),
    # AMSGrad and its kin.
    case(
        "scale_by_amsgrad",
        gx.scale_by_amsgrad(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=3,
    ),
    case(
        "amsgrad",
        gx.amsgrad(1e-3),
        reference("amsgrad"),
        odd=True,
        stored=3,
        solves={"quadratic": (1.0, 150), "rosenbrock": (1.0, 7000), "ravine": (1.0, 1000)},
    ),
    case("amsgrad, of raw moments", gx.amsgrad(1e-3, corrected=False), reference("amsgrad", corrected=False), odd=True),
    case(
        "padam",
        gx.padam(1e-3),
        reference("padam"),
        odd=True,
        stored=3,
        solves={"quadratic": (0.3, 150), "rosenbrock": (0.03, 3000), "ravine": (0.3, 200)},
    ),
    case(
        "scale_by_yogi",
        gx.scale_by_yogi(),
        odd=True,
        stored=2,
    ),
    case(
        "yogi",
        gx.yogi(1e-3),
        reference("yogi"),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 150), "rosenbrock": (1.0, 1500), "ravine": (1.0, 250)},
    ),
    # LaProp and QHAdam.
    case(
        "laprop",
        gx.laprop(1e-3),
        reference("laprop"),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 150), "rosenbrock": (1.0, 1000), "ravine": (1.0, 250)},
    ),
    case(
        "qhadam",
        gx.qhadam(1e-3),
        reference("qhadam"),
        odd=True,
        stored=2,
        solves={"quadratic": (1.0, 100), "rosenbrock": (0.3, 1000), "ravine": (1.0, 1000)},
    ),
    case("qhadam, both", gx.qhadam(1e-3, nu2=0.6), reference("qhadam", nu2=0.6), odd=True),
]
