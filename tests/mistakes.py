"""Mistakes that people make, and the page of their messages: `python tests/mistakes.py` writes `docs/errors.md`.

Each mistake is a piece of code; what it raises is in the page as it is printed, below what usually causes it.
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

CAUSES = {
    "A state that is missing or is not one": """`tx.update` takes the gradients, the state and the parameters, in
this order, and returns a pair. These errors come from another order, from a pair that was not unpacked, from a
method or factory that was not called, or from a transform where its state is expected. Make the state once by
`state = tx.init(params)`, and go on with `updates, state = tx.update(grads, state, params)`.""",
    "The state of something else": """A state belongs to one transform and to parameters of one structure. It no
longer fits after the optimizer or the model was changed, or when it was saved in another form. Convert it as the
message says, or begin with a new one by `tx.init(params)`; [saving and resuming](how_do_i/save_and_resume.md) has
the ways.""",
    "Gradients that do not fit the parameters": """Gradients have the containers, the shapes and the kind (real or
complex) of the parameters. If not, something else was passed: the loss, the pair of `value_and_grad`, gradients of
single examples, or the gradients of other parameters. Look at `jax.tree.map(jnp.shape, grads)` beside the same of
the parameters.""",
    "Updates that are not updates": """`apply_updates` takes the parameters and what `tx.update` returned *first*.
Unpack the pair before.""",
    "Parameters that cannot be updated": """Parameters are a pytree of floating-point arrays. A model of a framework
also holds functions, counters and tables of integers: give its arrays only, as `init` of Flax and Haiku,
`nnx.state` and `eqx.filter` do, and give leaves of integers to `set_to_zero`.""",
    "What an optimizer needs beside the gradients": """Some transforms read more than the gradients: weight decay
reads the parameters, Momo the loss, a line search the loss as a function. `make_train_step` passes all of it; in a
loop of your own, pass what the message names. Where noise is drawn, the argument `seed` is a whole number, not a
key.""",
    "Losses without noise": """`minimize(loss, tx, params)` takes the loss first, and the loss itself: its gradient
is computed inside.""",
    "Habits of PyTorch": """A transform keeps no parameters of the model and no gradients, so it has nothing to
call, to step or to reset: the state goes in and comes out. [From PyTorch and Keras](from_pytorch_and_keras.md) has
the same loop in both.""",
    "Values of hyperparameters": """A value of another kind or out of its range. It is refused where the transform
is made, so the line of your code in the traceback is the one to change. Often the arguments stand in another order
than in the factory, which the message then shows.""",
    "Names of arguments": """The message shows all arguments by their names, `learning_rate` for `lr` and `b1` for
`beta1`. What an optimizer has no argument for is another part of the chain, or another optimizer, which the message
names. Parameters are no argument of a transform: they go to `tx.init(params)`.""",
    "The order of a chain": """A named optimizer ends with the learning rate and the minus of a descent step. A
second rate behind it would turn the step around, and a decay behind it would make weights grow: put what acts on
gradients before the optimizer, and take one that has the decay inside, as `adamw` has.""",
    "A transform is expected": """`chain`, `partition` and the wrappers take transforms: what a factory returns when
it is called. Give them one by one, not in a list, and in the order that the message shows.""",
    "Schedules": """A schedule is a function of the step. Call the factory first (`cosine_decay(1e-3, 1000)`),
values before numbers of steps. The step is traced under `jit`, so a function of your own chooses by `jnp.where` in
place of `if`.""",
    "When an update counts": """The predicate of `conditional` is called with the count of steps, not with the
gradients. What else it reads, such as the loss, it names after a star, and `tx.update(..., value=loss)` passes it.""",
    "Names of other libraries": """A name of Optax, PyTorch or Keras, or a misspelt one. Take the name that the
message gives; [Coming from Optax](coming_from_optax.md) lists those of Optax, and `import gradtx.optax as optax`
has them as they are there.""",
    "Masks": """A mask says True or False for each leaf or whole subtree, in the containers of the parameters. Most
mistakes are a name where a mask is expected, keys that the parameters do not have, or a function of one leaf: a
plain function gets the whole tree. `by_path` makes a mask from patterns of names, and `where` from a function of
each path and leaf.""",
    "Patterns and labels": """Each leaf needs a label that has a transform, and each pattern and transform needs a
leaf. So a misspelt name is found, and does not freeze or skip parameters silently. Print the names by
`gx.tree.paths(params)`.""",
    "Numbers in the state": """Hyperparameters are in the state only if the transform was wrapped by `inject`, and
