"""Sweeps: one program for all runs, equal to a loop of single ones; bad grids; the table."""

import io
import pickle
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import schedules, sweep
from gradtx._inspection.sweep import _fitted

RATES = [0.01, 0.1, 0.3]
DATA = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)


def _train(tx, key):
    """A few steps on a small least squares problem, from a random start, each step on one row drawn at random."""
    first, rows = jax.random.split(key)
    loss = lambda p, x: jnp.mean((x @ p - 1.0) ** 2)

    def step(carry, row):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, DATA[row]), state, params)
        return (gx.apply_updates(params, updates), state), None

    params = jax.random.normal(first, (3,))
    indices = jax.random.randint(rows, (5,), 0, len(DATA))
    (params, _), _ = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), indices))(params)
    return loss(params, DATA)


def _sum_of_numbers(tx, key):
    """Cheap, and different for different numbers."""
    return sum(jnp.asarray(x, float) for x in jax.tree.leaves(tx)) + jax.random.uniform(key)


def test_each_run_is_what_it_is_alone():
    result = sweep(_train, gx.adam(1.0), {"learning_rate": RATES, "b1": [0.5, 0.9]}, seeds=[3, 8])
    assert result.losses.shape == (3, 2, 2)
    alone = jax.jit(_train)
    for i, rate in enumerate(RATES):
        for j, b1 in enumerate([0.5, 0.9]):
            for k, seed in enumerate([3, 8]):
                loss = alone(gx.adam(rate, b1), jax.random.key(seed))
                np.testing.assert_allclose(result.losses[i, j, k], loss, rtol=1e-5)


WRAPPED = {
    "chain": (gx.chain(gx.clip_by_global_norm(1.0), gx.adam(1.0)), lambda rate: gx.adam(rate)),
    "partition": (
        gx.partition({"a": gx.adam(1.0), "b": gx.freeze(True)}, gx.where(lambda path, p: "a"), allow_unused=True),
        lambda rate: gx.adam(rate),
    ),
    "lookahead": (gx.lookahead(gx.sgd(1.0), 2, 0.5), lambda rate: gx.sgd(rate)),
    "inject": (gx.inject(gx.adam(1.0)), lambda rate: gx.adam(rate)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_numbers_are_found_inside_other_transforms(name):
    tx, inner = WRAPPED[name]
    result = sweep(_train, tx, {"learning_rate": [0.01, 0.2]})
    for loss, rate in zip(result.losses[:, 0], [0.01, 0.2], strict=True):
        whole = jax.tree.structure(tx).unflatten([rate if x == 1.0 and i else x for i, x in _leaves(tx, inner(1.0))])
        np.testing.assert_allclose(loss, jax.jit(_train)(whole, jax.random.key(0)), rtol=1e-5)


def _leaves(tx, inner):
    """The leaves of `tx`, with whether each is the first leaf of the `inner` transform."""
    leaves = jax.tree.leaves(tx)
    own = jax.tree.leaves(inner)
    at = next(i for i in range(len(leaves)) if leaves[i : i + len(own)] == own)
    return [(i == at, x) for i, x in enumerate(leaves)]


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 7, 12, 100])
def test_in_chunks_the_losses_are_the_same(chunk):
    grid = {"learning_rate": [1.0, 2.0, 3.0, 4.0], "momentum": [0.25]}
    whole = sweep(_sum_of_numbers, gx.sgd(1.0, 0.5), grid, 3)
    parts = sweep(_sum_of_numbers, gx.sgd(1.0, 0.5), grid, 3, chunk=chunk)
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-6)
    draws = [jax.random.uniform(jax.random.key(seed)) for seed in range(3)]
    expected = np.asarray([1.25, 2.25, 3.25, 4.25])[:, None, None] + np.asarray(draws)
    np.testing.assert_allclose(whole.losses, expected, rtol=1e-6)


@pytest.mark.parametrize("limits", [{}, {"chunk": 5}, {"max_bytes": 20_000}], ids=str)
def test_train_is_traced_once(limits):
    traces = []

    def train(tx, key):
        traces.append(1)
        return jnp.sum(jnp.sort(jax.random.uniform(key, (1000,)) * tx.learning_rate)[:10])

    result = sweep(train, gx.sgd(1.0), {"learning_rate": RATES}, 4, **limits)
    assert len(traces) == 1
    np.testing.assert_allclose(result.losses[1, 2], train(gx.sgd(0.1), jax.random.key(2)), rtol=1e-4)


