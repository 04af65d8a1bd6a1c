"""Wrappers that gate: transforms that run at some steps only, and what they react to."""

import gradtx as gx
from gradtx import schedules

from ._make import case

# 0 at the first update, 1 at the second, 0 again from the third on.
SECOND = schedules.piecewise_constant([0.0, 1.0, 0.0], [1, 1])
CLIPPED = gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1, 0.9))

CASES = [
    case("accumulate_gradients", gx.accumulate_gradients(CLIPPED, 2), odd=True),
    case("accumulate_gradients, of one", gx.accumulate_gradients(gx.sgd(0.1, 0.9), 1), odd=True),
    case(
        "accumulate_gradients, scheduled",
        gx.accumulate_gradients(
            gx.sgd(schedules.linear(0.1, 0.0, 5)), schedules.piecewise_constant([1.0, 2.0], [1]), gx.has_nonfinite
        ),
        odd=True,
    ),
    case("skip_nonfinite", gx.skip_nonfinite(gx.adam(0.1)), odd=True),
    case("skip_nonfinite, by the input", gx.skip_nonfinite(gx.adam(0.1), check_output=False), odd=True),
    case("skip_nonfinite, but not for ever", gx.skip_nonfinite(CLIPPED, 2), odd=True),
    case("conditional", gx.conditional(gx.sgd(0.1, 0.9), SECOND), odd=True),
    case(
        "conditional, on an extra",
        gx.conditional(gx.adam(0.1), "ready", otherwise=gx.set_to_zero()),
        extras=lambda params: {"ready": True},
        odd=True,
    ),
    case(
        "conditional, on a metric",
        gx.conditional(gx.sgd(0.1), lambda count, *, value: (count > 0) & (value < 1), otherwise=gx.scale(0.5)),
        extras=lambda params: {"value": 0.5},
        odd=True,
    ),
    case("switch", gx.switch(SECOND, gx.identity(), gx.adam(0.1), gx.set_to_zero()), odd=True),
    case("switch, on an extra", gx.switch("phase", gx.sgd(0.1), gx.adam(0.1)), extras=lambda params: {"phase": 1}),
    case("freeze", gx.freeze(gx.by_path({"layer/*": True, "z/*": True, "**": False}, allow_unused=True)), odd=True),
    case(
        "reduce_on_plateau",
        gx.reduce_on_plateau(0.5, 1, cooldown=1, min_scale=0.3),
        extras=lambda params: {"value": 1.0},
        odd=True,
    ),
    case(
        "reduce_on_plateau, of means",
        gx.reduce_on_plateau(patience=1, accumulation_size=2, mode="max"),
        extras=lambda params: {"value": gx.tree.norm(params)},
        odd=True,
    ),
]
