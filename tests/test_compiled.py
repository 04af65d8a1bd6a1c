"""What XLA makes of a donated step: temporaries, bytes moved, fusions, traces. None depends on the machine."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import CASES, OPTIMIZERS, the_others_wait

import gradtx as gx
from gradtx import schedules
from gradtx.testing import Case

SIZE = 20_000_000

COMPOSED = [
    Case(gx.adam(schedules.cosine_decay(1e-3, 100), b1=schedules.linear(0.8, 0.9, 10)), "adam, scheduled twice"),
    Case(gx.adamw(1e-3, mask=gx.where(lambda path, p: p.ndim > 0)), "adamw, masked"),
    Case(gx.inject(gx.adamw(1e-3)), "adamw, injected"),
    Case(gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(1e-3)), "clip + adamw"),
    Case(gx.accumulate_gradients(gx.adamw(1e-3), 2), "accumulate + adamw"),
    Case(gx.skip_nonfinite(gx.adamw(1e-3), check_output=False), "skip + adamw"),
    Case(gx.partition({"a": gx.adam(1e-3)}, gx.by_path({"**": "a"})), "partition of one"),
]
COMPILED = [case for case in CASES if "lowers_everywhere" not in case.excused]
IN_PLACE = [case for case in COMPILED if case in OPTIMIZERS or case.transform._built().work.leaf is not None]


def _compiled(tx, apply_updates, shape=(SIZE,), dtype=jnp.float32, extras=lambda params: {}):
    """A donated step on one array, compiled for abstract arguments: nothing of that size is allocated."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params, **extras(params))
        return apply_updates(params, updates), state

    params = jax.ShapeDtypeStruct(shape, dtype)
    state = jax.eval_shape(tx.init, params)
    # Optax asks for dtypes to promote by themselves.
    with jax.numpy_dtype_promotion("standard"):
        # A line search writes the gradient that it found where that of before was, which it does not read.
        return jax.jit(step, donate_argnums=(0, 1), keep_unused=True).lower(params, state, params).compile()


def _fusions(compiled):
    text = compiled.as_text()
    return text[text.index("ENTRY") :].count(" fusion(")


def _bytes_per_parameter(compiled):
    return compiled.cost_analysis()["bytes accessed"] / SIZE


@pytest.mark.parametrize("case", [*the_others_wait(IN_PLACE), *(pytest.param(case, id=case.name) for case in COMPOSED)])
def test_a_donated_step_works_in_place_and_allocates_no_temporary_array(case):
    # All that comes out takes the place of what came in: parameters and state, whole arrays of them.
    axes = len(case.shape or (1,))
    shape = (round(SIZE ** (1 / axes)),) * axes
    analysis = _compiled(case.transform, gx.apply_updates, shape, extras=case.extras).memory_analysis()
    assert analysis.output_size_in_bytes - analysis.alias_size_in_bytes < 1024
    arrays, _ = case.temporary
    assert analysis.temp_size_in_bytes < 1.01 * arrays * 4 * SIZE + 1024


@pytest.mark.parametrize("inner", [gx.adam(1e-3), gx.sgd(1e-3, 0.9), gx.rmsprop(1e-3, centered=True)])
def test_accumulation_keeps_no_array_in_between(inner):
    # What is chosen is chosen in the loops that compute it: 12 bytes for the mean, and one read less of the gradient.
    compiled = _compiled(gx.accumulate_gradients(inner, 8), gx.apply_updates)
    assert compiled.memory_analysis().temp_size_in_bytes < 1024
    plain = _bytes_per_parameter(_compiled(inner, gx.apply_updates))
    assert _bytes_per_parameter(compiled) <= plain + 12.01


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gx.sgd(1e-3, 0.9), optax.sgd(1e-3, 0.9)),
        (gx.adam(1e-3), optax.adam(1e-3)),
        (gx.adamw(1e-3), optax.adamw(1e-3)),
        (gx.rmsprop(1e-3), optax.rmsprop(1e-3)),
        (gx.rmsprop(1e-3, centered=True), optax.rmsprop(1e-3, centered=True)),
        (gx.adagrad(1e-3), optax.adagrad(1e-3)),
        (gx.adamax(1e-3), optax.adamax(1e-3)),
        (gx.nadam(1e-3), optax.nadam(1e-3)),
        (gx.amsgrad(1e-3), optax.amsgrad(1e-3)),
        (gx.yogi(1e-3), optax.yogi(1e-3)),
        (gx.lion(1e-3), optax.lion(1e-3)),
        (gx.adadelta(1e-3), optax.adadelta(1e-3)),
        (gx.sign_sgd(1e-3), optax.sign_sgd(1e-3)),
    ],
    ids=lambda tx: getattr(tx, "name", "optax"),
)
def test_no_more_bytes_than_optax_and_few_more_fusions(ours, theirs):
    state = ours.init(jnp.ones(2))
    ours, theirs = _compiled(ours, gx.apply_updates), _compiled(theirs, optax.apply_updates)
    assert _bytes_per_parameter(ours) <= _bytes_per_parameter(theirs) + 0.01
    # Three scalars for each bias correction, which are one kernel on a GPU; here each is a small one of its own.
    corrections = str(jax.tree.structure(state)).count("DecaySum")
    assert _fusions(ours) <= _fusions(theirs) + 3 * corrections