class _Counted:
    """A jitted function that notes for how many runs it is compiled."""

    def __init__(self, function):
        self.jitted, self.runs = jax.jit(function), []

    def lower(self, data, points, keys):
        self.runs.append(len(points) * len(keys))
        return self.jitted.lower(data, points, keys)


def test_fewer_runs_go_at_once_where_memory_is_bounded():
    points, keys = jnp.ones((8, 1)), jnp.ones(2)
    chosen = {}
    for bound in (10**9, 40_000, 1):
        run = _Counted(lambda data, points, keys: [jnp.sort(points[:, None, :] * jnp.ones((1, len(keys), 1000)))])
        program, blocks = _fitted(run, [], points, keys, float("inf"), bound)
        memory = program.memory_analysis()
        chosen[bound] = run.runs[-1]
        assert run.runs[0] == 16, "first all, which is the only compilation where they fit"
        assert run.runs[-1] == 1 or memory.temp_size_in_bytes + memory.output_size_in_bytes <= bound
        assert {len(rows) * len(columns) for rows, columns in blocks} == {run.runs[-1]}
        assert {(i, j) for rows, columns in blocks for i in rows.tolist() for j in columns.tolist()} == {
            (i, j) for i in range(8) for j in range(2)
        }
    assert chosen[10**9] == 16 > chosen[40_000] > chosen[1] == 1


def test_data_is_no_part_of_the_program_and_not_copied_for_each_run(monkeypatch):
    data = jnp.ones((2000, 50))
    sizes = []

    def train(tx, key):
        return jnp.mean(data[jax.random.randint(key, (), 0, 2000)]) * tx.learning_rate

    def noted(run, consts, points, keys, *rest):
        text = run.lower(consts, points, keys).as_text()
        assert "tensor<2000x50xf32>" in text.split("@main(")[1].split(")")[0], "an argument, as it is"
        sizes.append(run.lower(consts, points, keys).compile().memory_analysis().temp_size_in_bytes)
        return _fitted(run, consts, points, keys, *rest)

    monkeypatch.setattr("gradtx._inspection.sweep._fitted", noted)
    result = sweep(train, gx.sgd(1.0), {"learning_rate": RATES}, 4)
    np.testing.assert_allclose(result.losses, np.tile(np.asarray(RATES)[:, None], 4), rtol=1e-6)
    assert sizes[0] < data.nbytes


