"""AdaGrad, RMSProp and AdaDelta."""

import gradtx as gx

from ._make import SMALL_EPS, case, reference

CASES = [
    # AdaGrad.
    case("scale_by_rss", gx.scale_by_rss(), odd=True),
    case("adagrad", gx.adagrad(0.1), reference("adagrad", learning_rate=0.1), odd=True),
    case(
        "adagrad, from 0",
        gx.adagrad(0.1, 0.0, eps=SMALL_EPS),
        reference("adagrad", learning_rate=0.1, initial_accumulator_value=0.0, eps=SMALL_EPS),
        odd=True,
        scale_invariant=True,
    ),
    # RMSProp.
    case("scale_by_rms", gx.scale_by_rms(eps=SMALL_EPS), odd=True, scale_invariant=True),
    case("scale_by_stddev", gx.scale_by_stddev(eps=SMALL_EPS), odd=True, scale_invariant=True),
    case("rmsprop", gx.rmsprop(0.1), reference("rmsprop", learning_rate=0.1), odd=True),
    case(
        "rmsprop, eps_root",
        gx.rmsprop(0.1, eps=0.0, eps_root=1e-6),
        reference("rmsprop", learning_rate=0.1, eps=0.0, eps_root=1e-6),
        odd=True,
    ),
    case(
        "rmsprop, centred",
        gx.rmsprop(0.1, centered=True, momentum=0.9),
        reference("rmsprop", learning_rate=0.1, centered=True, momentum=0.9),
        odd=True,
    ),
    case(
        "rmsprop, nesterov",
        gx.rmsprop(0.1, momentum=0.9, nesterov=True),
        reference("rmsprop", learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
    ),
    # AdaDelta.
    case("adadelta", gx.adadelta(1e-3), reference("adadelta"), odd=True),
    case(
        "adadelta, from 0.1", gx.adadelta(1e-3, initial_delta=0.1), reference("adadelta", initial_delta=0.1), odd=True
    ),
]
