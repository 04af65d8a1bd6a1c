"""Layer-wise optimizers."""

import gradtx as gx
from gradtx import schedules

from ._make import case, reference

NORM = (1.0, "the direction is kept while its norm is taken")

CASES = [
    case(
        "lars",
        gx.lars(0.1, weight_decay=0.1),
        reference("lars", learning_rate=0.1, weight_decay=0.1),
        temporary=NORM,
        odd=True,
        stored=1,
        solves={
            "quadratic": (gx.lars(schedules.cosine_decay(1.0, 500), trust_coefficient=0.03), 500),
            "rosenbrock": (gx.lars(schedules.cosine_decay(1.0, 4000), trust_coefficient=0.001), 4000),
            "ravine": (gx.lars(schedules.cosine_decay(1.0, 2000), trust_coefficient=0.01), 2000),
        },
    ),
    case(
        "lars, nesterov",
        gx.lars(0.1, 0.1, None, 0.02, 0.3, gx.by_path({"**": True}), 0.8, nesterov=True),
        reference(
            "lars",
            learning_rate=0.1,
            weight_decay=0.1,
            trust_coefficient=0.02,
            eps=0.3,
            momentum=0.8,
            nesterov=True,
        ),
        temporary=NORM,
        odd=True,
        stored=1,
    ),
    case(
        "lamb",
        gx.lamb(1e-2, weight_decay=0.1),
        reference("lamb", learning_rate=1e-2, weight_decay=0.1),
        temporary=NORM,
        odd=True,
        stored=2,
        solves={
            "quadratic": (gx.lamb(schedules.cosine_decay(0.05, 500)), 500),
            "rosenbrock": (gx.lamb(schedules.cosine_decay(0.02, 4000)), 4000),
            "ravine": (gx.lamb(schedules.cosine_decay(0.03, 2000)), 2000),
        },
    ),
    case("lamb, scheduled", gx.lamb(schedules.linear(1e-2, 0.0, 9)), odd=True, stored=2, temporary=NORM),
    case(
        "novograd",
        gx.novograd(1e-2, weight_decay=0.1),
        reference("novograd", learning_rate=1e-2, weight_decay=0.1),
        odd=True,
        stored=1,
        solves={
            "quadratic": (gx.novograd(schedules.cosine_decay(0.05, 500)), 500),
            "rosenbrock": (gx.novograd(schedules.cosine_decay(0.005, 4000)), 4000),
            "ravine": (gx.novograd(schedules.cosine_decay(0.03, 2000)), 2000),
        },
    ),
    case(
        "novograd, eps_root",
        gx.novograd(1e-2, 0.8, 0.9, 0.1, 0.2),
        reference("novograd", learning_rate=1e-2, b1=0.8, b2=0.9, eps=0.1, eps_root=0.2),
        odd=True,
        stored=1,
    ),
    case(
        "fromage",
        gx.fromage(1e-2),
        reference("fromage", learning_rate=1e-2),
        odd=True,
        stored=0,
        solves={"quadratic": (0.1, 500), "rosenbrock": (0.05, 4000), "ravine": (0.05, 2000)},
    ),
]