def test_runs_that_diverge_are_marked_and_spoil_nothing():
    def train(tx, key):
        bad = (tx.learning_rate > 0.2) & (jax.random.uniform(key) > 0.5)
        return jnp.where(bad, jnp.nan, jnp.where(tx.learning_rate > 5, jnp.inf, tx.learning_rate))

    draws = np.asarray([jax.random.uniform(jax.random.key(seed)) for seed in range(4)]) > 0.5
    assert 0 < draws.sum() < 4
    result = sweep(train, gx.sgd(1.0), {"learning_rate": [0.1, 0.3, 9.0]}, 4)
    expected = np.stack([np.zeros(4, bool), draws, np.ones(4, bool)])
    assert np.array_equal(result.diverged, expected)
    np.testing.assert_allclose(result.mean, [0.1, 0.3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(result.spread, [0.0, 0.0, np.nan], atol=1e-6)
    for column in (result.lowest, result.highest):
        np.testing.assert_allclose(column, [0.1, 0.3, np.nan], rtol=1e-6)
    rows = [re.split(" {2,}", line.strip()) for line in str(result).splitlines()[2:5]]
    assert rows == [
        ["0.1", "0.1", "0.1", "0.1", "← best"],
        ["0.3", "0.3", "0.3", "0.3", f"{draws.sum()} of 4 diverged"],
        ["9", "–", "–", "–", "4 of 4 diverged"],
    ]
    # The lower mean does not win where a run was lost on the way.
    upside_down = sweep(lambda tx, key: -train(tx, key), gx.sgd(1.0), {"learning_rate": [0.1, 0.3]}, 4)
    assert upside_down.best_numbers == {"learning_rate": 0.1}


def test_where_every_run_diverged_there_is_no_best():
    result = sweep(lambda tx, key: tx.learning_rate / 0.0, gx.sgd(1.0), {"learning_rate": [1.0, 2.0]})
    with pytest.raises(ValueError, match="sweep: there is no best point, because every point has a diverged run"):
        _ = result.best
    assert str(result).count("diverged") == 2
    assert "best" not in str(result)


def test_the_best_is_a_transform_with_the_numbers_as_they_were_given():
    distance = lambda tx, key: (tx.learning_rate - 0.1) ** 2 + (tx.b1 - 0.8) ** 2
    grid = {"b1": jnp.asarray([0.7, 0.8]), "learning_rate": jnp.asarray([0.3, 0.1, 0.2])}
    result = sweep(distance, gx.adam(1, eps=1e-6), grid)
    assert result.best == gx.adam(0.1, 0.8, eps=1e-6)
    assert result.best_numbers == {"b1": 0.8, "learning_rate": 0.1}
    assert (result.losses.shape, result.seeds) == ((2, 3, 1), (0,))


def test_aux_comes_with_the_axes_of_the_grid_and_the_seeds():
    def train(tx, key):
        curve = tx.learning_rate * jnp.arange(5.0)
        return curve[-1], {"curve": curve, "seen": jnp.int32(7), "half": curve.astype(jnp.bfloat16)}

    for chunk in (None, 2):
        result = sweep(train, gx.sgd(1.0), {"learning_rate": RATES}, 2, has_aux=True, chunk=chunk)
        assert result.losses.shape == (3, 2)
        assert {name: x.shape for name, x in result.aux.items()} == {
            "curve": (3, 2, 5),
            "seen": (3, 2),
            "half": (3, 2, 5),
        }
        assert (result.aux["half"].dtype, result.aux["seen"].dtype) == (jnp.bfloat16, np.int32)
        np.testing.assert_allclose(result.aux["curve"][:, 1], np.outer(RATES, np.arange(5.0)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32])
def test_losses_of_other_dtypes(dtype):
    result = sweep(lambda tx, key: (4 * tx.learning_rate).astype(dtype), gx.sgd(1.0), {"learning_rate": [0.5, 1.0]})
    assert result.losses.dtype == np.float32
    assert result.losses[:, 0].tolist() == [2.0, 4.0]


def test_numbers_of_schedules_have_names_too():
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.adam(schedules.warmup(2, schedules.cosine_decay(1.0, 10))))
    grid = {"init_value": [0.1, 0.2], "warmup/steps": [1]}
    with pytest.raises(ValueError, match=r"in sweep: chain has no hyperparameter 'warmup/steps'"):
        sweep(_sum_of_numbers, tx, grid)
    grid = {"init_value": [0.1, 0.2], "learning_rate/steps": [1, 3], "then/steps": [20]}
    result = sweep(_train, tx, grid)
    rate = schedules.warmup(3, schedules.cosine_decay(0.2, 20))
    alone = _train(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(rate)), jax.random.key(0))
    np.testing.assert_allclose(result.losses[1, 1, 0, 0], alone, rtol=1e-5)

    joined = gx.sgd(2.0 * schedules.join([schedules.constant(1.0), schedules.constant(3.0)], [5]))
    grid = {"left": [10], "schedules/0/value": [20], "schedules/1/value": [30], "steps/0": [40]}
    assert sweep(lambda tx, key: tx.learning_rate(0), joined, grid).losses.ravel().tolist() == [200.0]
    assert sweep(lambda tx, key: tx.learning_rate(40), joined, grid).losses.ravel().tolist() == [300.0]


def test_a_grid_of_nothing_is_one_run_for_each_seed():
    result = sweep(_sum_of_numbers, gx.sgd(0.25), {}, 3)
    assert result.losses.shape == (3,)
    assert result.best == gx.sgd(0.25)
    assert "sgd: 1 points, 3 seeds each: mean, lowest and highest loss" in str(result)
    assert result.lowest == min(result.losses) < result.mean < max(result.losses) == result.highest


def test_the_same_seed_is_the_same_key_at_every_point():
    result = sweep(lambda tx, key: jax.random.uniform(key), gx.sgd(1.0), {"learning_rate": RATES}, [5, 1])
    expected = [jax.random.uniform(jax.random.key(seed)) for seed in (5, 1)]
    assert np.array_equal(result.losses, np.tile(np.asarray(expected), (3, 1)))


