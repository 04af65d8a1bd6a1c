"""Pictures show what plain loops compute, with names that can be read and lines that can be told apart."""

import importlib
import io
import sys

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure
from PIL import Image

import gradtx as gx
from gradtx import plot, schedules
from gradtx.problems import signals, surfaces
from gradtx.problems.surfaces import Surface

RAVINE = surfaces.ravine
TWO = {"sgd": gx.sgd(0.45), "adam": gx.adamw(0.1)}
SEVEN = {
    **TWO,
    "momentum": gx.sgd(0.05, 0.9),
    "rmsprop": gx.rmsprop(0.05),
    "adagrad": gx.adagrad(0.5),
    "lion": gx.lion(0.05),
    "a descent that diverges, with a long name": gx.sgd(0.6),
}


def _walked(tx, surface, start, steps):
    """The points that a plain loop comes to."""
    params = jnp.asarray(start, jnp.float32)
    state, points = tx.init(params), [params]
    for _ in range(steps):
        updates, state = tx.update(jax.grad(surface)(params), state, params)
        params = gx.apply_updates(params, updates)
        points.append(params)
    return np.stack(points)


def _ways(figure):
    """The lines of the ways; single points have no line."""
    return [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]


def _legend(figure):
    """The legend's title and texts."""
    legend = figure.legends[0]
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def _pixels(figure):
    figure.draw_without_rendering()
    return {
        "figure": figure.bbox,
        "axes": figure.axes[0].get_window_extent(),
        "legend": figure.legends[0].get_window_extent(),
    }


def test_ways_are_those_of_a_plain_loop():
    figure = plot.trajectories(TWO, surfaces.wobbly, start=(-2.0, 1.5), steps=6)
    for line, tx in zip(_ways(figure), TWO.values(), strict=True):
        np.testing.assert_allclose(line.get_xydata(), _walked(tx, surfaces.wobbly, (-2.0, 1.5), 6), atol=2e-5)


def test_the_surface_says_where_to_begin_and_how_long():
    surface = Surface("bowl", "x² + y²", lambda x, y: x**2 + y**2, ((-1, 2), (-1, 1)), (0.0, 0.0), (1.0, 0.5), 3)
    figure = plot.trajectories(gx.sgd(0.1), surface)
    (line,) = _ways(figure)
    np.testing.assert_allclose(line.get_xydata(), [[0.8**k, 0.5 * 0.8**k] for k in range(4)], rtol=1e-5)
    assert _legend(figure) == ("distance to the minimum\nafter 3 steps", ["sgd: 0.57", "start", "minimum"])
    ax = figure.axes[0]
    assert (ax.get_title(), ax.get_xlim(), ax.get_ylim()) == ("bowl", (-1, 2), (-1, 1))


def test_every_minimum_has_a_star():
    figure = plot.trajectories(gx.sgd(0.01), surfaces.himmelblau, steps=2)
    stars = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "*"]
    np.testing.assert_allclose(stars, surfaces.himmelblau.minima)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_lines_can_be_told_apart_and_the_legend_hides_nothing(count):
    transforms = dict(list(SEVEN.items())[:count])
    figure = plot.trajectories(transforms, RAVINE, steps=20)
    lines = _ways(figure)
    assert len(lines) == count
    for look in ("color", "marker"):
        assert len({getattr(line, f"get_{look}")() for line in lines}) == count
    assert all(color not in ("#F0E442", "#FFFFFF") for color in (line.get_color() for line in lines))
    _, texts = _legend(figure)
    assert [text.split(":")[0].replace("\n", " ") for text in texts] == [*transforms, "start", "minimum"]
    place = _pixels(figure)
    assert place["axes"].x1 < place["legend"].x0
    assert place["legend"].x1 <= place["figure"].x1
    assert place["legend"].y0 >= place["figure"].y0


def test_names_with_an_underscore_are_in_the_legend():
    figure = plot.trajectories({"_mine": gx.sgd(0.1), "a_b": gx.sgd(0.2)}, RAVINE, steps=2)
    assert [text.split(":")[0].strip() for text in _legend(figure)[1][:2]] == ["_mine", "a_b"]
    figure = plot.schedule({"_mine": 0.1, "other": 0.2}, 3)
    assert [text.strip() for text in _legend(figure)[1]] == ["_mine", "other"]


