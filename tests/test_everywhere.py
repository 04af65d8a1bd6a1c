"""Skipping, accumulating, naming and encoding, around and inside every combinator.

Each combinator is a function of its inner transform here; a public combinator that is missing fails a test.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import check_a_skipped_step, check_a_window, close, gradients_like

import gradtx as gx
from gradtx._core.context import Context

P = {"a": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), "b": jnp.asarray([0.5, -0.25, 0.75])}
FIRST = {"a": True, "b": False}
gradients = partial(gradients_like, P)


def steps(tx, grads):
    """Updates and states of each step, compiled once, with all extra arguments that somebody asks for."""

    @jax.jit
    def step(g, state):
        functions = {"grad_fn": lambda p: jax.tree.map(lambda x: 2 * x, p), "value_and_grad_fn": flat}
        return tx.update(g, state, P, value=1.0, **functions)

    state, out, states = tx.init(P), [], []
    for g in grads:
        u, state = step(g, state)
        out.append(u)
        states.append(state)
    return out, states


def flat(params):
    """A loss for which a line search accepts the first step along anything that descends."""
    return 1.0, jax.tree.map(jnp.zeros_like, params)


def of_trees(inner):
    """A combinator of the user's, by the public constructor."""

    def init(step, params):
        return {"inner": step.init(inner, params), "norm": jnp.zeros(())}

    def update(step, updates, state, params):
        norm = gx.tree.norm(updates)
        updates, new = step.update(inner, updates, state["inner"], params)
        return updates, {"inner": new, "norm": state["norm"] + norm}

    return gx.combinator(init, update)


users_own = gx.transformation(role="wrapper")(of_trees)
WHOLE = gx.clip_by_global_norm(1e9)  # makes of any chain one that needs the whole tree

MATRICES = gx.where(lambda path, p: p.ndim == 2)
COMBINATORS = {
    "chain": lambda tx: gx.chain(gx.scale(0.5), tx),
    "chain of trees": lambda tx: gx.chain(WHOLE, tx, WHOLE),
    "chain with names": lambda tx: gx.chain(("z", gx.scale(0.5)), ("a", tx)),
    "parallel": lambda tx: gx.parallel(jnp.subtract, gx.identity(), tx),
    "parallel of trees": lambda tx: gx.parallel(jnp.subtract, WHOLE, tx),
    "ratio": lambda tx: gx.ratio(tx, gx.absolute(), 1.0),
    "difference": lambda tx: gx.difference(tx, gx.identity()),
    "interpolate": lambda tx: gx.interpolate(tx, gx.identity(), 0.3),
    "add": lambda tx: gx.add(tx, gx.identity()),
    "product": lambda tx: gx.product(tx, gx.identity()),
    "maximum": lambda tx: gx.maximum(tx, gx.identity()),
    "mean": lambda tx: gx.mean(tx, gx.identity()),
    "let": lambda tx: gx.let("n", gx.scale(2.0), gx.add(tx, gx.use("n"))),
    "let, the value": lambda tx: gx.let("n", tx, gx.use("n")),
    "let of trees": lambda tx: gx.let("n", WHOLE, gx.add(tx, gx.use("n"))),
    "partition": lambda tx: gx.partition({"x": tx, "y": gx.scale(2.0)}, {"a": "x", "b": "y"}),
    "masked": lambda tx: gx.masked(tx, FIRST),
    "inject": lambda tx: gx.inject(gx.chain(tx, gx.scale(0.5))),
    "inject of trees": lambda tx: gx.inject(gx.chain(WHOLE, tx)),
    "schedule": lambda tx: gx.interpolate(tx, gx.identity(), gx.schedules.linear(0.1, 0.9, 5)),
    "schedule of trees": lambda tx: gx.ratio(gx.chain(WHOLE, tx), gx.absolute(), gx.schedules.linear(0.1, 0.9, 5)),
    "graft": lambda tx: gx.graft(tx, gx.sign()),
    "scale_by_dual_norm": gx.scale_by_dual_norm,
    "as_matrices": lambda tx: gx.masked(gx.as_matrices(tx), MATRICES),
    "in_eigenbasis": lambda tx: gx.masked(gx.in_eigenbasis(tx, every=2), MATRICES),
    "precondition_by_kronecker": lambda tx: gx.masked(gx.precondition_by_kronecker(tx, ridge=1e-2), MATRICES),
    "precondition_by_kl_kronecker": lambda tx: gx.masked(gx.precondition_by_kl_kronecker(tx, ridge=1e-2), MATRICES),
    "low_rank": lambda tx: gx.masked(gx.low_rank(tx, 1), MATRICES),
    "line_search": lambda tx: gx.line_search(gx.chain(tx, gx.scale(-1.0))),
    "backtracking": lambda tx: gx.backtracking(gx.chain(tx, gx.scale(-1.0)), slope=0.0),
    "over_layers": gx.over_layers,
    "per_leaf": gx.per_leaf,
    "split_complex": gx.split_complex,
    "store": lambda tx: gx.store(tx, gx.codecs.bfloat16),
    "bucketed": lambda tx: gx.bucketed(tx, min_count=1),
    "compiled": gx.compiled,
    "accumulate_gradients": lambda tx: gx.accumulate_gradients(tx, 1),
    "skip_nonfinite": gx.skip_nonfinite,
    "conditional": lambda tx: gx.conditional(tx, lambda count: count % 2 == 0),
    "switch": lambda tx: gx.switch(lambda count: count % 2, tx, gx.scale(0.5)),
    "lookahead": lambda tx: gx.lookahead(tx, 2, 0.5),
    "lookahead, reset": lambda tx: gx.lookahead(tx, 2, 0.5, reset_state=True),
    "average_params": gx.average_params,
    "schedule_free": lambda tx: gx.schedule_free(tx, 0.1),
    "master_weights": gx.master_weights,
    "cautious": gx.cautious,
    "remove_radial": gx.remove_radial,
    "sharpness_aware": gx.sharpness_aware,
    "extrapolated_gradient": lambda tx: gx.extrapolated_gradient(tx, 0.5),
    "mechanize": gx.mechanize,
    "momo_step": lambda tx: gx.momo_step(0.1, denominator=gx.chain(gx.square(), tx, gx.square(), gx.add_constant(1.0))),
    "user's own": users_own,
}
# What the inner transform gets there is not the updates that come in, or its state is another.
OTHER_INPUT = {
    "sharpness_aware",
    "extrapolated_gradient",
    "momo_step",
    "chain",
    "chain with names",
    "let, the value",
    "store",
}
# Only where all inside work on each array by itself.
LEAFWISE = {"bucketed"}
INNER = gx.chain(gx.scale_by_ema(0.5), gx.bias_correction(0.5))