def test_the_table():
    result = sweep(_sum_of_numbers, gx.adam(1.0, eps=0.0), {"learning_rate": [0.5, 0.25], "b1": [0.5]}, 1)
    draw = float(jax.random.uniform(jax.random.key(0)))
    shown = [f"{1.999 + draw:.4g}", f"{1.749 + draw:.4g}"]
    assert str(result) == (
        "learning_rate   b1   loss\n"
        "─────────────────────────────────\n"
        f"          0.5  0.5  {shown[0]}\n"
        f"         0.25  0.5  {shown[1]}  ← best\n"
        "\n"
        "adam: 2 points, seed 0"
    )
    assert repr(result) == str(result)
    assert re.findall(r"<td[^>]*>([^<]*)</td>", result._repr_html_())[4:] == ["0.25", "0.5", shown[1], "← best"]


def test_a_long_table_shows_the_best():
    rates = np.linspace(0.01, 1.0, 100)[::-1]
    text = str(sweep(lambda tx, key: tx.learning_rate, gx.sgd(1.0), {"learning_rate": rates}))
    assert "sgd: 100 points, seed 0; the 40 best are shown" in text
    assert [line.split()[0] for line in text.splitlines()[2:42]] == [f"{x:.4g}" for x in sorted(rates)[:40]]


def test_a_result_is_pickled():
    result = sweep(_sum_of_numbers, gx.adam(1.0), {"learning_rate": [0.5, 0.25]}, 2)
    again = pickle.loads(pickle.dumps(result))
    assert str(again) == str(result)
    assert again.best == result.best
    assert np.array_equal(again.losses, result.losses)


def test_progress_is_shown_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for terminal, progress, shown in (
        (Terminal(), True, True),
        (Terminal(), False, False),
        (io.StringIO(), True, False),
    ):
        monkeypatch.setattr(sys, "stderr", terminal)
        sweep(_sum_of_numbers, gx.sgd(1.0), {"learning_rate": RATES}, chunk=1, progress=progress)
        text = terminal.getvalue()
        assert ("compiling" in text and "1/3 chunks, 0 s left" in text and "3/3 chunks in" in text) == shown
        assert shown or not text


TX = gx.chain(gx.clip_by_global_norm(1.0), gx.partition({"a": gx.adam(0.1), "b": gx.sgd(0.1)}, "a"))


@pytest.mark.parametrize(
    ("grid", "kind", "message"),
    [
        ({"lr": [1.0]}, ValueError, "in sweep: chain has no hyperparameter 'lr'; known names: max_norm, "),
        ({"max_nrm": [1.0]}, ValueError, "no hyperparameter 'max_nrm'; did you mean 'max_norm'?"),
        ({"labels": [1.0]}, ValueError, "no hyperparameter 'labels'"),
        ({"learning_rate": [1.0]}, ValueError, "several hyperparameters 'learning_rate': .*a/learning_rate, .*b/"),
        (
            {"a/learning_rate": [0.1, -0.1]},
            ValueError,
            "a/learning_rate: expected a number of at least 0, got -0.1 at position 1",
        ),
        ({"a/learning_rate": [float("nan")]}, ValueError, "expected a number of at least 0, got nan at position 0"),
        ({"b1": [0.5, 0.9, 1]}, ValueError, r"b1: expected a number in \[0, 1\), got 1.0 at position 2"),
        ({"b1": [0.5], "a/b1": [0.5]}, ValueError, "'b1' and 'a/b1' are names of the same hyperparameter"),
        ({"b1": []}, ValueError, r"b1: expected a sequence of at least one number, got \[\]"),
        ({"b1": 0.5}, ValueError, "b1: expected a sequence of at least one number, got 0.5"),
        ({"b1": ["x"]}, TypeError, r"b1: expected a sequence of real numbers, got \['x'\]"),
        ({"b1": [True]}, TypeError, "b1: expected a sequence of real numbers"),
        ({"b1": [1j]}, TypeError, "b1: expected a sequence of real numbers"),
        ({"b1": [schedules.constant(0.5)]}, TypeError, "b1: expected a sequence of real numbers"),
        ([0.1], TypeError, r"in sweep: grid: expected a dict from hyperparameter names to values, got \[0.1\]"),
    ],
)
def test_grids_that_cannot_be(grid, kind, message):
    with pytest.raises(kind, match=message):
        sweep(_sum_of_numbers, TX, grid)


