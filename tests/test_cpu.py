"""Each trick for XLA's CPU backend, beside the program without it: when XLA needs it no longer, a test fails.

The figures are those of the compiler, and do not depend on the machine.
"""

import contextlib

import jax
import jax.numpy as jnp
import pytest
from test_compiled import SIZE, _compiled

import gradtx as gx
from gradtx import _cpu
from gradtx._core import compose, norms

pytestmark = pytest.mark.xla


def _figures(tx, size=SIZE):
    compiled = _compiled(tx, gx.apply_updates, (size,))
    moved, temporary = compiled.cost_analysis()["bytes accessed"], compiled.memory_analysis().temp_size_in_bytes
    return moved / size, temporary / size


@contextlib.contextmanager
def without(monkeypatch, module, name, plain):
    """The program without a trick. Nothing that was traced with it may be used again."""
    jax.clear_caches()
    with monkeypatch.context() as patched:
        patched.setattr(module, name, plain)
        yield
    jax.clear_caches()


@pytest.mark.parametrize(
    "make",
    [
        lambda: gx.rmsprop(1e-3, momentum=0.9, nesterov=True),
        lambda: gx.adadelta(1e-3),
        lambda: gx.schedule_free_adamw(1e-3),
        lambda: gx.lookahead(gx.adam(1e-3), 5, 0.5),
    ],
    ids=["nesterov", "adadelta", "schedule-free", "lookahead"],
)
def test_the_update_is_computed_from_what_is_stored(monkeypatch, make):
    moved, temporary = _figures(make())
    assert temporary < 0.01
    with without(monkeypatch, _cpu, "by_output", lambda work, slots: work):
        plainly_moved, plainly_temporary = _figures(make())
    assert plainly_temporary > 3.9, "XLA keeps no temporary buffer without it any more: remove it"
    assert moved <= plainly_moved - 3.99


def test_copies_are_told_apart():
    # Without the barrier CSE makes one computation of the two.
    tx = gx.rmsprop(1e-3, momentum=0.9, nesterov=True)
    text = _compiled(tx, gx.apply_updates).as_text()
    assert "opt-barrier" not in text, "it is gone before the program runs"


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_on_other_platforms_there_is_no_barrier_and_no_float64(platform):
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.schedule_free_adamw(1e-3))
    params = jax.ShapeDtypeStruct((100,), jnp.float32)
    state = jax.eval_shape(tx.init, params)
    program = jax.export.export(jax.jit(tx.update), platforms=[platform])(params, state, params).mlir_module()
    assert "optimization_barrier" not in program
    assert "f64" not in program
    here = jax.export.export(jax.jit(tx.update), platforms=["cpu"])(params, state, params).mlir_module()
    assert "optimization_barrier" in here
    assert "f64" in here


def test_one_sum_in_float64_is_less_than_two_scaled_sums(monkeypatch):
    def operations():
        params = jax.ShapeDtypeStruct((SIZE,), jnp.float32)
        return jax.jit(gx.tree.norm).lower(params).compile().cost_analysis()["flops"]

    wide = operations()
    with without(monkeypatch, _cpu, "norms", norms._scaled):
        scaled = operations()
    assert wide < 0.9 * scaled, "scaled sums are as cheap: remove it"


def test_a_factor_is_left_to_the_stacks(monkeypatch):
    params = [jax.ShapeDtypeStruct((64,), jnp.float32) for _ in range(100)]

    def fusions():
        tx = gx.chain(gx.clip_by_global_norm(1.0), gx.bucketed(gx.adam(0.1)))
        state = jax.eval_shape(tx.init, params)
        text = jax.jit(tx.update).lower(params, state).compile().as_text()
        return text[text.index("ENTRY") :].count(" fusion(")

    deferred = fusions()
    with without(monkeypatch, compose._cpu, "factors_deferred", lambda works: [work.update for work in works]):
        multiplied = fusions()
    assert deferred < multiplied - 50, "XLA multiplies in the stacks by itself: remove it"
