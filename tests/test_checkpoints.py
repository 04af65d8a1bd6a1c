"""With Orbax: a run that is saved and restored goes on bit for bit, also where the optimizer has changed meanwhile."""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import gradtx as gx
from gradtx import schedules

# Without a target Orbax reads from the file where arrays were, and warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning")

PARAMS = {"dense": {"kernel": jnp.arange(6.0).reshape(3, 2), "bias": jnp.zeros(2)}}
RATE = schedules.cosine_decay(0.1, 10)
ADAMW = gx.adamw(RATE, weight_decay=0.1)
OPTIMIZERS = {
    "adamw in a chain": gx.chain(gx.clip_by_global_norm(1.0), ADAMW),
    "named chain": gx.chain(("opt", ADAMW), ("clip", gx.clip(1.0))),  # dicts sort their keys
    "partition": gx.partition({"a": gx.adam(RATE), "b": gx.sgd(0.1, 0.9)}, gx.by_path({"**/bias": "b", "**": "a"})),
    "schedule_free_adamw": gx.schedule_free_adamw(0.1, warmup_steps=3),
    "accumulate_gradients": gx.accumulate_gradients(gx.adamw(RATE), 2),
}


def loss(params):
    return jnp.sum(jnp.sin(params["dense"]["kernel"]) ** 2) + jnp.sum((params["dense"]["bias"] - 1) ** 2)


def steps(tx, params, state, count, donate=False):
    step = gx.make_train_step(loss, tx, donate=donate)
    for _ in range(count):
        params, state, _ = step(params, state)
    return params, state


def assert_identical(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def nothing():
    pass


def synchronous(path, content, meanwhile=nothing):
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(path, content)
    meanwhile()


def asynchronous(path, content, meanwhile=nothing):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, content)
        meanwhile()
        checkpointer.wait_until_finished()


def restored(path, like):
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path, like)


@pytest.mark.parametrize("save", [synchronous, asynchronous])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_run_goes_on_bit_for_bit(name, save, tmp_path):
    tx = OPTIMIZERS[name]
    params, state = steps(tx, PARAMS, tx.init(PARAMS), 3)  # in the middle of a window, and of the warmup
    run = {"params": params, "state": state}
    saved, wanted = jax.tree.map(np.array, run), steps(tx, params, state, 4)
    # While the file is written, training goes on and overwrites what is saved.
    save(tmp_path / "run", run, lambda: steps(tx, params, state, 2, donate=True))

    abstract = jax.eval_shape(lambda: {"params": PARAMS, "state": tx.init(PARAMS)})
    found = restored(tmp_path / "run", abstract)
    assert_identical(found, saved)
    assert_identical(steps(tx, found["params"], found["state"], 4), wanted)


CHANGED = {
    "gained": gx.chain(gx.centralize(), gx.clip_by_global_norm(1.0), ADAMW, gx.freeze(False)),
    "lost": ADAMW,
    "named around": gx.chain(gx.chain(gx.clip_by_global_norm(1.0)), gx.chain(ADAMW)),
}


@pytest.mark.parametrize("after", CHANGED.values(), ids=CHANGED)
def test_by_name_a_state_is_restored_into_a_chain_that_gained_or_lost_what_stores_nothing(after, tmp_path):
    before = OPTIMIZERS["adamw in a chain"]
    params, state = steps(before, PARAMS, before.init(PARAMS), 3)
    named = gx.state_dict(before, state)
    asynchronous(tmp_path / "state", named)

    found = restored(tmp_path / "state", jax.eval_shape(lambda: named))
    moved = gx.load_state_dict(after, params, found)
    assert_identical(gx.state_dict(after, moved), named)
    # As if it had been there from the beginning.
    assert_identical(steps(after, params, moved, 2), steps(after, params, _from_the_beginning(after, state), 2))


def _from_the_beginning(tx, state):
    return jax.tree.structure(tx.init(PARAMS)).unflatten(jax.tree.leaves(state))


def test_without_a_target_the_arrays_by_name_are_all_that_is_needed(tmp_path):
    tx = OPTIMIZERS["partition"]
    params, state = steps(tx, PARAMS, tx.init(PARAMS), 3)
    synchronous(tmp_path / "state", gx.state_dict(tx, state))
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        found = checkpointer.restore(tmp_path / "state")
    assert_identical(gx.load_state_dict(tx, params, found), state)


def test_a_state_that_was_restored_into_plain_containers_is_refused_with_the_way_out(tmp_path):
    tx = gx.chain(gx.clip(1.0), gx.accumulate_gradients(gx.adam(0.1), 2))
    synchronous(tmp_path / "state", tx.init(PARAMS))
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        plain = checkpointer.restore(tmp_path / "state")
    with pytest.raises(gx.GradtxValueError, match=r"restore it with jax.eval_shape\(tx.init, params\) as the target"):
        tx.update(PARAMS, plain, PARAMS)
