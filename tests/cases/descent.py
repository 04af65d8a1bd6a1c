"""Gradient descent, its momenta, and its signs."""

import gradtx as gx

from ._make import by_default, case, reference

CASES = [
    # Gradient descent.
    case(
        "sgd",
        gx.sgd(0.1),
        reference("sgd", learning_rate=0.1),
        odd=True,
        stored=0,
        solves={"quadratic": (0.1, 150), "rosenbrock": (1e-3, 10_000), "ravine": (0.01, 1500)},
    ),
    case(
        "sgd, momentum",
        gx.sgd(0.1, 0.9),
        reference("sgd", learning_rate=0.1, momentum=0.9),
        odd=True,
        stored=1,
        solves={"quadratic": (0.1, 150), "rosenbrock": (1e-3, 1500), "ravine": (0.01, 250)},
    ),
    case(
        "sgd, nesterov",
        gx.sgd(0.1, 0.9, nesterov=True),
        reference("sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
        stored=1,
    ),
    case(
        "nesterov",
        gx.nesterov(0.1),
        reference("nesterov", learning_rate=0.1),
        odd=True,
        stored=1,
        solves={"quadratic": (0.1, 100), "rosenbrock": (3e-4, 3000), "ravine": (0.01, 250)},
    ),
    # Momenta.
    case(
        "qhm",
        gx.qhm(1e-3),
        reference("qhm"),
        odd=True,
        stored=1,
        solves={"quadratic": (0.1, 1500), "rosenbrock": (3e-3, 4000), "ravine": (0.03, 3000)},
    ),
    case(
        "optimistic_gradient_descent",
        gx.optimistic_gradient_descent(1e-3, 0.9, 0.7),
        reference("optimistic_gradient_descent", alpha=0.9, beta=0.7),
        odd=True,
        stored=1,
        solves={"quadratic": (0.1, 250), "rosenbrock": (1e-3, 10_000), "ravine": (5e-3, 3000)},
        temporary=(1.0, "the last gradient is read, and overwritten by the gradient that is read beside it"),
    ),
    case(
        "aggmo",
        gx.aggmo(1e-3),
        reference("aggmo"),
        odd=True,
        stored=3,
        solves={"quadratic": (0.1, 250), "rosenbrock": (3e-4, 1500), "ravine": (0.01, 300)},
    ),
    # Signs.
    case(
        "sign_sgd",
        gx.sign_sgd(1e-3),
        reference("sign_sgd"),
        odd=True,
        scale_invariant=True,
        stored=0,
        solves={"quadratic": (0.3, 100), "rosenbrock": (3e-3, 5000), "ravine": (0.3, 300)},
    ),
    case(
        "signum",
        gx.signum(1e-3),
        reference("signum"),
        odd=True,
        scale_invariant=True,
        stored=1,
        solves={"quadratic": (0.1, 250), "rosenbrock": (0.03, 800), "ravine": (0.03, 450)},
    ),
    case(
        "scale_by_lion",
        gx.scale_by_lion(),
        odd=True,
        scale_invariant=True,
        stored=1,
    ),
    case(
        "lion",
        gx.lion(1e-3, weight_decay=0.1),
        reference("lion", weight_decay=0.1),
        odd=True,
        stored=1,
        solves=by_default(gx.lion, {"quadratic": (0.3, 100), "rosenbrock": (0.1, 1000), "ravine": (0.1, 450)}),
    ),
    case(
        "tiger",
        gx.tiger(1e-3),
        reference("tiger"),
        odd=True,
        stored=1,
        solves={"quadratic": (0.03, 600), "rosenbrock": (0.03, 1000), "ravine": (0.03, 900)},
    ),
]
