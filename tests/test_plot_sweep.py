"""The picture of a sweep shows what the sweep found."""

import matplotlib.colors
import numpy as np
import pytest

import gradtx as gx
from gradtx import plot
from gradtx._inspection.sweep_result import SweepResult

NAN = np.nan


def _result(losses, tx=None, **grid):
    losses = np.asarray(losses, np.float32)
    grid = {name: np.asarray(values, float) for name, values in grid.items()}
    return SweepResult(tx or gx.adam(1.0), grid, tuple(range(losses.shape[-1])), losses)


ADAM = _result([[2.0, 2.2], [0.1, 0.3], [0.05, 0.07], [NAN, 0.02]], learning_rate=[1e-4, 1e-3, 1e-2, 1e-1])
SGD = _result([[NAN, NAN], [1.0, 3.0], [1.5, 2.5]], gx.sgd(1.0), learning_rate=[1.0, 0.01, 0.1])  # in no order


def _drawn(axes, marker):
    """The points drawn with a marker, by colour."""
    lines = [line for line in axes.get_lines() if line.get_marker() == marker]
    return {matplotlib.colors.to_hex(line.get_markeredgecolor()): np.asarray(line.get_xydata()) for line in lines}


def _legend(figure):
    (legend,) = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [text.get_text() for text in legend.get_texts()]


def test_lines_go_through_the_means_and_bands_hold_all_seeds(tmp_path):
    figure = plot.sweep({"adam": ADAM, "sgd": SGD})
    figure.savefig(tmp_path / "sweep.png")
    axes = figure.axes[0]
    curves = {line.get_label().split("\n")[0]: np.asarray(line.get_xydata()) for line in axes.get_lines()}
    np.testing.assert_allclose(curves["adam"], [[1e-4, 2.1], [1e-3, 0.2], [1e-2, 0.06], [1e-1, 0.02]], rtol=1e-6)
    np.testing.assert_allclose(curves["sgd"], [[0.01, 2.0], [0.1, 2.0], [1.0, NAN]], rtol=1e-6)
    heights = [np.concatenate([path.vertices[:, 1] for path in band.get_paths()]) for band in axes.collections]
    np.testing.assert_allclose([[h.min(), h.max()] for h in heights], [[0.02, 2.2], [1.0, 3.0]], rtol=1e-6)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning_rate", "final loss")


def test_the_best_point_has_a_ring_and_is_named_and_diverged_ones_have_crosses_above():
    figure = plot.sweep({"adam": ADAM, "sgd": SGD})
    axes = figure.axes[0]
    blue, orange = (matplotlib.colors.to_hex(color) for color in plot._style.COLORS[:2])
    rings = {line.get_markeredgecolor(): line.get_xydata()[0] for line in axes.get_lines() if line.get_mfc() == "none"}
    np.testing.assert_allclose(list(rings.values()), [[1e-2, 0.06], [0.01, 2.0]], rtol=1e-6)
    assert _legend(figure) == ["adam\n0.06 at 0.01", "sgd\n2 at 0.01"]
    crosses = _drawn(axes, "x")
    assert {color: points[:, 0].tolist() for color, points in crosses.items()} == {blue: [1e-1], orange: [1.0]}
    rows = [points[0, 1] for points in crosses.values()]
    assert 1 < rows[0] < rows[1], "above the axes, each in its row"
    assert "diverged" in [text.get_text() for text in axes.texts]


def test_of_the_other_numbers_the_best_choice_is_shown():
    losses = [[[3.0], [1.0]], [[0.5], [2.0]], [[0.1], [NAN]], [[NAN], [NAN]]]
    result = _result(losses, learning_rate=[1, 2, 3, 4], b1=[0.5, 0.9])
    axes = plot.sweep(result).axes[0]
    (curve,) = (line for line in axes.get_lines() if line.get_label().startswith("adam"))
    np.testing.assert_allclose(curve.get_ydata(), [1.0, 0.5, 0.1, NAN], rtol=1e-6)
    assert [points[:, 0].tolist() for points in _drawn(axes, "x").values()] == [[4.0]]
    # One lost run weighs more than any loss.
    lost = _result([[[1.0, NAN], [5.0, 5.0]]], learning_rate=[1], b1=[0.5, 0.9])
    assert 5.0 in [y for line in plot.sweep(lost).axes[0].get_lines() for y in line.get_ydata()]