then under the names of its arguments. Read them by `get_hyperparams`, and go on with the state that
`set_hyperparams` returns.""",
    "States by name": """`state_dict(tx, state)` makes a dict of names and arrays, and
`load_state_dict(tx, params, d)` a state of it. The transform comes first in both, and `params` are the parameters
of the model.""",
    "Saved states that do not match": """The optimizer or the model has changed since the state was saved. Missing
entries are what the new state needs, unexpected ones what the old one had. If they are the same under other names,
`rename` carries them over; with `strict=False` what is missing begins anew.""",
    "Configs": """A config was edited by hand, or it names a factory that is not imported here. Import the module
that defines your own factory before `from_config`, and compare with what `to_config` writes.""",
    "The train step and its arguments": """`make_train_step(loss_fn, tx)` makes `step(params, state, *batch)`, which
returns `(params, state, loss)`. Go on with what it returned: the parameters and the state that were passed are
donated, which means that their memory is used for the results. The batch is arrays, each by position.""",
    "The loss of a train step": """The loss is a function of the parameters and the batch that returns one real
number, not its gradient. Take a mean or a sum of several losses, and pass `has_aux=True` where it returns something
else too.""",
    "Your own transforms: what a function returns": """A function for one array returns one array of the same shape;
one for the whole tree returns updates and a state whose structure does not change from step to step. A forgotten
`return` gives None. Choose the constructor by what the function sees: `elementwise` and `memory` one array,
`treewise` the tree; `clocked` has scalars that all arrays share.""",
    "Your own transforms: what a function is given": """Each constructor calls its functions with fixed arguments,
