"""Primitives."""

import gradtx as gx

from ._make import case

CASES = [
    # Primitives.
    case("identity", gx.identity(), odd=True),
    case("set_to_zero", gx.set_to_zero(), odd=True),
    case("square", gx.square(), largest=1e18),
    case("sqrt", gx.sqrt(), nonnegative=True),
    case("sign", gx.sign(), odd=True, scale_invariant=True),
    case("absolute", gx.absolute()),
    case("power", gx.power(0.25), nonnegative=True),
    case("power, negative", gx.power(-1.0), nonnegative=True),
    case("reciprocal", gx.reciprocal(), odd=True),
    case("scale_by_ema", gx.scale_by_ema(0.9), odd=True),
    case("bias_correction", gx.bias_correction(0.9), odd=True),
    case("bias_correction_ahead", gx.bias_correction_ahead(0.9), odd=True),
    case("running_sum", gx.running_sum(), odd=True),
    case("running_sum, from 0.1", gx.running_sum(0.1)),
    case("running_max", gx.running_max(), nonnegative=True),
    case("running_max, forgetting", gx.running_max(0.9), nonnegative=True),
    case("delay", gx.delay(), odd=True, temporary=(1.0, "what was, is read while it is overwritten")),
    case("add_momentum", gx.add_momentum(0.9), odd=True),
    case("add_momentum, nesterov", gx.add_momentum(0.9, nesterov=True), odd=True),
    case("scale", gx.scale(-2.0), odd=True),
    case("scale_by_learning_rate", gx.scale_by_learning_rate(0.1), odd=True),
    case("add_decayed_weights", gx.add_decayed_weights(0.1), odd=True),
    case("add_decayed_weights, masked", gx.add_decayed_weights(0.1, mask=gx.by_path({"**": True})), odd=True),
    case("clip", gx.clip(0.5), odd=True),
    case("clip_by_global_norm", gx.clip_by_global_norm(0.5), odd=True),
    # What they are made of.
    case("scale_by_additive_ema", gx.scale_by_additive_ema(0.9), nonnegative=True),
    case("scale_by_update_rms", gx.scale_by_update_rms(0.9), odd=True, largest=1e5),
    case("difference", gx.difference(gx.identity(), gx.scale_by_ema(0.9)), odd=True),
    case("interpolate", gx.interpolate(gx.identity(), gx.scale_by_ema(0.9), 0.3), odd=True),
    case("mean", gx.mean(gx.add_momentum(0.5), gx.clip_by_global_norm(1.0)), odd=True),
]
