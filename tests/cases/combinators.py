"""Combinators."""

import operator

import gradtx as gx
from gradtx import codecs, schedules

from ._make import case

GROUPS = gx.by_path({"layer/*": "a", "z/*": "a", "**": "b"}, allow_unused=True)
MASK = gx.by_path({"layer/*": True, "z/*": True, "**": False}, allow_unused=True)
OF_ONE_ARRAY = {"states_have_names": "what works on one array by itself cannot be marked"}

CASES = [
    # Combinators.
    case("chain", gx.chain(gx.clip(0.5), gx.scale_by_ema(0.9)), odd=True),
    case("chain, empty", gx.chain(), odd=True),
    case(
        "chain, named",
        gx.chain(("z", gx.clip_by_global_norm(1.0)), ("a", gx.adam(0.1)), ("m", gx.scale(0.5))),
        odd=True,
    ),
    case("chain, of kernels, named", gx.chain(("z", gx.bias_correction(0.5)), ("a", gx.scale_by_ema(0.9))), odd=True),
    case(
        "parallel",
        gx.parallel(operator.sub, gx.identity(), gx.scale_by_ema(0.9)),
        odd=True,
        excused=dict.fromkeys(["text_evaluates_back", "config_round_trip"], "a function has no name to look up"),
    ),
    case("ratio", gx.ratio(gx.identity(), gx.chain(gx.square(), gx.sqrt()), eps=0.1, eps_root=0.1), odd=True),
    case("ratio, of trees", gx.ratio(gx.clip_by_global_norm(1.0), gx.absolute(), eps=0.1), odd=True),
    case(
        "partition",
        gx.partition({"a": gx.adam(0.1), "b": gx.sgd(0.1, 0.9)}, GROUPS, allow_unused=True),
        odd=True,
    ),
    case(
        "masked",
        gx.masked(gx.adam(0.1), MASK),
        odd=True,
    ),
    case("inject", gx.inject(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1))), odd=True),
    case("inject, scheduled", gx.inject(gx.adam(schedules.linear(0.1, 0.0, 3))), odd=True),
    # Rounded to 8 bits, a difference in the last of 24 can be one of the last of 8; these sums are exact before that.
    case("store", gx.store(gx.add_momentum(0.5), codecs.bfloat16), odd=True, stored=0.5),
    case(
        "store, of trees",
        gx.store(gx.chain(gx.clip_by_global_norm(1e30), gx.running_sum()), codecs.bfloat16),
        odd=True,
        stored=0.5,
        excused={"double_precision_is_kept": "the output is the sum as it is stored, in 8 of the 53 bits"},
    ),
    case("bucketed", gx.bucketed(gx.adam(0.1), min_count=2), odd=True, stored=2, excused=OF_ONE_ARRAY),
    case("compiled", gx.compiled(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1))), odd=True, stored=2),
]