# They compile for several times as long as the others, and wait for the slow run.
LONG = {
    "as_matrices",
    "in_eigenbasis",
    "precondition_by_kronecker",
    "precondition_by_kl_kronecker",
    "low_rank",
    "line_search",
    "backtracking",
    "mechanize",
    "momo_step",
    "over_layers",
}
by_name = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in COMBINATORS]
)


def test_every_combinator_is_here():
    with_role = {
        name
        for name, item in vars(gx).items()
        if (spec := getattr(item, "spec", None)) is not None and spec.role is not None
    }
    words = {name.split(",")[0].split(" ")[0] for name in COMBINATORS}
    assert with_role - {"use"} <= words


@by_name
def test_a_step_that_is_skipped_around_it_leaves_no_trace(name):
    check_a_skipped_step(steps, COMBINATORS[name](INNER), gradients(3))


@by_name
def test_a_window_around_it_is_one_step_of_its_mean(name):
    check_a_window(steps, COMBINATORS[name](INNER), gradients(4))


@by_name
def test_a_name_is_read_inside_it(name):
    tx = gx.let("m", gx.scale_by_ema(0.5), COMBINATORS[name](gx.use("m")))
    out, _ = steps(tx, gradients(2))
    if name not in OTHER_INPUT:
        close(out, steps(COMBINATORS[name](gx.scale_by_ema(0.5)), gradients(2))[0], rtol=1e-4)


@by_name
def test_what_is_kept_inside_it_is_encoded_by_a_codec_around_it(name):
    tx = gx.store(COMBINATORS[name](gx.scale_by_ema(0.5)), gx.codecs.bfloat16)
    kept = [x.dtype for x in jax.tree.leaves(tx.init(P)) if x.dtype == jnp.bfloat16]
    assert kept
    out, states = steps(tx, gradients(2))
    jax.tree.map(lambda x, y: np.testing.assert_equal(x.dtype, y.dtype), states[-1], tx.init(P))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(out))


@by_name
def test_that_arrays_are_matrices_is_known_inside_it(name):
    """And so is every field of the context that a combinator does not have to change."""
    seen = []

    def init(step, params):
        return ()

    def update(step, updates, state, params):
        seen.append(step.of_matrices)
        return updates, state

    tx = COMBINATORS[name](gx.combinator(init, update)) if name not in LEAFWISE else gx.identity()
    extra = {"grad_fn": lambda p: p, "value_and_grad_fn": flat, "value": 1.0}
    step, p = Context(extra, of_matrices=True, is_traced=True), {"a": P["a"], "b": 2 * P["a"]}
    jax.eval_shape(lambda g, state: step.update(tx, g, state, p), p, step.init(tx, p))
    assert all(seen)
    assert seen or name in LEAFWISE


GATED = {
    "skip_nonfinite": (gx.skip_nonfinite, "skip"),
    "accumulate_gradients": (lambda tx: gx.accumulate_gradients(tx, 1), "window"),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrap", GATED)
@by_name
def test_a_gate_that_is_open_inside_it_changes_nothing(name, wrap):
    if name in LEAFWISE:
        return
    expected = steps(COMBINATORS[name](INNER), gradients(2))[0]
    close(steps(COMBINATORS[name](GATED[wrap][0](INNER)), gradients(2))[0], expected)


@pytest.mark.slow
@by_name
def test_a_transform_of_somebody_else_inside_it_is_skipped_too(name):
    if name in LEAFWISE or name == "store":
        return  # it does not work on each array by itself, or says not which arrays are its own
    count = gx.GradientTransformation(lambda p: jnp.zeros(()), lambda u, s, p=None: (u, s + 1))
    tx = gx.skip_nonfinite(COMBINATORS[name](gx.chain(gx.scale_by_ema(0.5), count)))
    first, second = gradients(2)
    spoilt = {**second, "b": second["b"].at[0].set(jnp.inf)}
    out, states = steps(tx, [first, spoilt])
    assert not any(np.any(x) for x in jax.tree.leaves(out[1]))
    jax.tree.map(np.testing.assert_array_equal, states[1].inner, states[0].inner)
