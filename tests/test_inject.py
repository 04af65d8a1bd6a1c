"""Numbers in the state: readable, settable without compiling again, found anywhere, never rounded."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import get_hyperparams, inject, schedules, set_hyperparams

PARAMS = {"w": jnp.ones(3, jnp.bfloat16)}


def test_numbers_are_read_set_and_take_effect_without_a_new_trace():
    tx, traces = inject(gx.sgd(0.1)), []

    @jax.jit
    def update(g, state):
        traces.append(1)
        return tx.update(g, state)

    g, state = jnp.ones(2), tx.init(jnp.ones(2))
    u, state = update(g, state)
    np.testing.assert_allclose(u, -0.1, rtol=1e-6)
    for value in (0.5, 1, np.float64(0.25), jnp.bfloat16(2.0)):
        state = set_hyperparams(state, learning_rate=value)
        u, state = update(g, state)
        np.testing.assert_allclose(u, -float(value), rtol=1e-6)
    assert len(traces) == 1
    assert update._cache_size() == 1, "not only traced once, but compiled and dispatched as one"


def test_numbers_are_never_rounded_to_the_dtype_of_the_parameters():
    state = inject(gx.adam(1e-3)).init(PARAMS)
    numbers = get_hyperparams(state)
    assert {name: x.dtype for name, x in numbers.items()} == dict.fromkeys(numbers, jnp.float32)
    assert numbers["b2"] == np.float32(0.999)
    assert get_hyperparams(set_hyperparams(state, b2=0.9999))["b2"] == np.float32(0.9999)


def test_numbers_of_parts_have_short_names_where_they_are_unique():
    tx = inject(
        gx.chain(gx.clip_by_global_norm(1.0), gx.ratio(gx.scale_by_ema(0.8), gx.scale_by_rms(0.9)), gx.scale(2.0))
    )
    numbers = get_hyperparams(tx.init({"w": jnp.ones(2)}))
    assert {name: float(x) for name, x in numbers.items()} == {
        "max_norm": 1.0,
        "numerator/decay": np.float32(0.8),
        "denominator/decay": np.float32(0.9),
        "denominator/eps": np.float32(1e-8),
        "denominator/eps_root": 0.0,
        "ratio/eps": 0.0,
        "ratio/eps_root": 0.0,
        "factor": 2.0,
    }


def test_names_come_from_chains_and_partitions():
    tx = inject(
        gx.partition(
            {"z": gx.chain(("first", gx.scale(1.0)), ("second", gx.scale(2.0))), "a": gx.scale(3.0)},
            {"w": "z"},
            allow_unused=True,
        )
    )
    state = tx.init(PARAMS)
    assert {n: float(x) for n, x in get_hyperparams(state).items()} == {
        "a/factor": 3.0,
        "first/factor": 1.0,
        "second/factor": 2.0,
    }
    state = set_hyperparams(state, {"first/factor": 10.0})
    assert tx.update({"w": jnp.ones(3)}, state)[0]["w"][0] == 20


def test_two_parts_of_one_factory_are_told_apart():
    tx = inject(gx.chain(gx.scale(2.0), gx.scale(3.0)))
    numbers = get_hyperparams(tx.init(PARAMS))
    assert {name: float(x) for name, x in numbers.items()} == {"scale/factor": 2.0, "scale[1]/factor": 3.0}


def test_the_part_is_found_anywhere_in_a_nested_state():
    inner = gx.chain(("opt", inject(gx.sgd(0.1))), ("more", gx.scale(1.0)))
    tx = optax.chain(optax.identity(), gx.masked(gx.chain(gx.clip(1.0), inner), {"w": True, "b": False}))
    params = {"w": jnp.ones(1), "b": jnp.ones(1)}
    state = tx.init(params)
    assert get_hyperparams(state)["learning_rate"] == np.float32(0.1)
    state = set_hyperparams(state, learning_rate=1.0)
    assert tx.update(params, state)[0]["w"][0] == -1


def test_several_injected_parts_are_told_apart_by_their_paths():
    tx = gx.partition({"a": inject(gx.sgd(0.1)), "b": inject(gx.sgd(0.2))}, {"w": "a", "v": "b"})
    state = tx.init({"w": jnp.ones(1), "v": jnp.ones(1)})
    assert set(get_hyperparams(state)) == {"a/learning_rate", "b/learning_rate"}
    state = set_hyperparams(state, {"b/learning_rate": 0.5})
    assert {n: round(float(x), 3) for n, x in get_hyperparams(state).items()} == {
        "a/learning_rate": 0.1,
        "b/learning_rate": 0.5,
    }


def test_what_a_schedule_gave_last_is_read_without_inject_too():
    tx = gx.chain(gx.clip(1.0), gx.adam(schedules.linear(1.0, 0.0, 4)))
    state = tx.init(jnp.ones(2))
    seen = []
    for _ in range(3):
        _, state = tx.update(jnp.ones(2), state)
        seen.append(float(get_hyperparams(state)["learning_rate"]))
    assert seen == [1.0, 0.75, 0.5]


def test_injected_and_scheduled_numbers_side_by_side():
    tx = inject(gx.adamw(schedules.linear(1.0, 0.0, 4), weight_decay=0.5))
    state = tx.init(PARAMS)
    _, state = tx.update({"w": jnp.ones(3)}, state, PARAMS)
    numbers = get_hyperparams(state)
    assert numbers["learning_rate"] == 1.0
    assert numbers["weight_decay"] == 0.5
    state = set_hyperparams(state, weight_decay=0.0)
    assert get_hyperparams(state)["weight_decay"] == 0.0


def test_setting_within_jit_and_under_vmap():
    tx = inject(gx.sgd(0.1))
    state = jax.vmap(tx.init)(jnp.ones((4, 2)))
    state = set_hyperparams(state, learning_rate=jnp.arange(4.0))
    np.testing.assert_array_equal(jax.vmap(tx.update)(jnp.ones((4, 2)), state)[0][:, 0], [0.0, -1.0, -2.0, -3.0])
    one = jax.jit(lambda s, x: set_hyperparams(s, learning_rate=x))(tx.init(jnp.ones(2)), 0.7)
    assert get_hyperparams(one)["learning_rate"] == np.float32(0.7)


def test_inject_of_inject_sets_the_inner_numbers():
    tx = gx.chain(inject(gx.chain(inject(gx.sgd(0.1)), gx.scale(2.0))))
    state = tx.init(jnp.ones(1))
    numbers = get_hyperparams(state)
    assert {name.split("/")[-1] for name in numbers} == {"learning_rate", "factor"}


def test_elements_of_a_sequence_have_names_and_may_follow_schedules():
    tx = gx.aggmo(0.1, (schedules.linear(0.0, 0.8, 2), 0.9))
    _, state = tx.update(PARAMS, tx.init(PARAMS))
    _, state = tx.update(PARAMS, state)
    read = {name: float(x) for name, x in get_hyperparams(state).items()}
    assert read.keys() == {"momentums/0", "momentums/1"}
    np.testing.assert_allclose([read["momentums/0"], read["momentums/1"]], [0.4, 0.9], rtol=1e-6)
    assert gx.logs(state).keys() == read.keys()

    plain = inject(gx.aggmo(0.1, (0.0, 0.9)))
    state = plain.init(PARAMS)
    assert get_hyperparams(state).keys() == {"learning_rate", "momentums/0", "momentums/1"}
    changed = get_hyperparams(set_hyperparams(state, **{"momentums/1": 0.5}))
    assert float(changed["momentums/1"]) == 0.5
    assert float(changed["momentums/0"]) == 0.0


def test_a_function_in_place_of_a_transform():
    with pytest.raises(gx.GradtxTypeError, match="that is a function: call it if it makes a transform"):
        gx.inject(lambda learning_rate: gx.sgd(learning_rate))


@pytest.mark.parametrize("read", [gx.logs, lambda state: gx.get_hyperparams(state)], ids=["logs", "get_hyperparams"])
@pytest.mark.parametrize("before", [(), (gx.clip(1.0),), (gx.scale_by_ema(0.9), gx.identity())], ids=len)
def test_names_of_groups_stay_where_a_group_gets_other_parts(read, before):
    rates = [gx.schedules.constant(rate) for rate in (0.1, 0.2)]
    groups = {"a": gx.chain(*before, gx.sgd(rates[0])), "b": gx.sgd(rates[1])}
    params = {"w": jnp.ones(2), "v": jnp.ones(2)}
    tx = gx.partition(groups, {"w": "a", "v": "b"})
    assert {"a/learning_rate", "b/learning_rate"} <= set(read(tx.init(params)))
    fixed = gx.inject(tx.replace(transforms={"a": gx.chain(*before, gx.sgd(0.1)), "b": gx.sgd(0.2)}))
    state = gx.set_hyperparams(fixed.init(params), {"a/learning_rate": 0.5})
    assert gx.get_hyperparams(state)["a/learning_rate"] == 0.5