def test_last_points_at_one_place_are_all_seen():
    plateau = surfaces.giant_plateau
    near = {"a": gx.adagrad(0.5, initial_accumulator_value=0.0), "b": gx.adam(0.3, b2=0.99)}
    still = {"c": gx.sgd(0.1), "d": gx.sgd(0.02, 0.9), "e": gx.nesterov(0.02)}
    figure = plot.trajectories({**near, **still, "far": gx.adam(0.01)}, plateau)
    figure.draw_without_rendering()
    ends = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and line.get_markersize() == 8][1:]
    shown = np.asarray([end.get_transform().transform(end.get_xydata())[0] for end in ends])
    own = np.asarray([figure.axes[0].transData.transform(end.get_xydata())[0] for end in ends])
    moved = np.linalg.norm(shown - own, axis=1) / figure.dpi * 72
    np.testing.assert_allclose(moved, [12, 12, 12, 12, 12, 0], atol=1e-6)
    apart = np.linalg.norm(shown[:, None] - shown, axis=-1) / figure.dpi * 72
    assert apart[~np.eye(6, dtype=bool)].min() > 8, "as wide as a marker"
    widths = [line.get_linewidth() for line in _ways(figure)]
    assert widths == sorted(widths, reverse=True)


def test_figures_are_saved_with_two_pixels_for_one(tmp_path):
    plot.trajectories(gx.sgd(0.1), RAVINE, steps=2).savefig(tmp_path / "ways.png")
    with Image.open(tmp_path / "ways.png") as image:
        assert image.size == (1440, 936)


def test_a_surface_of_lists():
    bowl = Surface("bowl", "x² + y²", lambda x, y: x**2 + y**2, [[-1, 1], [-1, 1]], [0, 0], start=[0.5, 0.5])
    assert len(_ways(plot.trajectories(gx.sgd(0.1), bowl, steps=2))) == 1


def test_more_names_than_colors_still_differ():
    from gradtx.plot._style import styles

    looks = [str(style) for style in styles(map(str, range(35))).values()]
    assert len(set(looks)) == 35


@pytest.mark.parametrize("rate", [0.6, 50.0, 1e30])
def test_a_way_that_diverges_is_cut_at_the_edge(rate):
    figure = plot.trajectories({"wild": gx.sgd(rate), "tame": gx.sgd(0.1)}, RAVINE, steps=60)
    wild, tame = _ways(figure)
    assert len(tame.get_xydata()) == 61
    points = wild.get_xydata()
    assert np.all(np.abs(points) <= 3.2 + 1e-6)
    assert np.isclose(np.abs(points[-1]).max(), 3.2), "it ends at the edge"
    assert _legend(figure)[1][0] == "wild: leaves in step 1"
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    np.testing.assert_array_equal([cross.get_xydata()[0] for cross in crosses], [points[-1]])


def test_a_way_that_ends_nowhere_is_cut_where_it_was():
    slope = Surface(
        "slope with a hole",
        "x + 0 sqrt(x - 0.2)",
        lambda x, y: x + 0 * jnp.sqrt(x - 0.2) + 0 * y,
        ((-1.0, 1.0), (-1.0, 1.0)),
        (0.2, 0.0),
        start=(0.5, 0.0),
        steps=9,
    )
    figure = plot.trajectories(gx.sgd(0.125), slope)
    figure.draw_without_rendering()
    (line,) = _ways(figure)
    np.testing.assert_array_equal(line.get_xydata(), [[0.5, 0], [0.375, 0], [0.25, 0], [0.125, 0]])
    assert _legend(figure)[1][0] == "sgd: leaves in step 4"


def test_a_way_that_comes_back_is_not_cut():
    bowl = Surface("bowl", "x² + y²", lambda x, y: x**2 + y**2, ((-0.5, 1.2), (-1.0, 1.0)), (0.0, 0.0), (1.0, 0.0))
    figure = plot.trajectories(gx.sgd(0.9), bowl, steps=20)
    np.testing.assert_allclose(_ways(figure)[0].get_xdata(), (-0.8) ** np.arange(21), rtol=1e-4)
    assert _legend(figure)[1][0] == "sgd: 0.012"


def test_other_numbers_do_not_compile_again():
    traced = []

    def height(x, y):
        traced.append(isinstance(x, jax.core.Tracer))
        return x**2 + y**2

    bowl = Surface("bowl", "x² + y²", height, RAVINE.domain, (0.0, 0.0), steps=30)
    plot.trajectories({"a": gx.adam(0.1), "b": gx.sgd(0.1)}, bowl)
    first = sum(traced)
    assert 0 < first < 10, "all steps are one scan"
    plot.trajectories({"a": gx.adam(0.2), "b": gx.sgd(0.3)}, bowl, start=(1.0, 1.0))
    assert sum(traced) == first