def test_scales_follow_the_numbers():
    linear = plot.sweep(_result([[1.0], [2.0]], b1=[0.5, 0.9])).axes[0]
    assert (linear.get_xscale(), linear.get_yscale()) == ("linear", "linear")
    negative = plot.sweep(_result([[-1.0], [200.0]], b1=[0.0, 0.9])).axes[0]
    assert (negative.get_xscale(), negative.get_yscale()) == ("linear", "linear")
    huge = plot.sweep(_result([[1.0], [0.1], [0.1], [0.2], [1e30]], learning_rate=[1, 2, 3, 4, 50])).axes[0]
    assert huge.get_yscale() == "log"
    assert huge.get_ylim()[0] < 0.1
    assert huge.get_ylim()[1] == pytest.approx(100.0)


def test_one_loss_of_zero_leaves_the_axis_logarithmic():
    zero = _result([[0.0, 0.0], [0.1, 0.0], [3.0, 5.0]], gx.sgd(1.0), learning_rate=[0.01, 0.1, 1.0])
    figure = plot.sweep({"adam": ADAM, "sgd": zero})
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] == pytest.approx(0.002), "a decade below the lowest other loss"
    curves = {line.get_label().split("\n")[0]: np.asarray(line.get_ydata()) for line in axes.get_lines()}
    np.testing.assert_allclose(curves["sgd"], [0.002, 0.05, 4.0], rtol=1e-6)
    np.testing.assert_allclose(curves["adam"], [2.1, 0.2, 0.06, 0.02], rtol=1e-6)
    assert _legend(figure)[1] == "sgd\n0 at 0.01", "the legend has the loss itself"
    assert "losses of 0 are at the\nlower end" in figure.legends[0].get_title().get_text()
    assert "losses of 0" not in plot.sweep(ADAM).legends[0].get_title().get_text()
    assert plot.sweep(_result([[0.0], [0.0]], learning_rate=[0.1, 1.0])).axes[0].get_yscale() == "linear"
    assert plot.sweep(_result([[-1.0], [0.0], [50.0]], learning_rate=[1, 2, 3])).axes[0].get_yscale() == "linear"


def test_the_band_is_the_range_that_the_table_has():
    title = plot.sweep({"adam": ADAM, "sgd": SGD}).legends[0].get_title().get_text()
    assert title == "mean over the seeds;\nband: lowest to highest"
    assert plot.sweep(_result([[1.0], [2.0]], b1=[0.5, 0.9])).legends[0].get_title().get_text() == ""
    assert "mean  lowest  highest" in str(ADAM)
    assert "0.2     0.1      0.3" in str(ADAM)


def test_where_all_diverged_there_are_only_crosses(tmp_path):
    figure = plot.sweep({"adam": _result([[NAN], [NAN]], learning_rate=[0.1, 10])})
    figure.savefig(tmp_path / "none.png")
    assert [points[:, 0].tolist() for points in _drawn(figure.axes[0], "x").values()] == [[0.1, 10.0]]
    assert _legend(figure) == ["adam"]


def test_axes_may_be_given():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plot.sweep(ADAM, ax=axes[1]) is figure
    assert axes[1].get_lines()
    assert not axes[0].get_lines()


def test_what_cannot_be_drawn():
    with pytest.raises(TypeError, match=r"in plot.sweep: adam: expected a result of gradtx.sweep, got \[1, 2\]"):
        plot.sweep({"adam": [1, 2]})
    with pytest.raises(TypeError, match=r"expected a result of gradtx.sweep, got adam\("):
        plot.sweep(gx.adam(0.1))
    with pytest.raises(TypeError, match="expected at least one result"):
        plot.sweep({})
    with pytest.raises(ValueError, match="adam: expected a sweep of at least one hyperparameter"):
        plot.sweep(_result([1.0]))
