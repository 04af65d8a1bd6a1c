"""Moving pictures grow to the picture that stands."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from PIL import Image
from test_plot import RAVINE, SEVEN, TWO, _ways

import gradtx as gx
from gradtx import plot


def _frames(path):
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            yield image.info["duration"], np.asarray(image.convert("RGB"))


def test_a_moving_picture_grows_to_the_whole(tmp_path):
    path = plot.animate(SEVEN, RAVINE, tmp_path / "ways.gif", steps=12, frames=5, fps=10, dpi=50)
    durations, frames = zip(*_frames(path), strict=True)
    assert durations == (100, 100, 100, 100, 2000)
    assert {frame.shape for frame in frames} == {(234, 360, 3)}
    below_title = [frame[20:] for frame in frames]
    drawn = [np.mean(np.any(frame != below_title[0], axis=-1)) for frame in below_title]
    assert all(before < after for before, after in pairwise(drawn)), "the lines grow"
    assert drawn[-1] < 0.1, "the surface stays"


def test_a_moving_picture_keeps_its_colors(tmp_path):
    path = plot.animate(SEVEN, RAVINE, tmp_path / "ways.gif", steps=12, frames=2)
    last = list(_frames(path))[-1][1].reshape(-1, 3)
    assert len(last) == 720 * 468
    for line in _ways(plot.trajectories(SEVEN, RAVINE, steps=12)):
        color = 255 * np.asarray(matplotlib.colors.to_rgb(line.get_color()))
        assert np.abs(last - color).max(axis=1).min() <= 2, line.get_label()


def test_a_moving_picture_has_a_frame_for_each_step(tmp_path):
    path = plot.animate(gx.sgd(1e-6), RAVINE, str(tmp_path / "slow.gif"), steps=6, dpi=40)
    assert len(list(_frames(path))) == 7, "also where nothing moves"
    one = plot.animate(gx.sgd(0.1), RAVINE, tmp_path / "one.gif", steps=6, frames=1, dpi=40)
    assert len(list(_frames(one))) == 1


def test_an_mp4_by_ffmpeg(tmp_path, monkeypatch):
    # What the program gets is all that is ours: it stands for ffmpeg here, and saves its arguments and its input.
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$last.arguments"\ncat > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", str(program))
    path = plot.animate(TWO, RAVINE, tmp_path / "ways.mp4", steps=4, frames=3, fps=7, dpi=51)
    arguments = (tmp_path / "ways.mp4.arguments").read_text()
    assert "-s 366x238 -r 7 " in arguments, "even numbers of pixels"
    frames = np.frombuffer(path.read_bytes(), np.uint8).reshape(3, 238, 366, 3)
    assert not np.array_equal(frames[0], frames[2])
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    with pytest.raises(gx.GradtxValueError, match=r"plot.animate: ffmpeg could not save .*ways.mp4': no such codec"):
        plot.animate(TWO, RAVINE, tmp_path / "ways.mp4", steps=4, frames=2, dpi=51)


def test_what_cannot_be_animated(tmp_path, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", str(tmp_path / "nothing"))
    with pytest.raises(gx.GradtxValueError, match=r"expected an installed ffmpeg for .mp4, .* save ways.gif instead"):
        plot.animate(TWO, RAVINE, tmp_path / "ways.mp4")
    with pytest.raises(gx.GradtxValueError, match=r"expected a path that ends in .gif or .mp4, got 'ways.png'"):
        plot.animate(TWO, RAVINE, "ways.png")
    for frames in (0, 6):
        with pytest.raises(gx.GradtxValueError, match=f"expected frames from 1 to 5, .* got {frames}"):
            plot.animate(TWO, RAVINE, tmp_path / "ways.gif", steps=4, frames=frames)
    assert list(tmp_path.iterdir()) == []
