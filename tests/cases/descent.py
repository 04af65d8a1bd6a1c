"""Gradient descent, its momenta, and its signs."""

import gradtx as gx

from ._make import case, reference

CASES = [
    # Gradient descent.
    case("sgd", gx.sgd(0.1), reference("sgd", learning_rate=0.1), odd=True),
    case("sgd, momentum", gx.sgd(0.1, 0.9), reference("sgd", learning_rate=0.1, momentum=0.9), odd=True),
    case(
        "sgd, nesterov",
        gx.sgd(0.1, 0.9, nesterov=True),
        reference("sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
    ),
    case("nesterov", gx.nesterov(0.1), reference("nesterov", learning_rate=0.1), odd=True),
    # Momenta.
    case("qhm", gx.qhm(1e-3), reference("qhm"), odd=True),
    case(
        "optimistic_gradient_descent",
        gx.optimistic_gradient_descent(1e-3, 0.9, 0.7),
        reference("optimistic_gradient_descent", alpha=0.9, beta=0.7),
        odd=True,
    ),
    case("aggmo", gx.aggmo(1e-3), reference("aggmo"), odd=True),
    # Signs.
    case("sign_sgd", gx.sign_sgd(1e-3), reference("sign_sgd"), odd=True, scale_invariant=True),
    case("signum", gx.signum(1e-3), reference("signum"), odd=True, scale_invariant=True),
    case("scale_by_lion", gx.scale_by_lion(), odd=True, scale_invariant=True),
    case("lion", gx.lion(1e-3, weight_decay=0.1), reference("lion", weight_decay=0.1), odd=True),
    case("tiger", gx.tiger(1e-3), reference("tiger"), odd=True),
]