by position. The message names them; the parameter is there only with `needs_params=True`.
[Write your own](writing_your_own.md) shows which constructor is for what.""",
}

MISTAKES = {
    "A state that is missing or is not one": [
        "tx.update(grads, None, params)",
        "tx.update(grads, tx.init, params)",
        "tx.update(grads, params, state)",
        "tx.update(state, grads, params)",
        "tx.update(grads, tx.update(grads, state, params), params)",
        "gx.eval_params(params, gx.average_params(tx).init(params))",
        "gx.get_hyperparams(tx)",
        "gx.adam.init(params)",
    ],
    "The state of something else": [
        "tx.update(grads, gx.sgd(1e-3, 0.9).init(params), params)",
        "tx.update(grads, optax.adam(1e-3).init(params), params)",
        "tx.update(grads, gx.state_dict(tx, state), params)",
        "tx.update(grads, list(state), params)",
        'tx.update(grads, tx.init({"params": params}), params)',
        'tx.update(grads, tx.init({"dense": params["dense"], "head": jnp.ones(2)}), params)',
    ],
    "Gradients that do not fit the parameters": [
        "tx.update(jnp.asarray(0.5), state, params)",
        "tx.update(jax.value_and_grad(loss)(params, 1.0), state, params)",
        "tx.update(jax.tree.map(lambda x: x.astype(complex), grads), state, params)",
        'tx.update({"dense": {"kernel": grads["dense"]["kernel"], "bias": None}}, state, params)',
        "gx.sgd(0.1).update(jax.tree.map(jnp.transpose, grads), gx.sgd(0.1).init(params), params)",
        "tx.update(jax.tree.map(lambda g: jnp.stack([g] * 32), grads), state, params)",
        'tx.update({"dense": jnp.ones(2)}, state, params)',
        'tx.update({"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(2)}}, state, params)',
    ],
    "Updates that are not updates": [
        "gx.apply_updates(params, tx.update(grads, state, params))",
        "gx.apply_updates(params, state)",
    ],
    "Parameters that cannot be updated": [
        "tx.init(jax.nn.relu)",
        'tx.init({"ids": jnp.arange(3)})',
        'tx.init({"activation": jnp.tanh, "w": jnp.ones(2)})',
    ],
    "What an optimizer needs beside the gradients": [
        "gx.adamw(1e-3).update(grads, gx.adamw(1e-3).init(params))",
        "gx.momo().update(grads, gx.momo().init(params), params)",
        "gx.lbfgs().update(grads, gx.lbfgs().init(params), params)",
        "gx.noisy_sgd(1e-3, seed=jax.random.key(0)).init(params)",
    ],
    "Losses without noise": [
        "gx.minimize(gx.lbfgs(), lambda params: loss(params, 1.0), params)",
        "gx.minimize(lambda params: params, gx.lbfgs(), params)",
    ],
    "Habits of PyTorch": [
        "tx(grads)",
        "tx.step()",
        "tx.zero_grad()",
    ],
    "Values of hyperparameters": [
        'gx.adam("fast")',
        "gx.adam(-1e-3)",
        "gx.adam(1e-3, (0.9, 0.999))",
        "gx.adam(1e-3, b1=1.5)",
        "gx.adam(params, 1e-3)",
        "gx.lookahead(gx.sgd(0.1), 5, 6)",
        "gx.sgd(0.1, nesterov=schedules.linear(0, 1, 10))",
        "gx.accumulate_gradients(gx.adam(1e-3), 0)",
    ],
    "Names of arguments": [
        "gx.adam(params, lr=1e-3)",
        "gx.adam(1e-3, beta1=0.9)",
        "gx.adam(lr=1e-3)",
        "gx.adam(1e-3, weight_decay=0.1)",
    ],
    "The order of a chain": [
        "gx.chain(gx.adam(1.0), gx.scale_by_learning_rate(1e-3))",
        "gx.chain(gx.adam(1e-3), gx.add_decayed_weights(1e-4))",
        "gx.chain(gx.clip(1.0), gx.lbfgs())",
    ],
    "A transform is expected": [
        "gx.accumulate_gradients(4, gx.adam(1e-3))",
        "gx.chain([gx.clip(1.0), gx.adam(1e-3)])",
        "gx.chain(gx.clip_by_global_norm(1.0), gx.adam)",
        "gx.parallel(tx, gx.sgd(0.1))",
        "gx.parallel(lambda x: x, tx, gx.sgd(0.1))",
        "gx.sweep(lambda tx, key: 0.0, [tx, gx.sgd(0.1)], {})",
    ],
    "Schedules": [
        "gx.adam(schedules.cosine_decay)",
        "gx.adam(lambda: 1e-3)",
        "schedules.cosine_decay(1000, 1e-2)",
        "schedules.warmup(schedules.cosine_decay(1e-3, 100), 10)",
        "jax.jit(gx.sgd(lambda step: 0.1 if step < 10 else 0.01).update)(grads, gx.sgd(lambda step: 0.1).init(params))",
    ],
    "When an update counts": [
        "gx.conditional(tx, lambda grads: True)",
        "gx.conditional(tx, lambda step, value: value < 10.0)",
        "gx.conditional(gx.adam(1e-3), True)",
        "gx.conditional(tx, lambda: True)",
    ],
    "Names of other libraries": [
        "gx.MultiSteps(tx, 4)",
        "gx.multi_transform",
        "gx.AdamW",
        "gx.adamww",
        "schedules.cosine_decay_schedule",
    ],
    "Masks": [
        'gx.freeze("dense")',
        "gx.freeze(lambda path, p: p.ndim > 1).init(params)",
        "gx.freeze(gx.where(lambda path, p: None)).init(params)",
        "gx.freeze(gx.where(lambda p: p.ndim > 1)).init(params)",
        'gx.freeze({"dense": True, "head": False}).init(params)',
        "gx.freeze(jax.tree.map(lambda p: p > 0, params)).init(params)",
        'gx.masked(gx.sgd(0.1), ["dense"]).init(params)',
        'gx.as_matrices(gx.orthogonalize(), (0, 1)).init({"a": jnp.ones((4, 3))})',
    ],
    "Patterns and labels": [
        'gx.freeze(gx.by_path({"kernel": True, "**": False})).init(params)',
        'gx.partition({"a": tx, "b": gx.sgd(0.1)}, {"dense": "a"}).init(params)',
        'gx.partition({"a": tx}, {"dense": "c"}).init(params)',
        'gx.partition({"dense": "a"}, {"a": tx}).init(params)',
    ],
    "Numbers in the state": [
        "gx.set_hyperparams(state, learning_rate=1e-4)",
        "gx.set_hyperparams(gx.inject(tx).init(params), lr=1e-4)",
        "gx.set_hyperparams(gx.inject(tx).init(params), b1=1.5)",
        "gx.set_hyperparams(gx.inject(tx).init(params), learning_rate=schedules.constant(0.1))",
        "gx.inject(tx).init(params).hyperparams",
    ],
    "States by name": [
        "gx.state_dict(state, tx)",
        "gx.state_dict(state)",
        "gx.load_state_dict(tx, params, state)",
        "gx.load_state_dict(tx, gx.state_dict(tx, state), params)",
        "gx.load_state_dict(tx, state, gx.state_dict(tx, state))",
        "gx.interop.optax.from_state(tx, state)",
    ],
    "Saved states that do not match": [
        'gx.load_state_dict(tx, {"dense": {"kernel": jnp.ones(4), "bias": jnp.ones(5)}}, gx.state_dict(tx, state))',
        "gx.load_state_dict(gx.average_params(tx), params, gx.state_dict(tx, state))",
        "gx.load_state_dict(gx.sgd(1e-3, 0.9), params, gx.state_dict(tx, state))",
        'gx.load_state_dict(tx, params, gx.state_dict(tx, state), rename={"opt": "adam"})',
    ],
    "Configs": [
        'gx.from_config({"factory": "adamm", "arguments": {}})',
        'gx.from_config({"factory": "adam", "arguments": {"learning_rate": {"array": 1.0}}})',
    ],
    "The train step and its arguments": [
        "gx.make_train_step(tx, loss)",
        "gx.make_train_step(loss, tx)(state, params, 1.0)",
        "step = gx.make_train_step(loss, tx)\nstep(params, state, 1.0)\nstep(params, state, 1.0)",
        "gx.make_train_step(loss, tx)(params, 1.0)",
        "gx.make_train_step(loss, tx)(params, state, x=1.0)",
        'gx.make_train_step(loss, tx)(params, state, "train")',
        "gx.make_train_step(loss, tx)(params, jnp.asarray(0.5), 1.0)",
        "gx.make_train_step(lambda params: 1.0, tx, accumulate=2)(params, state)",
    ],
    "The loss of a train step": [
        "gx.make_train_step(jax.grad(loss), tx)(params, state, 1.0)",
        "gx.make_train_step(lambda params, x: jnp.asarray(3), tx)(params, state, 1.0)",
        "gx.make_train_step(lambda params, x: (loss(params, x), x), tx)(params, state, 1.0)",
        'gx.make_train_step(lambda params, x: jnp.sin(params["dense"]["bias"]), tx)(params, state, 1.0)',
    ],
    "Your own transforms: what a function returns": [
        "gx.elementwise(lambda g: jnp.sum(g)).update(grads, (), params)",
        "gx.elementwise(lambda g: None).update(grads, (), params)",
        "gx.memory(lambda p: jnp.zeros(p.shape, int), lambda g, m, p: m).init(params)",
        "gx.memory(lambda p: jnp.zeros(()), lambda g, m, p: m).init(params)",
        "gx.treewise(lambda u, s, p: u).update(grads, (), params)",
        'gx.treewise(lambda u, s, p: (u, {"n": 1})).update(grads, (), params)',
        "gx.clocked(lambda: jnp.zeros(()), lambda clock: clock + 1, lambda g, count: g).update(grads, jnp.zeros(()))",
    ],
    "Your own transforms: what a function is given": [
        "gx.elementwise(lambda g, p: g + p)",
        "gx.memory(jnp.zeros_like, lambda g, m, p: m + p).update(grads, params, params)",
        "gx.memory(jnp.zeros_like, lambda g, m: m + g)",
        "gx.clocked(0, lambda clock: (clock, clock + 1), lambda g, count: g)",
        "gx.combinator(lambda params: (), lambda updates, state, params: (updates, state))",
        "gx.transformation(lambda init: gx.scale(init))",
        "gx.transformation(1e-3)",
    ],
}

INTRODUCTION = """# Errors

