"""The registry of cases: the only list of transforms in the tests. A public factory without a case is a red test.

To add an optimizer: its file, its export, and its case here with its NumPy reference.
"""

import operator
from functools import partial

import references

import gradtx as gx
from gradtx import schedules
from gradtx.testing import Case

_SMALL_EPS = 1e-18  # so that an invariance to the gradient's scale is not hidden by eps


def _case(name, transform, reference=None, **facts):
    return Case(transform, name, reference, **facts)


def _reference(name, **arguments):
    return partial(getattr(references, name), learning_rate=1e-3, **arguments)


CASES = [
    # Primitives.
    _case("identity", gx.identity(), odd=True),
    _case("set_to_zero", gx.set_to_zero(), odd=True),
    _case("square", gx.square(), largest=1e18),
    _case("sqrt", gx.sqrt(), nonnegative=True),
    _case("sign", gx.sign(), odd=True, scale_invariant=True),
    _case("absolute", gx.absolute()),
    _case("power", gx.power(0.25), nonnegative=True),
    _case("power, negative", gx.power(-1.0), nonnegative=True),
    _case("reciprocal", gx.reciprocal(), odd=True),
    _case("scale_by_ema", gx.scale_by_ema(0.9), odd=True),
    _case("bias_correction", gx.bias_correction(0.9), odd=True),
    _case("bias_correction_ahead", gx.bias_correction_ahead(0.9), odd=True),
    _case("running_sum", gx.running_sum(), odd=True),
    _case("running_sum, from 0.1", gx.running_sum(0.1)),
    _case("running_max", gx.running_max(), nonnegative=True),
    _case("running_max, forgetting", gx.running_max(0.9), nonnegative=True),
    _case("previous", gx.previous(), odd=True),
    _case("add_momentum", gx.add_momentum(0.9), odd=True),
    _case("add_momentum, nesterov", gx.add_momentum(0.9, nesterov=True), odd=True),
    _case("scale", gx.scale(-2.0), odd=True),
    _case("scale_by_learning_rate", gx.scale_by_learning_rate(0.1), odd=True),
    _case("add_decayed_weights", gx.add_decayed_weights(0.1), odd=True),
    _case("add_decayed_weights, masked", gx.add_decayed_weights(0.1, mask=gx.by_path({"**": True})), odd=True),
    _case("clip", gx.clip(0.5), odd=True),
    _case("clip_by_global_norm", gx.clip_by_global_norm(0.5), odd=True),
    # Combinators.
    _case("chain", gx.chain(gx.clip(0.5), gx.scale_by_ema(0.9)), odd=True),
    _case("chain, empty", gx.chain(), odd=True),
    _case(
        "chain, named",
        gx.chain(("z", gx.clip_by_global_norm(1.0)), ("a", gx.adam(0.1)), ("m", gx.scale(0.5))),
        odd=True,
    ),
    _case("chain, of kernels, named", gx.chain(("z", gx.bias_correction(0.5)), ("a", gx.scale_by_ema(0.9))), odd=True),
    _case(
        "parallel",
        gx.parallel(operator.sub, gx.identity(), gx.scale_by_ema(0.9)),
        odd=True,
        excused=dict.fromkeys(["text_evaluates_back", "config_round_trip"], "a function has no name to look up"),
    ),
    _case("ratio", gx.ratio(gx.identity(), gx.chain(gx.square(), gx.sqrt()), eps=0.1, eps_root=0.1), odd=True),
    _case("ratio, of trees", gx.ratio(gx.clip_by_global_norm(1.0), gx.absolute(), eps=0.1), odd=True),
    _case(
        "partition",
        gx.partition({"a": gx.adam(0.1), "b": gx.sgd(0.1, 0.9)}, gx.by_path({"layer/*": "a", "z/*": "a", "**": "b"})),
        odd=True,
    ),
    _case("masked", gx.masked(gx.adam(0.1), gx.by_path({"layer/*": True, "z/*": True, "**": False})), odd=True),
    _case("inject", gx.inject(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1))), odd=True),
    _case("inject, scheduled", gx.inject(gx.adam(schedules.linear(0.1, 0.0, 3))), odd=True),
    # Gradient descent.
    _case("sgd", gx.sgd(0.1), partial(references.sgd, learning_rate=0.1), odd=True),
    _case("sgd, momentum", gx.sgd(0.1, 0.9), partial(references.sgd, learning_rate=0.1, momentum=0.9), odd=True),
    _case(
        "sgd, nesterov",
        gx.sgd(0.1, 0.9, nesterov=True),
        partial(references.sgd, learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
    ),
    _case("nesterov", gx.nesterov(0.1), partial(references.nesterov, learning_rate=0.1), odd=True),
    # AdaGrad.
    _case("scale_by_rss", gx.scale_by_rss(), odd=True),
    _case("adagrad", gx.adagrad(0.1), partial(references.adagrad, learning_rate=0.1), odd=True),
    _case(
        "adagrad, from 0",
        gx.adagrad(0.1, 0.0, eps=_SMALL_EPS),
        partial(references.adagrad, learning_rate=0.1, initial_accumulator_value=0.0, eps=_SMALL_EPS),
        odd=True,
        scale_invariant=True,
    ),
    # RMSProp.
    _case("scale_by_rms", gx.scale_by_rms(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("scale_by_stddev", gx.scale_by_stddev(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("rmsprop", gx.rmsprop(0.1), partial(references.rmsprop, learning_rate=0.1), odd=True),
    _case(
        "rmsprop, eps_root",
        gx.rmsprop(0.1, eps=0.0, eps_root=1e-6),
        partial(references.rmsprop, learning_rate=0.1, eps=0.0, eps_root=1e-6),
        odd=True,
    ),
    _case(
        "rmsprop, centred",
        gx.rmsprop(0.1, centered=True, momentum=0.9),
        partial(references.rmsprop, learning_rate=0.1, centered=True, momentum=0.9),
        odd=True,
    ),
    _case(
        "rmsprop, nesterov",
        gx.rmsprop(0.1, momentum=0.9, nesterov=True),
        partial(references.rmsprop, learning_rate=0.1, momentum=0.9, nesterov=True),
        odd=True,
    ),
    # Adam.
    _case("scale_by_adam", gx.scale_by_adam(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("scale_by_adamax", gx.scale_by_adamax(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("adam", gx.adam(1e-3), partial(references.adam, learning_rate=1e-3), odd=True),
    _case(
        "adam, eps_root",
        gx.adam(1e-3, 0.8, 0.99, 1e-4, 1e-3),
        partial(references.adam, learning_rate=1e-3, b1=0.8, b2=0.99, eps=1e-4, eps_root=1e-3),
        odd=True,
    ),
    _case(
        "adam, scheduled",
        gx.adam(schedules.linear(1e-3, 0.0, 20), b1=schedules.linear(0.5, 0.9, 20)),
        partial(
            references.adam,
            learning_rate=lambda t: 1e-3 * (1 - min(t / 20, 1)),
            b1=lambda t: 0.5 + 0.4 * min(t / 20, 1),
        ),
        odd=True,
    ),
    _case(
        "adamw",
        gx.adamw(1e-3, weight_decay=0.1),
        partial(references.adamw, learning_rate=1e-3, weight_decay=0.1),
        odd=True,
    ),
    _case("adamax", gx.adamax(1e-3), partial(references.adamax, learning_rate=1e-3), odd=True),
    _case("adamaxw", gx.adamaxw(1e-3, weight_decay=0.1), _reference("adamaxw", weight_decay=0.1), odd=True),
    # Nadam.
    _case("scale_by_nadam", gx.scale_by_nadam(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("nadam", gx.nadam(1e-3), _reference("nadam"), odd=True),
    _case("nadamw", gx.nadamw(1e-3, weight_decay=0.1), _reference("nadamw", weight_decay=0.1), odd=True),
    # AMSGrad and its kin.
    _case("scale_by_amsgrad", gx.scale_by_amsgrad(eps=_SMALL_EPS), odd=True, scale_invariant=True),
    _case("amsgrad", gx.amsgrad(1e-3), _reference("amsgrad"), odd=True),
    _case(
        "amsgrad, of raw moments", gx.amsgrad(1e-3, corrected=False), _reference("amsgrad", corrected=False), odd=True
    ),
    _case("padam", gx.padam(1e-3), _reference("padam"), odd=True),
    _case("scale_by_yogi", gx.scale_by_yogi(), odd=True),
    _case("yogi", gx.yogi(1e-3), _reference("yogi"), odd=True),
    # LaProp and QHAdam.
    _case("laprop", gx.laprop(1e-3), _reference("laprop"), odd=True),
    _case("qhadam", gx.qhadam(1e-3), _reference("qhadam"), odd=True),
    _case("qhadam, both", gx.qhadam(1e-3, nu2=0.6), _reference("qhadam", nu2=0.6), odd=True),
    # Signs.
    _case("sign_sgd", gx.sign_sgd(1e-3), _reference("sign_sgd"), odd=True, scale_invariant=True),
    _case("signum", gx.signum(1e-3), _reference("signum"), odd=True, scale_invariant=True),
    _case("scale_by_lion", gx.scale_by_lion(), odd=True, scale_invariant=True),
    _case("lion", gx.lion(1e-3, weight_decay=0.1), _reference("lion", weight_decay=0.1), odd=True),
    _case("tiger", gx.tiger(1e-3), _reference("tiger"), odd=True),
    # Momenta.
    _case("qhm", gx.qhm(1e-3), _reference("qhm"), odd=True),
    _case(
        "optimistic_gradient_descent",
        gx.optimistic_gradient_descent(1e-3, 0.9, 0.7),
        _reference("optimistic_gradient_descent", alpha=0.9, beta=0.7),
        odd=True,
    ),
    _case("aggmo", gx.aggmo(1e-3), _reference("aggmo"), odd=True),
    # AdaDelta.
    _case("adadelta", gx.adadelta(1e-3), _reference("adadelta"), odd=True),
    _case(
        "adadelta, from 0.1", gx.adadelta(1e-3, initial_delta=0.1), _reference("adadelta", initial_delta=0.1), odd=True
    ),
    # What they are made of.
    _case("scale_by_additive_ema", gx.scale_by_additive_ema(0.9), nonnegative=True),
    _case("scale_by_own_rms", gx.scale_by_own_rms(0.9), odd=True, largest=1e5),
    _case("difference", gx.difference(gx.identity(), gx.scale_by_ema(0.9)), odd=True),
    _case("interpolate", gx.interpolate(gx.identity(), gx.scale_by_ema(0.9), 0.3), odd=True),
    _case("average", gx.average(gx.add_momentum(0.5), gx.clip_by_global_norm(1.0)), odd=True),
]
