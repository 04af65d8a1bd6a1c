"""Stages where people look: in errors, in tracebacks, and in compiled programs."""

import inspect
import os
import sys
import traceback

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx

PACKAGE = os.path.dirname(gx.__file__)
P = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}


def broken(g):
    return g + jnp.ones(7)


@gx.transformation
def mine():
    return gx.elementwise(broken)


@gx.transformation
def mine_of_trees():
    return gx.treewise(lambda updates, state, params: (jax.tree.map(broken, updates), state))


HOMES = {
    "on each array": lambda tx: gx.chain(gx.clip_by_global_norm(1.0), gx.chain(gx.scale(2.0), tx)),
    "side by side": lambda tx: gx.chain(gx.clip_by_global_norm(1.0), gx.add(gx.identity(), tx)),
    "with a name": lambda tx: gx.chain(gx.clip_by_global_norm(1.0), gx.let("m", tx, gx.use("m"))),
    "in a wrapper": lambda tx: gx.skip_nonfinite(gx.chain(gx.scale(2.0), tx)),
}
STAGES = {
    "on each array": "chain > chain > ",
    "side by side": "chain > add > ",
    "with a name": "chain > let > ",
    "in a wrapper": "skip_nonfinite > chain > ",
}


@pytest.mark.parametrize("run", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("own", [mine, mine_of_trees])
@pytest.mark.parametrize("home", HOMES)
def test_a_mistake_in_a_users_function_is_found_below_few_frames_and_says_where(home, own, run):
    tx = HOMES[home](own())
    with pytest.raises(TypeError) as caught:
        run(tx.update)(P, tx.init(P), P)
    frames = traceback.extract_tb(caught.tb)
    assert sum(frame.filename.startswith(PACKAGE) for frame in frames) < 8
    assert any(frame.name == "broken" for frame in frames)
    assert f"raised in {STAGES[home]}{own.spec.name}" in caught.value.__notes__


def test_the_machinery_is_shown_where_jax_shows_its_own():
    tx = HOMES["on each array"](mine())
    jax.config.update("jax_traceback_filtering", "off")
    try:
        with pytest.raises(TypeError) as caught:
            tx.update(P, tx.init(P), P)
    finally:
        jax.config.update("jax_traceback_filtering", "auto")
    assert any("_core" in frame.filename for frame in traceback.extract_tb(caught.tb))


def test_errors_of_gradtx_have_their_path_in_the_message_and_no_note():
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1))
    with pytest.raises(
        gx.GradtxValueError, match=r"^in chain > adamw > chain > add_decayed_weights: expected the"
    ) as e:
        tx.update(P, tx.init(P))
    assert not getattr(e.value, "__notes__", [])


def test_programs_name_the_stages():
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1))
    text = jax.jit(tx.update).lower(P, tx.init(P), P).as_text(debug_info=True)
    for stage in ("clip_by_global_norm", "adamw/chain", "scale_by_adam/ratio", "add_decayed_weights"):
        assert stage in text, stage


def test_programs_name_what_is_inside_wrappers_and_groups():
    tx = gx.partition(
        {"all": gx.sharpness_aware(gx.adamw(0.1), 0.05)}, lambda params: jax.tree.map(lambda p: "all", params)
    )
    step = jax.jit(lambda g, s, p: tx.update(g, s, p, grad_fn=lambda p: p))
    text = step.lower(P, tx.init(P), P).as_text(debug_info=True)
    assert "partition/sharpness_aware/adamw/" in text


@pytest.mark.parametrize(
    "wrap", [gx.inject, lambda tx: gx.store(tx, gx.codecs.bfloat16), gx.bucketed], ids=["inject", "store", "bucketed"]
)
def test_wrappers_that_work_on_each_array_hide_no_stage(wrap):
    tx = wrap(gx.adamw(0.1))
    with pytest.raises(gx.GradtxValueError, match=r"in \w+ > adamw > chain > .*expected the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_an_error_below_a_thousand_frames_is_still_that_error():
    def deep(count):
        if count:
            return deep(count - 1)
        raise ValueError("at the bottom")

    tx = gx.elementwise(lambda g: deep(sys.getrecursionlimit() - len(inspect.stack()) - 100))
    with pytest.raises(ValueError, match="at the bottom"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
