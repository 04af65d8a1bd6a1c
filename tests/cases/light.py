"""Rprop, dual averaging, and factored memories."""

import gradtx as gx

from ._make import case, reference

FLAT = "a flat array has nothing to factor, and the clipped direction is used twice"

CASES = [
    case("add_constant", gx.add_constant(0.5)),
    case("clip_min", gx.clip_min(0.5)),
    case("clip_between", gx.clip_between(-0.5, 0.25)),
    case("clip_by_block_norm", gx.clip_by_block_norm(0.5), odd=True),
    case("add", gx.add(gx.identity(), gx.scale_by_ema(0.9)), odd=True),
    case("product", gx.product(gx.absolute(), gx.scale_by_ema(0.9)), odd=True, largest=1e18),
    case(
        "let",
        gx.let("mean", gx.scale_by_ema(0.9), gx.difference(gx.use("mean"), gx.chain(gx.use("mean"), gx.clip(0.1)))),
        odd=True,
        stored=1,
    ),
    case(
        "let, of trees",
        gx.let("bound", gx.clip_by_global_norm(1.0), gx.chain(gx.scale_by_ema(0.9), gx.product(gx.use("bound")))),
        odd=True,
    ),
    case(
        "gradient_difference",
        gx.gradient_difference(),
        odd=True,
        temporary=(1.0, "the last update is overwritten with this one"),
    ),
    case(
        "scale_by_previous_ema",
        gx.scale_by_previous_ema(0.9),
        odd=True,
        temporary=(1.0, "the last average is overwritten with this one"),
    ),
    case(
        "scale_by_previous_ema, from the first",
        gx.scale_by_previous_ema(0.9, corrected=False),
        odd=True,
        temporary=(1.0, "the last average is overwritten with this one"),
    ),
    # Rprop.
    case("sign_agreement", gx.sign_agreement(), temporary=(1.0, "the last sign is overwritten with this one")),
    case("rprop_step_size", gx.rprop_step_size(0.1)),
    case(
        "rprop",
        gx.rprop(1e-3),
        reference("rprop"),
        odd=True,
        scale_invariant=True,
        stored=2,
        temporary=(1.0, "the last gradient is overwritten with this one"),
        solves={"quadratic": (3.0, 75), "rosenbrock": (1.0, 1500), "ravine": (3.0, 375)},
    ),
    # Dual averaging.
    case(
        "madgrad",
        gx.madgrad(1e-3),
        reference("madgrad"),
        odd=True,
        stored=3,
        solves={"quadratic": (3.0, 225), "rosenbrock": (0.3, 225), "ravine": (3.0, 225)},
    ),
    case("madgrad, decayed", gx.madgrad(1e-3, weight_decay=0.1), reference("madgrad", weight_decay=0.1)),
    # Memories of rows and columns.
    case("running_sum_by_axis", gx.running_sum_by_axis(), nonnegative=True),
    case("scale_by_factored_ema", gx.scale_by_factored_ema(0.9, 2), nonnegative=True),
    case("scale_by_factored_rms", gx.scale_by_factored_rms(min_dim_size_to_factor=2), odd=True),
    case(
        "sm3",
        gx.sm3(1e-3),
        reference("sm3"),
        shape=(8, 6),
        odd=True,
        stored=1,
        temporary=(1.0, "the largest of a row and of a column want the same array"),
        solves={"quadratic": (3.0, 225), "rosenbrock": (3.0, 10500), "ravine": (3.0, 1500)},
    ),
    case("sm3, of a vector", gx.sm3(1e-3), reference("sm3"), odd=True, stored=2, temporary=(1.0, "not elementwise")),
    case(
        "adafactor",
        gx.adafactor(1e-3, min_dim_size_to_factor=2),
        reference("adafactor", min_dim_size_to_factor=2),
        shape=(8, 6),
        odd=True,
        stored=0,
        temporary=(1.0, FLAT),
        solves={"quadratic": (1.0, 75), "rosenbrock": (0.1, 6000), "ravine": (1.0, 750)},
    ),
    case(
        "adafactor, of vectors",
        gx.adafactor(1e-3, momentum=0.9, weight_decay_rate=1e-3),
        reference("adafactor", momentum=0.9, weight_decay_rate=1e-3),
        odd=True,
        stored=2,
        temporary=(1.0, FLAT),
    ),
    case(
        "adafactor, relative",
        gx.adafactor(min_dim_size_to_factor=2),
        reference("adafactor", learning_rate=lambda t: min(1e-2, (t + 1) ** -0.5), min_dim_size_to_factor=2),
        shape=(8, 6),
        odd=True,
        stored=0,
        temporary=(1.0, FLAT),
    ),
]
