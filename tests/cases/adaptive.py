"""AdaGrad, RMSProp and AdaDelta."""

import gradtx as gx

from ._make import SMALL_EPS, case, reference

CASES = [
    # AdaGrad.
    case(
        "scale_by_rss",
        gx.scale_by_rss(),
        odd=True,
        stored=1,
    ),
    case(
        "adagrad",
        gx.adagrad(0.1),
        reference("adagrad", learning_rate=0.1),
        odd=True,
        stored=1,
        solves={"quadratic": (1.0, 100), "rosenbrock": (1.0, 15_000), "ravine": (1.0, 1500)},
    ),
    case(
        "adagrad, from 0",
        gx.adagrad(0.1, 0.0, eps=SMALL_EPS),
        reference("adagrad", learning_rate=0.1, initial_accumulator_value=0.0, eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
    ),
    # RMSProp.
    case(
        "scale_by_rms",
        gx.scale_by_rms(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=1,
    ),
    case(
        "scale_by_stddev",
        gx.scale_by_stddev(eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
        stored=2,
    ),
    case(
        "rmsprop",
        gx.rmsprop(0.1),
        reference("rmsprop", learning_rate=0.1),
        odd=True,
        stored=1,
        solves={"quadratic": (0.3, 100), "rosenbrock": (0.03, 2000), "ravine": (0.1, 450)},
    ),
    case(
        "rmsprop, eps_root",
        gx.rmsprop(0.1, eps=0.0, eps_root=1e-6),
        reference("rmsprop", learning_rate=0.1, eps=0.0, eps_root=1e-6),
        odd=True,
    ),
    case(
        "rmsprop, centred with momentum",
        gx.rmsprop(0.1, centered=True, momentum=0.9),
        reference("rmsprop", learning_rate=0.1, centered=True, momentum=0.9),
        odd=True,
        stored=3,
        solves={"quadratic": (0.3, 150), "rosenbrock": (0.1, 300), "ravine": (0.3, 200)},
    ),
    case(
        "rmsprop, nesterov",
        gx.rmsprop(0.1, momentum=0.9, nesterov=True),
        reference("rmsprop", learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
        stored=2,
    ),
    case(
        "rmsprop, corrected",
        gx.rmsprop(0.1, momentum=0.9, bias_correction=True),
        reference("rmsprop_corrected", learning_rate=0.1, momentum=0.9),
        odd=True,
        stored=2,
    ),
    # AdaDelta.
    case(
        "adadelta",
        gx.adadelta(1e-3),
        reference("adadelta"),
        odd=True,
        stored=2,
        solves={"quadratic": (100.0, 100), "rosenbrock": (3.0, 2500), "ravine": (30.0, 600)},
    ),
    case(
        "adadelta, from 0.1", gx.adadelta(1e-3, initial_delta=0.1), reference("adadelta", initial_delta=0.1), odd=True
    ),
]