What gradtx says to mistakes, and what usually causes them. A message is read from left to right:

```text
GradtxValueError: in adamw > chain > add_decayed_weights: expected the parameters, got None; call
tx.update(updates, state, params)
```

- **Where**: `in adamw > chain > add_decayed_weights` is the way from the transform that you called, inwards to
  the one that complains. `print(gx.describe(tx))` shows the same names as a tree.
- **Which leaf**: an array of a pytree is named by the keys that lead to it, as in `'dense/kernel'`.
  `gx.tree.paths(params)` lists these names.
- **What was expected, and what was got.** A long value is cut.
- **What to do** stands last, after a semicolon.

`GradtxTypeError` is a `TypeError`, `GradtxValueError` a `ValueError`, and both are a `GradtxError`. Arguments are
checked where a transform is made, structures, shapes and dtypes where it is called, under `jit` too.

Below, the parameters are `{'dense': {'kernel': ..., 'bias': ...}}`, `tx` is `adam(1e-3)` and `state` its state. This
page is written by `python tests/mistakes.py`."""


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
    lines = [INTRODUCTION]
    for title, codes in MISTAKES.items():
        lines += ["", f"## {title}", "", CAUSES[title]]
        for code in codes:
            lines += ["", "```python", code, "```", "", "```text", message(code), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
