"""Combinators that look beyond the update: elsewhere, back, into layers and logs."""

import jax

import gradtx as gx
from gradtx import schedules
from gradtx.testing import LAWS

from ._make import CALLS_IN_A_LOOP, case, reference

# The laws' trees, of which one leaf is a stack.
LAYERS = gx.by_path({"layer/w": "stack", "z/y": "stack", "w": "stack", "**": "rest"}, allow_unused=True)
CLOCKS = dict.fromkeys(
    ["x64_changes_nothing", "sharded_equals_whole"],
    "numbers that advance once per step are of the default precision and everywhere, and here there is one per layer",
)
# The laws' leaves are no layers of one stack; one of them is, under every law, in the cases with a partition.
ONLY_AS_VALUES = {
    law: "its leaves are not stacked"
    for law in LAWS
    if law
    not in (
        "stores_what_it_says",
        "text_evaluates_back",
        "equal_by_content",
        "config_round_trip",
        "numbers_are_declared",
    )
}
ONE_STATE_PER_LEAF = {"states_have_names": "each leaf has a state of its own, whose names begin with its path"}
ROUNDED = {"half_precision_is_right": "grad_fn gets parameters in their own dtype, so half-precision ones are rounded"}


def slope(x):
    """The gradient of a bowl."""
    return 0.5 * x - 0.25


def with_slope(params):
    return {"grad_fn": lambda params: jax.tree.map(slope, params)}


def over_some_layers(stack, rest):
    return gx.partition({"stack": gx.over_layers(stack), "rest": rest}, LAYERS, allow_unused=True)


CASES = [
    # Slow and averaged parameters.
    case("master_weights", gx.master_weights(gx.adam(0.1)), odd=True, stored=2),
    case("lookahead", gx.lookahead(gx.adam(0.1), 2, 0.5), stored=3),
    case("lookahead, reset", gx.lookahead(gx.sgd(0.1, 0.9), 2, 0.5, reset_state=True), stored=2),
    case("average_params", gx.average_params(gx.sgd(0.1)), odd=True, stored=1),
    case("average_params, moving", gx.average_params(gx.adam(0.1), 0.9), odd=True, stored=3),
    case("average_params, every second", gx.average_params(gx.sgd(0.1), every=2), odd=True, stored=1),
    # Gradients elsewhere.
    case("sharpness_aware", gx.sharpness_aware(gx.adam(0.1)), extras=with_slope, stored=2, excused=ROUNDED),
    case(
        "sharpness_aware, adaptive",
        gx.sharpness_aware(gx.sgd(schedules.linear(0.1, 0.0, 3), 0.9), 0.5, adaptive=True),
        extras=with_slope,
        stored=1,
        excused=ROUNDED,
    ),
    case(
        "extrapolated_gradient",
        gx.extrapolated_gradient(gx.adam(0.1), 0.5),
        extras=with_slope,
        stored=3,
        excused=ROUNDED,
    ),
    case(
        "nesterov_lookahead",
        gx.nesterov_lookahead(0.1),
        reference("nesterov_lookahead", learning_rate=0.1, grad_fn=slope),
        extras=with_slope,
        stored=1,
        excused=ROUNDED,
        solves={"quadratic": (0.1, 100), "rosenbrock": (3e-4, 3000), "ravine": (0.01, 250)},
    ),
    case(
        "nesterov_lookahead, three points",
        gx.nesterov_lookahead(0.1, 0.8, points=3),
        reference("nesterov_lookahead", learning_rate=0.1, momentum=0.8, points=3, grad_fn=slope),
        extras=with_slope,
        stored=1,
        temporary=(2.0, "the sum of gradients goes through a loop over the points"),
        excused=ROUNDED | CALLS_IN_A_LOOP,
    ),
    # Layers, logs, and pairs.
    case("over_layers", gx.over_layers(gx.sgd(0.1, 0.9)), stored=1, excused=ONLY_AS_VALUES),
    case("over_layers, of one leaf", over_some_layers(gx.adam(0.1), gx.adam(0.1)), odd=True, excused=CLOCKS),
    case(
        "over_layers, of norms",
        over_some_layers(gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1, 0.9)), gx.sgd(0.1)),
        odd=True,
    ),
    case("record", gx.record("norm", gx.tree.norm), odd=True, stored=0),
    case("record, of parameters", gx.record("both", lambda u, p: {"u": gx.tree.norm(u, 1), "p": gx.tree.norm(p)})),
    case("per_leaf", gx.per_leaf(gx.adam(0.1)), odd=True, stored=2, excused=ONE_STATE_PER_LEAF),
    case(
        "per_leaf, of norms",
        gx.per_leaf(gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1))),
        odd=True,
        stored=0,
        excused=ONE_STATE_PER_LEAF,
    ),
    case("split_complex", gx.split_complex(gx.adam(0.1)), odd=True, stored=2),
]