def test_transforms_that_ask_for_more_than_the_gradient():
    asking = {
        "loss": gx.polyak_sgd(),
        "elsewhere": gx.sharpness_aware(gx.sgd(0.1), 0.05),
        "key": gx.adahessian(0.1),
        "optax": optax.sgd(0.1, momentum=0.5),
    }
    figure = plot.trajectories(asking, surfaces.simple_quadratic, steps=40)
    assert all(np.linalg.norm(line.get_xydata()[-1]) < 2 for line in _ways(figure))
    assert len(_ways(figure)) == 4


def test_pictures_on_axes_of_the_user():
    own = Figure(figsize=(6, 2), layout="compressed")
    left, right = own.subplots(1, 2)
    assert plot.trajectories(TWO, RAVINE, steps=3, ax=left) is own
    assert plot.schedule(schedules.linear(1.0, 0.0, 9), 10, ax=right) is own
    assert len(left.get_legend().get_texts()) == 4
    own.draw_without_rendering()
    assert left.get_window_extent().x1 < left.get_legend().get_window_extent().x0
    assert len(right.lines) == 1


def test_pyplot_is_left_alone_and_notebooks_show_figures():
    matplotlib.get_backend()  # it is found when it is asked for
    before = matplotlib.rcParams.copy()
    figure = plot.schedule(schedules.constant(1.0), 3)
    data, metadata = figure._repr_png_()
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (1440, 604)
    assert metadata == {"width": 720}, "two pixels for one of the page"
    assert plt.get_fignums() == []
    assert matplotlib.rcParams == before


def _responded(tx, signal):
    """What a plain loop makes of a signal, for a parameter that begins at 0."""
    p, out = jnp.zeros(()), []
    state = tx.init(p)
    for g in signal:
        updates, state = tx.update(jnp.asarray(g), state, p)
        p = gx.apply_updates(p, updates)
        out.append(float(updates))
    return out


def test_responses_are_those_of_a_plain_loop():
    signal = np.asarray(signals.noisy_sine(12))
    transforms = {"ema": gx.scale_by_ema(0.9), "adamw": gx.adamw(0.1, weight_decay=0.5), "sgd": optax.sgd(0.5)}
    figure = plot.response(transforms, signal)
    assert [ax.get_title("left") for ax in figure.axes] == list(transforms)
    for ax, tx in zip(figure.axes, transforms.values(), strict=True):
        _, behind, line = ax.lines
        np.testing.assert_allclose(line.get_ydata(), _responded(tx, signal), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(behind.get_ydata(), signal)
        assert behind.get_color() != line.get_color()
    assert len({ax.lines[2].get_color() for ax in figure.axes}) == 3


@pytest.mark.parametrize(("factor", "power"), [(9e-4, -3), (0.2, 0), (1.0, 0), (5.0, 0), (2e4, 4), (0.0, 0)])
def test_the_signal_is_drawn_in_the_size_of_the_response(factor, power):
    signal = np.asarray(signals.spikes(60))
    ax = plot.response(gx.scale(factor), signal).axes[0]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), signal * 10.0**power, rtol=1e-6)
    notes = [text.get_text() for text in ax.texts]
    assert notes == ([rf"signal $\times\,10^{{{power}}}$"] if power else [])


def test_a_grid_has_a_row_for_each_signal():
    rows = {"first": signals.spikes(8), "second": signals.saturation(8)}
    columns = {"a": gx.sign(), "b": gx.square(), "c": gx.scale(2.0)}
    axes = plot.response(columns, rows).axes
    assert len(axes) == 6
    assert [ax.get_ylabel() for ax in axes] == ["first", "", "", "second", "", ""]
    assert [ax.get_title("left") for ax in axes] == ["a", "b", "c", "", "", ""]
    np.testing.assert_allclose(axes[5].lines[2].get_ydata(), 2 * rows["second"], rtol=1e-6)


def test_an_odd_number_of_panels_leaves_no_empty_one():
    figure = plot.response({str(k): gx.scale(float(k)) for k in range(1, 6)}, signals.spikes(8))
    assert len(figure.axes) == 5
    labelled = [ax.xaxis.get_tick_params()["labelbottom"] for ax in figure.axes]
    assert labelled == [False, False, False, True, True]


def test_a_response_that_is_not_finite_does_not_break_the_picture():
    figure = plot.response({"power": gx.power(-1.0), "large": gx.scale(3e38)}, np.asarray([1.0, 0.0, 100.0]))
    figure.draw_without_rendering()
    assert all(np.all(np.isfinite(ax.get_ylim())) for ax in figure.axes)