def test_clipping_before_adamw_moves_fewer_bytes_than_in_optax():
    ours = _compiled(gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(1e-3)), gx.apply_updates)
    theirs = _compiled(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)), optax.apply_updates)
    assert _bytes_per_parameter(ours) <= 0.81 * _bytes_per_parameter(theirs)
    assert theirs.memory_analysis().temp_size_in_bytes > 4 * SIZE  # what it is all about


def test_half_precision_parameters_need_no_float32_copy():
    compiled = _compiled(gx.adamw(1e-3), gx.apply_updates, dtype=jnp.bfloat16)
    assert compiled.memory_analysis().temp_size_in_bytes < 1024


def test_one_trace_for_many_learning_rates():
    traces = []

    @jax.jit
    def step(tx, params, state, grads):
        traces.append(tx)
        updates, state = tx.update(grads, state, params)
        return gx.apply_updates(params, updates), state

    params = jnp.ones(8)
    state = gx.adam(0.0).init(params)
    for learning_rate in (1e-3, 0.1, 1, np.float32(0.5), np.float64(0.5)):
        step(gx.adam(learning_rate), params, state, params)
    assert len(traces) == 1


def test_an_equal_transform_made_again_does_not_compile_again_as_a_static_argument():
    traces = []

    @jax.jit(static_argnums=0)
    def update(tx, grads, state):
        traces.append(tx)
        return tx.update(grads, state)

    grads = jnp.ones(3)
    for _ in range(3):
        tx = gx.chain(gx.clip(1.0), gx.adam(schedules.linear(0.1, 0.0, 10)))
        update(tx, grads, tx.init(grads))
    assert len(traces) == 1


def test_the_update_of_a_schedule_does_not_retrace():
    tx = gx.chain(gx.adamw(schedules.cosine_decay(1e-3, 5), weight_decay=schedules.constant(0.1)))
    traces, params = [], jnp.ones(4)

    @jax.jit
    def step(params, state):
        traces.append(1)
        updates, state = tx.update(params, state, params)
        return gx.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(4):
        params, state = step(params, state)
    assert len(traces) == 1


def test_no_buffers_pile_up_from_step_to_step():
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.inject(gx.adamw(schedules.linear(0.1, 0.0, 9))))
    params, counts = jnp.ones(4), []
    state, step = tx.init(params), gx.make_train_step(lambda p: jnp.sum(p**2), tx)
    gc.collect()
    gc.freeze()  # what is there already, of other tests, takes long to look through
    for _ in range(6):
        params, state, loss = step(params, state)
        del loss
        gc.collect()
        counts.append(len(jax.live_arrays()))
    gc.unfreeze()
    assert counts[-1] == counts[1]


def test_making_transforms_and_importing_start_no_backend():
    import subprocess
    import sys

    code = """
import gradtx as gx
import gradtx.interop.optax, gradtx.interop.torch
tx = gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(gx.schedules.linear(0.1, 0.0, 10), mask=gx.by_path({"**": True})))
print(tx, gx.describe(tx), hash(tx), gx.to_config(tx))
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
import sys
assert not {"optax", "torch", "flax", "chex", "matplotlib", "gradtx.testing"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
