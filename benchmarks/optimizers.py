"""What is measured against what: the same optimizer of gradtx and of Optax."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

import gradtx as gx

RATE = 1e-3


class Pair(NamedTuple):
    """An optimizer, made twice.

    Attributes:
        ours: with gradtx.
        theirs: with Optax; None where it has none.
        grad_fn: whether it asks for gradients elsewhere.
        whole: whether the step of gradtx is that of `make_train_step`.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any] | None
    grad_fn: bool = False
    whole: bool = False


def _halves(params: Any) -> Any:
    return jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", params)


PAIRS = {
    "sgd": Pair(lambda: gx.sgd(RATE), lambda: optax.sgd(RATE)),
    "momentum": Pair(lambda: gx.sgd(RATE, 0.9), lambda: optax.sgd(RATE, 0.9)),
    "adam": Pair(lambda: gx.adam(RATE), lambda: optax.adam(RATE)),
    "adamw": Pair(lambda: gx.adamw(RATE), lambda: optax.adamw(RATE)),
    "bucketed adam": Pair(lambda: gx.bucketed(gx.adam(RATE)), lambda: optax.adam(RATE)),
    "bucketed adamw": Pair(lambda: gx.bucketed(gx.adamw(RATE)), lambda: optax.adamw(RATE)),
    "clip + adamw": Pair(
        lambda: gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(RATE)),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(RATE)),
    ),
    "clip + bucketed adamw": Pair(
        lambda: gx.chain(gx.clip_by_global_norm(1.0), gx.bucketed(gx.adamw(RATE))),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(RATE)),
    ),
    "adamw, bfloat16": Pair(
        lambda: gx.store(gx.adamw(RATE), gx.codecs.bfloat16), lambda: optax.adamw(RATE, mu_dtype=jnp.bfloat16)
    ),
    "adamw, 8 bits": Pair(lambda: gx.store(gx.adamw(RATE), gx.codecs.float8), None),
    "lion": Pair(lambda: gx.lion(RATE), lambda: optax.lion(RATE)),
    "lamb": Pair(lambda: gx.lamb(RATE), lambda: optax.lamb(RATE)),
    "adafactor": Pair(lambda: gx.adafactor(RATE), lambda: optax.adafactor(RATE)),
    "rmsprop, centred": Pair(lambda: gx.rmsprop(RATE, centered=True), lambda: optax.rmsprop(RATE, centered=True)),
    "schedule_free_adamw": Pair(lambda: gx.schedule_free_adamw(RATE), lambda: contrib.schedule_free_adamw(RATE)),
    "accumulate 8": Pair(
        lambda: gx.accumulate_gradients(gx.adamw(RATE), 8),
        lambda: optax.MultiSteps(optax.adamw(RATE), 8).gradient_transformation(),
    ),
    "accumulate 8, make_train_step": Pair(
        lambda: gx.accumulate_gradients(gx.adamw(RATE), 8),
        lambda: optax.MultiSteps(optax.adamw(RATE), 8).gradient_transformation(),
        whole=True,
    ),
    "skip nonfinite": Pair(  # clip + adamw; Optax looks at what comes in, gradtx also at what comes out
        lambda: gx.skip_nonfinite(gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(RATE)), 5),
        lambda: optax.apply_if_finite(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(RATE)), 5),
    ),
    "skip nonfinite, input": Pair(
        lambda: gx.skip_nonfinite(gx.adamw(RATE), 5, check_output=False),
        lambda: optax.apply_if_finite(optax.adamw(RATE), 5),
    ),
    "partition": Pair(
        lambda: gx.partition({"matrix": gx.adamw(RATE), "vector": gx.sgd(RATE, 0.9)}, _halves, allow_unused=True),
        lambda: optax.partition({"matrix": optax.adamw(RATE), "vector": optax.sgd(RATE, 0.9)}, _halves),
    ),
    "sharpness_aware": Pair(
        lambda: gx.sharpness_aware(gx.sgd(RATE), 0.05),
        lambda: contrib.sam(optax.sgd(RATE), optax.chain(contrib.normalize(), optax.sgd(0.05)), opaque_mode=True),
        grad_fn=True,
    ),
}


ASK_FOR_MORE = {"sophia", "momo", "momo_adam", "polyak_sgd"}
"""Those of Optax that need extra arguments of their own."""


def every() -> dict[str, Pair]:
    """The pairs above, and all other named optimizers: beside those of Optax that have the same name."""
    pairs = dict(PAIRS)
    for name, factory in vars(gx).items():
        spec = getattr(factory, "spec", None)
        if name in pairs or spec is None or not spec.body.__module__.startswith("gradtx._optimizers."):
            continue
        theirs = None if name in ASK_FOR_MORE else getattr(optax, name, None) or getattr(contrib, name, None)
        required = [p.name for p in spec.signature.parameters.values() if p.default is p.empty]
        if set(required) <= {"learning_rate"}:
            arguments = dict.fromkeys(required, RATE)
            pairs[name] = Pair(
                lambda factory=factory, arguments=arguments: factory(**arguments),
                None if theirs is None else lambda theirs=theirs, arguments=arguments: theirs(**arguments),
            )
    return pairs