def test_a_number_is_checked_by_the_parts_behind_it_too():
    with pytest.raises(
        ValueError, match=r"in sweep > decay\[1\] > rmsprop: scale_by_stddev: decay: expected a number in \(0, 1\)"
    ):
        sweep(_sum_of_numbers, gx.rmsprop(0.1, centered=True), {"decay": [0.5, 0.0]})


def test_a_number_that_follows_a_schedule():
    message = (
        r"in sweep: 'learning_rate' follows the schedule schedules.linear\(.*\); the schedule has init_value, end_va"
    )
    with pytest.raises(ValueError, match=message):
        sweep(_sum_of_numbers, gx.sgd(schedules.linear(1.0, 0.0, 5)), {"learning_rate": [0.1]})
    with pytest.raises(ValueError, match="; give a constant in its place"):
        sweep(_sum_of_numbers, gx.sgd(lambda step: 0.1 * step), {"learning_rate": [0.1]})
    two = gx.chain(gx.scale(schedules.constant(1.0)), gx.scale(schedules.constant(2.0)))
    with pytest.raises(ValueError, match=r"several hyperparameters 'factor': scale/factor, scale\[1\]/factor"):
        sweep(_sum_of_numbers, two, {"factor": [0.1]})


def test_a_transform_without_numbers():
    bare = gx.GradientTransformation(lambda p: (), lambda u, s, p: (u, s))
    with pytest.raises(ValueError, match="has no hyperparameter 'learning_rate'; known names: none"):
        sweep(_sum_of_numbers, bare, {"learning_rate": [0.1]})
    with pytest.raises(TypeError, match=r"in sweep: expected a transform.*call it: adam\(learning_rate"):
        sweep(_sum_of_numbers, gx.adam, {"learning_rate": [0.1]})


@pytest.mark.parametrize("seeds", [0, -1, True, [], [0.5], "ab", None])
def test_seeds_that_cannot_be(seeds):
    with pytest.raises(ValueError, match="seeds: expected a positive int or a non-empty sequence of ints, got"):
        sweep(_sum_of_numbers, gx.sgd(0.1), {}, seeds)


@pytest.mark.parametrize("limit", ["chunk", "max_bytes"])
@pytest.mark.parametrize("number", [0, -3, True])
def test_limits_that_cannot_be(limit, number):
    with pytest.raises(ValueError, match=f"in sweep: {limit}: expected a positive number or None, got {number}"):
        sweep(_sum_of_numbers, gx.sgd(0.1), {}, **{limit: number})


def test_what_train_must_return():
    grid = {"learning_rate": RATES}
    with pytest.raises(TypeError, match=r"in sweep: train: expected the loss, .* got float32 of the shape \(3,\)"):
        sweep(lambda tx, key: jnp.ones(3), gx.sgd(0.1), grid)
    with pytest.raises(TypeError, match="got None"):
        sweep(lambda tx, key: None, gx.sgd(0.1), grid)
    with pytest.raises(TypeError, match="a real 0-d array"):
        sweep(lambda tx, key: jnp.complex64(1j), gx.sgd(0.1), grid)
    with pytest.raises(TypeError, match=r"for a pair \(loss, aux\), pass has_aux=True"):
        sweep(lambda tx, key: (tx.learning_rate, 1), gx.sgd(0.1), grid)
    with pytest.raises(TypeError, match=r"train: expected a pair \(loss, aux\) with has_aux=True, got"):
        sweep(lambda tx, key: tx.learning_rate, gx.sgd(0.1), grid, has_aux=True)


def test_an_error_inside_train_says_where():
    def train(tx, key):
        return tx.update(jnp.ones(2), tx.init(jnp.ones(3)))[0][0]

    with pytest.raises(ValueError, match="in sweep > adam > chain: the shapes of the updates and the state differ"):
        sweep(train, gx.adam(0.1), {"b1": [0.5]})


def test_in_double_precision():
    with jax.enable_x64(True):
        result = sweep(lambda tx, key: tx.learning_rate, gx.sgd(1.0), {"learning_rate": [0.1]})
    assert result.losses.dtype == np.float64
    assert result.losses[0, 0] == 0.1