def test_schedules_over_the_steps():
    cosine = schedules.cosine_decay(0.1, 20)
    given = {"cosine": cosine, "half": lambda t: 0.5 * cosine(t), "number": 0.05}
    figure = plot.schedule(given, 30)
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == list(given)
    wanted = np.asarray(cosine(np.arange(30)))
    for line, values in zip(lines, (wanted, 0.5 * wanted, np.full(30, 0.05)), strict=True):
        np.testing.assert_allclose(line.get_ydata(), values, rtol=1e-6)
    assert len({line.get_color() for line in lines}) == 3
    place = _pixels(figure)
    assert place["axes"].x1 < place["legend"].x0
    assert place["legend"].x1 <= place["figure"].x1


def test_jumps_are_upright_and_nothing_else_has_stairs():
    stairs = schedules.exponential_decay(1.0, 4, 0.5, staircase=True)
    lines = plot.schedule({"stairs": stairs, "line": schedules.linear(1.0, 0.0, 4), "const": 0.5}, 12).axes[0].lines
    assert [line.get_drawstyle() for line in lines] == ["steps-post", "default", "steps-post"]


def test_one_schedule_has_itself_for_a_title():
    figure = plot.schedule(schedules.linear(1.0, 0.0, 9), 10)
    assert figure.axes[0].get_title() == repr(schedules.linear(1.0, 0.0, 9))
    assert figure.legends == []


def test_a_surface_without_a_minimum():
    saddle = Surface("saddle", "x² - y²", lambda x, y: x**2 - y**2, RAVINE.domain, None, (1.0, 0.1))
    with pytest.raises(gx.GradtxValueError, match=r"in plot.trajectories: expected a surface with a minimum, got"):
        plot.trajectories(TWO, saddle)
    with pytest.raises(gx.GradtxValueError, match=r"in plot.animate: expected a surface with a minimum, got"):
        plot.animate(TWO, saddle, "saddle.gif")


def test_what_is_not_there_to_be_drawn():
    with pytest.raises(gx.GradtxTypeError, match=r"in plot.trajectories: expected a surface, .* got <function"):
        plot.trajectories(TWO, lambda x, y: x)
    with pytest.raises(gx.GradtxTypeError, match=r"in plot.trajectories > adam: .* got <function adam.*call it: adam"):
        plot.trajectories({"adam": gx.adam}, RAVINE)
    with pytest.raises(gx.GradtxTypeError, match=r"in plot.response: expected at least one transform, got an"):
        plot.response({}, signals.spikes())
    with pytest.raises(gx.GradtxTypeError, match=r"expected a string as the name of a transform, got 1"):
        plot.trajectories({1: gx.sgd(0.1)}, RAVINE)
    for start in ((9.0, 0.0), (0.0,), (float("nan"), 0.0)):
        with pytest.raises(gx.GradtxValueError, match=r"expected start to be a point \(x, y\) in the domain"):
            plot.trajectories(TWO, RAVINE, start=start)
    with pytest.raises(gx.GradtxValueError, match=r"expected at least one step, got steps=0"):
        plot.trajectories(TWO, RAVINE, steps=0)
    with pytest.raises(gx.GradtxValueError, match=r"in plot.schedule: expected at least one step"):
        plot.schedule(0.1, 0)
    with pytest.raises(gx.GradtxTypeError, match=r"in plot.schedule: rate: expected a schedule, .* got 'fast'"):
        plot.schedule({"rate": "fast"}, 3)
    with pytest.raises(gx.GradtxValueError, match=r"noise: expected a one-dimensional signal .* got shape \(2, 2\)"):
        plot.response(gx.sign(), {"noise": np.ones((2, 2))})
    with pytest.raises(gx.GradtxValueError, match=r"got shape \(0,\)"):
        plot.response(gx.sign(), [])


def test_errors_inside_say_which_transform():
    wants = gx.chain(gx.scale(0.5), gx.conditional(gx.sgd(0.1), "ready"))
    with pytest.raises(gx.GradtxError, match=r"in plot.trajectories > choosy > chain > conditional: .*ready"):
        plot.trajectories({"plain": gx.sgd(0.1), "choosy": wants}, RAVINE)


def test_without_matplotlib_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "gradtx.plot")
    with pytest.raises(ImportError, match=r"pip install 'gradtx\[plot\]'"):
        importlib.import_module("gradtx.plot")
