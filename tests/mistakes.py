"""Mistakes that people make, and the page of their messages: `python tests/mistakes.py` writes `docs/errors.md`.

Each mistake is a piece of code; what it raises is in the page as it is printed.
"""

import sys
import warnings
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"
START = """
import jax, jax.numpy as jnp, optax
import gradtx as gx
from gradtx import schedules
params = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
grads = params
tx = gx.adam(1e-3)
state = tx.init(params)
loss = lambda params, x: jnp.sum(params["dense"]["kernel"]) * x
"""

MISTAKES = {
    "The state": [
        "tx.update(grads, None, params)",
        "tx.update(grads, tx.init, params)",
        "tx.update(grads, params, state)",
        "tx.update(state, grads, params)",
        "tx.update(grads, tx.update(grads, state, params), params)",
        "tx.update(grads, gx.sgd(1e-3, 0.9).init(params), params)",
        "tx.update(grads, optax.adam(1e-3).init(params), params)",
        "tx.update(grads, gx.state_dict(tx, state), params)",
        "tx.update(grads, list(state), params)",
        "gx.get_hyperparams(tx)",
        "gx.adam.init(params)",
    ],
    "Gradients and parameters": [
        "tx.update(jnp.asarray(0.5), state, params)",
        "tx.update(jax.value_and_grad(loss)(params, 1.0), state, params)",
        "tx.update(jax.tree.map(lambda x: x.astype(complex), grads), state, params)",
        "gx.apply_updates(params, tx.update(grads, state, params))",
        "gx.apply_updates(params, state)",
        "gx.sgd(0.1).update(jax.tree.map(jnp.transpose, grads), gx.sgd(0.1).init(params), params)",
        "tx.init(jax.nn.relu)",
        'tx.update({"dense": {"kernel": grads["dense"]["kernel"], "bias": None}}, state, params)',
        'tx.update(grads, tx.init({"params": params}), params)',
        'tx.update(grads, tx.init({"dense": params["dense"], "head": jnp.ones(2)}), params)',
        'gx.as_matrices(gx.orthogonalize(), (0, 1)).init({"a": jnp.ones((4, 3))})',
        'gx.masked(gx.sgd(0.1), ["dense"]).init(params)',
        "gx.lbfgs().update(grads, gx.lbfgs().init(params), params)",
        "gx.minimize(gx.lbfgs(), lambda params: loss(params, 1.0), params)",
        "gx.minimize(lambda params: params, gx.lbfgs(), params)",
        "tx.update(jax.tree.map(lambda g: jnp.stack([g] * 32), grads), state, params)",
        'tx.update({"dense": jnp.ones(2)}, state, params)',
        'tx.update({"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(2)}}, state, params)',
        "gx.adamw(1e-3).update(grads, gx.adamw(1e-3).init(params))",
        'tx.init({"ids": jnp.arange(3)})',
        'tx.init({"activation": jnp.tanh, "w": jnp.ones(2)})',
        "gx.momo().update(grads, gx.momo().init(params), params)",
        "gx.noisy_sgd(1e-3, seed=jax.random.key(0)).init(params)",
        "tx(grads)",
        "tx.step()",
        "tx.zero_grad()",
    ],
    "Making a transform": [
        'gx.adam("fast")',
        "gx.adam(-1e-3)",
        "gx.adam(params, lr=1e-3)",
        "gx.adam(1e-3, (0.9, 0.999))",
        "gx.chain(gx.adam(1.0), gx.scale_by_learning_rate(1e-3))",
        "gx.chain(gx.adam(1e-3), gx.add_decayed_weights(1e-4))",
        "gx.chain(gx.clip(1.0), gx.lbfgs())",
        "gx.lookahead(gx.sgd(0.1), 5, 6)",
        "gx.adam(1e-3, b1=1.5)",
        "gx.adam(1e-3, beta1=0.9)",
        "gx.adam(lr=1e-3)",
        "gx.adam(1e-3, weight_decay=0.1)",
        "gx.parallel(tx, gx.sgd(0.1))",
        "gx.adam(schedules.cosine_decay)",
        "gx.sgd(0.1, nesterov=schedules.linear(0, 1, 10))",
        "gx.adam(lambda: 1e-3)",
        "gx.adam(params, 1e-3)",
        "gx.accumulate_gradients(4, gx.adam(1e-3))",
        "gx.conditional(tx, lambda grads: True)",
        "gx.conditional(tx, lambda step, value: value < 10.0)",
        "gx.sweep(lambda tx, key: 0.0, [tx, gx.sgd(0.1)], {})",
        "gx.parallel(lambda x: x, tx, gx.sgd(0.1))",
        "gx.chain([gx.clip(1.0), gx.adam(1e-3)])",
        "gx.chain(gx.clip_by_global_norm(1.0), gx.adam)",
        "gx.accumulate_gradients(gx.adam(1e-3), 0)",
        "gx.conditional(gx.adam(1e-3), True)",
        "schedules.warmup(schedules.cosine_decay(1e-3, 100), 10)",
        "jax.jit(gx.sgd(lambda step: 0.1 if step < 10 else 0.01).update)(grads, gx.sgd(lambda step: 0.1).init(params))",
        "gx.MultiSteps(tx, 4)",
        "gx.multi_transform",
        "gx.AdamW",
        "gx.adamww",
        "schedules.cosine_decay_schedule",
        "schedules.cosine_decay(1000, 1e-2)",
    ],
    "Masks and labels": [
        'gx.freeze(gx.by_path({"kernel": True, "**": False})).init(params)',
        'gx.freeze("dense")',
        "gx.freeze(lambda path, p: p.ndim > 1).init(params)",
        "gx.freeze(gx.where(lambda path, p: None)).init(params)",
        "gx.freeze(gx.where(lambda p: p.ndim > 1)).init(params)",
        'gx.freeze({"dense": True, "head": False}).init(params)',
        'gx.partition({"a": tx, "b": gx.sgd(0.1)}, {"dense": "a"}).init(params)',
        'gx.partition({"a": tx}, {"dense": "c"}).init(params)',
        'gx.partition({"dense": "a"}, {"a": tx}).init(params)',
        "gx.freeze(jax.tree.map(lambda p: p > 0, params)).init(params)",
    ],
    "Numbers in the state": [
        "gx.set_hyperparams(state, learning_rate=1e-4)",
        "gx.set_hyperparams(gx.inject(tx).init(params), lr=1e-4)",
        "gx.set_hyperparams(gx.inject(tx).init(params), b1=1.5)",
        "gx.set_hyperparams(gx.inject(tx).init(params), learning_rate=schedules.constant(0.1))",
        "gx.state_dict(state, tx)",
        "gx.state_dict(state)",
        'gx.load_state_dict(tx, {"dense": {"kernel": jnp.ones(4), "bias": jnp.ones(5)}}, gx.state_dict(tx, state))',
        "gx.inject(tx).init(params).hyperparams",
    ],
    "Saved states and configs": [
        "gx.load_state_dict(gx.average_params(tx), params, gx.state_dict(tx, state))",
        "gx.load_state_dict(gx.sgd(1e-3, 0.9), params, gx.state_dict(tx, state))",
        "gx.load_state_dict(tx, params, state)",
        "gx.load_state_dict(tx, gx.state_dict(tx, state), params)",
        "gx.load_state_dict(tx, state, gx.state_dict(tx, state))",
        "gx.interop.optax.from_state(tx, state)",
        'gx.load_state_dict(tx, params, gx.state_dict(tx, state), rename={"opt": "adam"})',
        "gx.eval_params(params, gx.average_params(tx).init(params))",
        'gx.from_config({"factory": "adamm", "arguments": {}})',
        'gx.from_config({"factory": "adam", "arguments": {"learning_rate": {"array": 1.0}}})',
    ],
    "The train step": [
        "gx.make_train_step(tx, loss)",
        "gx.make_train_step(loss, tx)(state, params, 1.0)",
        "gx.make_train_step(jax.grad(loss), tx)(params, state, 1.0)",
        "step = gx.make_train_step(loss, tx)\nstep(params, state, 1.0)\nstep(params, state, 1.0)",
        "gx.make_train_step(loss, tx)(params, 1.0)",
        "gx.make_train_step(loss, tx)(params, state, x=1.0)",
        'gx.make_train_step(loss, tx)(params, state, "train")',
        "gx.make_train_step(loss, tx)(params, jnp.asarray(0.5), 1.0)",
        "gx.make_train_step(lambda params, x: jnp.asarray(3), tx)(params, state, 1.0)",
        "gx.make_train_step(lambda params, x: (loss(params, x), x), tx)(params, state, 1.0)",
        'gx.make_train_step(lambda params, x: jnp.sin(params["dense"]["bias"]), tx)(params, state, 1.0)',
        "gx.make_train_step(lambda params: 1.0, tx, accumulate=2)(params, state)",
    ],
    "Your own transforms": [
        "gx.elementwise(lambda g, p: g + p)",
        "gx.memory(jnp.zeros_like, lambda g, m, p: m + p).update(grads, params, params)",
        "gx.elementwise(lambda g: jnp.sum(g)).update(grads, (), params)",
        "gx.transformation(lambda init: gx.scale(init))",
        "gx.transformation(1e-3)",
        "gx.treewise(lambda u, s, p: u).update(grads, (), params)",
        'gx.treewise(lambda u, s, p: (u, {"n": 1})).update(grads, (), params)',
        "gx.memory(lambda p: jnp.zeros(p.shape, int), lambda g, m, p: m).init(params)",
        "gx.memory(lambda p: jnp.zeros(()), lambda g, m, p: m).init(params)",
        "gx.elementwise(lambda g: None).update(grads, (), params)",
        "gx.memory(jnp.zeros_like, lambda g, m: m + g)",
        "gx.clocked(0, lambda clock: (clock, clock + 1), lambda g, count: g)",
        "gx.clocked(lambda: jnp.zeros(()), lambda clock: clock + 1, lambda g, count: g).update(grads, jnp.zeros(()))",
        "gx.combinator(lambda params: (), lambda updates, state, params: (updates, state))",
        "gx.conditional(tx, lambda: True)",
    ],
}


def message(code: str) -> str:
    """What the code raises, as it is printed."""
    scope: dict = {}
    exec(START, scope)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, scope)
    except Exception as error:
        notes = [note for note in getattr(error, "__notes__", []) if note.startswith("raised in")]
        return "\n".join([f"{type(error).__name__}: {error}", *notes])
    return "nothing is raised"


def page() -> str:
    """The page, with every message as it is now."""
    lines = [
        "# Errors",
        "",
        "What gradtx says to mistakes. The parameters are `{'dense': {'kernel': ..., 'bias': ...}}`, `tx` is",
        "`adam(1e-3)` and `state` its state. This page is written by `python tests/mistakes.py`.",
    ]
    for title, codes in MISTAKES.items():
        lines += ["", f"## {title}"]
        for code in codes:
            lines += ["", "```python", code, "```", "", "```text", message(code), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
