"""Schedules: exact at their boundaries, values, and accepted for every number."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import schedules as s

EXAMPLES = {
    "constant": (s.constant(0.3), lambda t: 0.3),
    "linear": (s.linear(1.0, 0.2, 7), lambda t: 1 - 0.8 * min(t / 7, 1)),
    "cosine": (s.cosine_decay(2.0, 10, 0.1), lambda t: 2 * (0.1 + 0.9 * (1 + np.cos(np.pi * min(t / 10, 1))) / 2)),
    "exponential": (s.exponential_decay(1.0, 5, 0.5), lambda t: 0.5 ** (t / 5)),
    "staircase": (s.exponential_decay(1.0, 5, 0.5, staircase=True), lambda t: 0.5 ** (t // 5)),
    "inverse": (s.inverse_time_decay(1.0, 0.1), lambda t: 1 / (1 + 0.1 * t)),
    "pieces": (s.piecewise_constant([3.0, 2.0, 1.0], [4, 3]), lambda t: 3.0 if t < 4 else 2.0 if t < 7 else 1.0),
    "join": (
        s.join([s.linear(0.0, 1.0, 4), s.constant(5.0), s.inverse_time_decay(1.0, 1.0)], [4, 3]),
        lambda t: t / 4 if t < 4 else 5.0 if t < 7 else 1 / (1 + (t - 7)),
    ),
    "every third": (s.every(3, 2.0, 0.5), lambda t: 2.0 if t % 3 == 0 else 0.5),
    "power": (s.power(2.0, -0.8, 1.0), lambda t: 2 * (t + 1) ** -0.8),
    "power from 0": (s.power(2.0, 0.5), lambda t: 2 * t**0.5),
    "inverse sqrt": (s.inverse_sqrt(2.0, 4), lambda t: 2 / np.sqrt(1 + t / 4)),
    "polynomial": (s.polynomial(1.0, 0.2, 2.0, 7), lambda t: 0.2 + 0.8 * (1 - min(t / 7, 1)) ** 2),
    "root": (s.polynomial(1.0, 0.0, 0.5, 7), lambda t: (1 - min(t / 7, 1)) ** 0.5),
    "warmup": (s.warmup(4, s.linear(2.0, 0.0, 8)), lambda t: t / 2 if t < 4 else 2 - min((t - 4) / 4, 2)),
    "ways": (s.piecewise_interpolate([0.0, 1.0, 0.5], [4, 5]), lambda t: np.interp(t, [0, 4, 9], [0, 1, 0.5])),
    "cosine ways": (
        s.piecewise_interpolate([0.0, 1.0, 0.5], [4, 4], "cosine"),
        lambda t: (1 - np.cos(np.pi * t / 4)) / 2 if t < 4 else 0.75 + 0.25 * np.cos(np.pi * min((t - 4) / 4, 1)),
    ),
    "one cycle": (s.one_cycle(1.0, 3, 6, 4.0, 5.0, "linear"), lambda t: np.interp(t, [0, 3, 9], [0.25, 1, 0.05])),
    "restarts": (
        s.cosine_restarts(2.0, 4, 0.1),
        lambda t: 2 * (0.1 + 0.9 * (1 + np.cos(np.pi * (t % 4) / 4)) / 2),
    ),
    "longer restarts": (
        s.cosine_restarts(2.0, 3, steps_factor=2.0, value_factor=0.5),
        lambda t: next(
            peak * (1 + np.cos(np.pi * (t - begin) / length))
            for begin, length, peak in [(9, 12, 0.25), (3, 6, 0.5), (0, 3, 1.0)]
            if t >= begin
        ),
    ),
    "stable": (s.warmup_stable_decay(1.0, 3, 4, 5), lambda t: np.interp(t, [0, 3, 7, 12], [0, 1, 1, 0])),
    "arithmetic": (
        (2 * s.linear(1.0, 0.0, 4) + 1 - s.constant(0.5)) / 2,
        lambda t: (2 * (1 - min(t / 4, 1)) + 0.5) / 2,
    ),
    "negative": (-s.constant(2.0) * s.constant(3.0) - 1 + 1 / s.constant(2.0), lambda t: -6.5),
    "of schedules": (s.linear(s.constant(1.0), s.linear(0.0, 1.0, 2), 8), lambda t: 1 - t / 8 * (1 - min(t / 2, 1))),
    "a function": (gx.Schedule(lambda t: t * t), lambda t: t**2),
}


def test_every_schedule_has_an_example():
    public = {name for name, item in vars(s).items() if hasattr(item, "spec") and not name.startswith("_")}
    assert public - {schedule.factory_name.removeprefix("schedules.") for schedule, _ in EXAMPLES.values()} == set()


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "of schedules"])
def test_values_at_every_step(name):
    schedule, wanted = EXAMPLES[name]
    for t in range(13):
        np.testing.assert_allclose(schedule(t), wanted(t), rtol=3e-6, atol=1e-7)
    np.testing.assert_allclose(schedule(jnp.arange(13)), [wanted(t) for t in range(13)], rtol=3e-6, atol=1e-7)


def test_the_numbers_of_a_schedule_may_be_schedules():
    schedule, wanted = EXAMPLES["of schedules"]
    np.testing.assert_allclose(schedule(jnp.arange(8)), [wanted(t) for t in range(8)], rtol=1e-6)


@pytest.mark.parametrize("name", EXAMPLES)
def test_jit_vmap_grad_and_step_dtypes(name):
    schedule, _ = EXAMPLES[name]
    counts = jnp.arange(6)
    wanted = np.asarray([schedule(int(t)) for t in counts])
    np.testing.assert_allclose(jax.jit(schedule)(counts), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(schedule)(counts.astype(jnp.float32)), wanted, rtol=1e-6)
    assert np.isfinite(jax.grad(schedule)(3.5))
    for leaf in jax.tree.leaves(jax.grad(lambda one: jnp.sum(one(counts)))(schedule)):
        assert np.all(np.isfinite(leaf))
    assert schedule(0).dtype == jnp.float32
    assert schedule(0).shape == ()


def test_ends_are_exact():
    assert s.linear(0.1, 0.7, 3)(0) == np.float32(0.1)
    assert s.linear(0.1, 0.7, 3)(3) == s.linear(0.1, 0.7, 3)(10**6) == np.float32(0.7)
    assert s.cosine_decay(0.3, 100)(100) == s.cosine_decay(0.3, 100)(10**6) == 0
    assert s.cosine_decay(0.3, 100)(0) == np.float32(0.3)
    assert s.linear(0.1, 0.7, 0)(0) == np.float32(0.7), "no steps: at the end from the start, not 0/0"
    assert s.join([s.constant(1.0), s.constant(2.0)], [0])(0) == 2


def test_a_staircase_steps_down_exactly_at_multiples():
    # Compiled, t / 49 may become t * (1 / 49), whose product is below a whole number.
    for steps in (3, 7, 49, 1000):
        schedule = jax.jit(s.exponential_decay(1.0, steps, 0.5, staircase=True))
        for k in range(1, 60):
            np.testing.assert_allclose(schedule(k * steps - 1), 0.5 ** (k - 1), rtol=1e-5)
            np.testing.assert_allclose(schedule(k * steps), 0.5**k, rtol=1e-5)


# Numbers at the ends of the segments, to the last bit; each schedule with a duration is here.
BOUNDARIES = [
    (s.linear(0.1, 0.7, 30), {0: 0.1, 30: 0.7, 31: 0.7}),
    (s.cosine_decay(0.3, 30), {0: 0.3, 30: 0.0, 31: 0.0}),
    (s.cosine_decay(0.3, 30, 0.5), {0: 0.3, 30: 0.15, 31: 0.15}),
    (s.cosine_restarts(0.3, 30, 0.1, value_factor=0.5), {0: 0.3, 30: 0.15, 60: 0.075}),
    (s.cosine_restarts(0.3, 30, steps_factor=2.0), {0: 0.3, 30: 0.3, 90: 0.3, 210: 0.3}),
    (s.exponential_decay(0.3, 30, 0.5, staircase=True), {0: 0.3, 29: 0.3, 30: 0.15, 59: 0.15, 60: 0.075}),
    (s.polynomial(0.1, 0.7, 2.0, 30), {0: 0.1, 30: 0.7, 31: 0.7}),
    (s.warmup(30, s.linear(0.3, 0.1, 30)), {0: 0.0, 30: 0.3, 60: 0.1}),
    (s.piecewise_constant([0.3, 0.2, 0.1], [30, 10]), {0: 0.3, 29: 0.3, 30: 0.2, 39: 0.2, 40: 0.1}),
    (s.piecewise_interpolate([0.3, 0.7, 0.1], [30, 10]), {0: 0.3, 30: 0.7, 40: 0.1, 41: 0.1}),
    (s.piecewise_interpolate([0.3, 0.7, 0.1], [30, 10], "cosine"), {0: 0.3, 30: 0.7, 40: 0.1, 41: 0.1}),
    (s.one_cycle(0.5, 30, 10, 4.0, 5.0), {0: 0.125, 30: 0.5, 40: 0.025, 41: 0.025}),
    (s.warmup_stable_decay(0.3, 30, 10, 5, 0.1, 0.2), {0: 0.1, 30: 0.3, 39: 0.3, 40: 0.3, 45: 0.2}),
    (s.join([s.constant(0.3), s.linear(0.1, 0.7, 10)], [30]), {0: 0.3, 29: 0.3, 30: 0.1, 40: 0.7}),
]


@pytest.mark.parametrize(("schedule", "ends"), BOUNDARIES, ids=lambda x: getattr(x, "name", ""))
def test_boundaries_are_exact_for_int32_and_float32_steps(schedule, ends):
    counts, wanted = np.asarray(list(ends)), np.asarray(list(ends.values()), np.float32)
    for dtype in (jnp.int32, jnp.float32):
        assert np.array_equal(jax.jit(schedule)(jnp.asarray(counts, dtype)), wanted)
    assert [float(schedule(int(t))) for t in counts] == wanted.tolist()
    assert np.all(np.isfinite(jax.vmap(jax.grad(schedule))(jnp.asarray(counts, jnp.float32))))


@pytest.mark.parametrize(("steps", "factor"), [(7, 1), (1000, 1), (10, 2), (7, 3), (8, 1.5)])
def test_restarts_are_exactly_at_their_steps_up_to_a_million(steps, factor):
    schedule = jax.jit(s.cosine_restarts(1.0, steps, steps_factor=factor))
    starts, length = [0.0], float(steps)
    while starts[-1] + length <= 1e6:
        starts.append(starts[-1] + length)
        length *= factor
    whole = np.asarray([start for start in starts[1:] if start == round(start)])
    assert np.all(schedule(jnp.asarray(whole, jnp.int32)) == 1)
    assert np.all(schedule(jnp.asarray(whole - 1, jnp.int32)) < 0.2)
    with jax.enable_x64(True):
        assert schedule(np.int64(whole[-1])) == 1


def test_restarts_agree_with_optax():
    lengths, peak, theirs = [10, 20, 40], 0.3, []
    for length in lengths:
        one = {"init_value": peak, "peak_value": peak, "warmup_steps": 0, "decay_steps": length, "end_value": 0.0}
        theirs.append(one)
        peak *= 0.5
    with jax.numpy_dtype_promotion("standard"):
        wanted = jax.vmap(optax.sgdr_schedule(theirs))(jnp.arange(70))
    ours = s.cosine_restarts(0.3, 10, steps_factor=2, value_factor=0.5)(jnp.arange(70))
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-7)


def test_restarts_become_longer_and_never_shorter():
    with pytest.raises(ValueError, match=r"cosine_restarts: steps_factor: expected a number of at least 1, got 0\.5"):
        s.cosine_restarts(1.0, 10, steps_factor=0.5)


def test_durations_may_be_traced():
    many = jax.vmap(lambda steps: s.linear(1.0, 0.0, steps)(5))(jnp.asarray([5, 10, 0]))
    np.testing.assert_allclose(many, [0.0, 0.5, 0.0])


def test_halving_every_n_steps_is_one_line():
    halving = s.piecewise_constant([0.8 / 2**i for i in range(4)], [10] * 3)
    np.testing.assert_allclose(halving(jnp.asarray([0, 9, 10, 19, 20, 30, 99])), [0.8, 0.8, 0.4, 0.4, 0.2, 0.1, 0.1])


def test_schedules_are_values():
    schedule = 2 * s.join([s.linear(0.0, 1e-3, 100), s.cosine_decay(1e-3, 900)], [100])
    assert schedule == 2 * s.join([s.linear(0.0, 1e-3, 100), s.cosine_decay(1e-3, 900)], [100])
    assert eval(repr(schedule), {"schedules": s}) == schedule
    assert gx.from_config(gx.to_config(schedule)) == schedule
    assert jax.tree.leaves(schedule) == [2.0, 0.0, 1e-3, 100.0, 1e-3, 900.0, 0.0, 100.0]


def test_the_first_update_reads_the_schedule_at_0():
    tx = gx.sgd(s.piecewise_constant([1.0, 2.0, 3.0], [1, 1]))
    state, g = tx.init(jnp.ones(())), jnp.ones(())
    for wanted in (-1.0, -2.0, -3.0, -3.0):
        u, state = tx.update(g, state)
        assert u == wanted
    assert state.count == 4
    assert state.count.dtype == jnp.int32


def test_a_schedule_shares_one_count_among_all_numbers_of_a_transform():
    tx = gx.adamw(s.linear(1e-3, 0.0, 10), b1=s.linear(0.5, 0.9, 10), weight_decay=s.constant(0.1))
    state = tx.init(jnp.ones(3))
    counts = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.int32]
    assert len(counts) == 1
    assert set(state.values) == {"learning_rate", "b1", "weight_decay"}


def test_the_count_stays_at_its_largest():
    tx = gx.sgd(s.constant(1.0))
    state = tx.init(jnp.ones(()))._replace(count=jnp.asarray(2**31 - 1, jnp.int32))
    assert tx.update(jnp.ones(()), state)[1].count == 2**31 - 1


def test_any_function_of_the_step_is_a_schedule():
    tx = gx.sgd(lambda step: 0.5 ** (step + 1))
    u, state = tx.update(jnp.ones(()), tx.init(jnp.ones(())))
    assert u == -0.5
    assert tx.update(jnp.ones(()), state)[0] == -0.25
    assert isinstance(tx.learning_rate, gx.Schedule)


def test_own_schedules_by_the_decorator():
    @gx.schedule
    def sawtooth(high: gx.Scalar, period: gx.Scalar):
        return lambda t: high * (1 - (t % period) / period)

    assert repr(sawtooth(0.1, 4)) == "sawtooth(high=0.1, period=4)"
    np.testing.assert_allclose(sawtooth(1.0, 4)(jnp.arange(6)), [1, 0.75, 0.5, 0.25, 1, 0.75])


def test_wrong_numbers_of_segments_are_refused():
    with pytest.raises(ValueError, match="expected 2 durations for 3 segments"):
        s.piecewise_constant([1.0, 2.0, 3.0], [1])(0)
    with pytest.raises(ValueError, match=r"expected 2 durations \(not boundaries\) between 3 values, got 1"):
        s.piecewise_interpolate([1.0, 2.0, 3.0], [1])(0)
    with pytest.raises(ValueError, match="shape: expected 'linear' or 'cosine', got 'round'"):
        s.one_cycle(1.0, 2, 3, shape="round")(0)
    with pytest.raises(ValueError, match="arithmetic: operation: expected one of add"):
        s.arithmetic("modulo", 1.0, 2.0)(0)


def test_after_a_warmup_the_inverse_root_is_the_schedule_of_the_transformer():
    schedule = s.warmup(40, s.inverse_sqrt(0.1, 40))
    counts = np.arange(1, 200)
    wanted = 0.1 * np.sqrt(40) * np.minimum(counts**-0.5, counts * 40**-1.5)
    np.testing.assert_allclose(schedule(jnp.asarray(counts)), wanted, rtol=1e-5)


def test_they_agree_with_optax():
    counts = jnp.arange(60)
    pairs = [
        (s.polynomial(1.0, 0.1, 1.5, 40), optax.polynomial_schedule(1.0, 0.1, 1.5, 40)),
        (s.one_cycle(1.0, 12, 28), optax.cosine_onecycle_schedule(40, 1.0)),
        (s.warmup(10, s.cosine_decay(1.0, 30)), optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 40)),
        (s.exponential_decay(1.0, 7, 0.5, True), optax.exponential_decay(1.0, 7, 0.5, staircase=True)),
        (
            s.piecewise_interpolate([1.0, 0.5, 2.0], [20, 20]),
            optax.piecewise_interpolate_schedule("linear", 1.0, {20: 0.5, 40: 4.0}),
        ),
    ]
    with jax.numpy_dtype_promotion("standard"):
        for ours, theirs in pairs:
            wanted = jax.vmap(theirs)(counts)  # not compiled, where t / 7 may become t * (1 / 7)
            np.testing.assert_allclose(ours(counts), np.asarray(wanted, np.float32), rtol=1e-5, atol=1e-6)
