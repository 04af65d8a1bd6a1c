"""Animated trajectories of several transforms on one surface."""

import subprocess
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError, at_stage
from gradtx.plot._run import transforms_by_name
from gradtx.plot._style import TEXT, axes_of, legend_beside, styles, wrapped
from gradtx.plot._trajectories import SIZE, draw_surface, draw_way, end_of, signs
from gradtx.plot._ways import until_lost, ways
from gradtx.problems.surfaces import Point, Surface

_FRAMES = 100  # the largest default
_LAST = 2000  # duration of the last frame of a GIF in milliseconds, before it loops


@explains_calls("plot.animate")
def animate(
    transforms: Any,
    surface: Surface,
    path: str | PathLike[str],
    start: Point | None = None,
    steps: int | None = None,
    frames: int | None = None,
    fps: int = 20,
    dpi: int = 100,
) -> Path:
    """Saves an animation of `trajectories`, which grow step by step.

    Args:
        transforms: a dict of transforms by name, or a single transform.
        surface: one of `gradtx.problems.surfaces`, or your own `Surface`.
        path: the file to write; its suffix selects the format: `.gif`, or `.mp4` if ffmpeg is installed.
        start: the starting point; by default that of the surface.
        steps: the number of updates; by default that of the surface.
        frames: the number of frames, evenly spaced; by default one per point of a trajectory, at most 100.
        fps: frames per second.
        dpi: pixels per inch; a frame is 7.2 inches wide.

    Returns:
        The path.

    Raises:
        GradtxTypeError: `transforms` has a value that is not a transform, or `surface` is not a `Surface`.
        GradtxValueError: the path has another suffix, ffmpeg is missing or fails, or `frames` is below 1 or above the
            number of points; also where `trajectories` raises it.
    """
    with at_stage("plot.animate"):
        path = Path(path)
        save = _writer(path)
        named = transforms_by_name(transforms)
        found = ways(named, surface, start, steps)
        points = len(next(iter(found.values())))
        frames = min(points, _FRAMES) if frames is None else frames
        if not 1 <= frames <= points:
            raise GradtxValueError(f"expected frames from 1 to {points}, the points of a trajectory, got {frames!r}")
        pictures = _Pictures(found, surface, dpi)
        shown = np.linspace(0, points - 1, frames).round().astype(int) if frames > 1 else np.asarray([points - 1])
        save(path, map(pictures.at, shown), pictures.at(points - 1), fps)
    return path


class _Pictures:
    """Frames: the surface, drawn once, under the trajectories up to a given step."""

    def __init__(self, found: dict[str, np.ndarray], surface: Surface, dpi: int):
        figure, self._axes = axes_of(None, *SIZE)
        figure.set_dpi(dpi)
        self._surface, self._found = surface, found
        start = next(iter(found.values()))[0]
        marks = draw_surface(self._axes, surface, start)
        self._drawn = {}
        for name, style in styles(found).items():
            way, lost = until_lost(surface, found[name])
            self._drawn[name] = way, lost, draw_way(self._axes, way, lost is not None, style, wrapped(name))
        lines = [line for _, _, (line, _) in self._drawn.values()]
        ends = [end for _, _, (_, end) in self._drawn.values()]
        legend_beside(self._axes, handles=[*lines, *signs()])
        self._moving = [*lines, *ends, *marks, self._axes.title]
        for artist in self._moving:
            artist.set_animated(True)
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(figure.bbox)

    def at(self, step: int) -> Image.Image:
        """The frame after `step` steps."""
        for way, lost, (line, end) in self._drawn.values():
            done = way[: step + 1]
            line.set_data(*done.T)
            end.set_data(*done[-1:].T)
            crossed = lost is not None and step >= lost
            end.set(**end_of(line.get_marker(), crossed))
        self._axes.set_title(f"{self._surface.name}, step {step}", fontsize=TEXT)
        self._canvas.restore_region(self._still)
        for artist in self._moving:
            self._axes.draw_artist(artist)
        return Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3])


_Save = Callable[[Path, Iterator[Image.Image], Image.Image, int], None]


def _writer(path: Path) -> _Save:
    """The function that saves frames in the format of the path."""
    if path.suffix == ".gif":
        return _save_gif
    if path.suffix != ".mp4":
        raise GradtxValueError(f"expected a path that ends in .gif or .mp4, got {str(path)!r}")
    if not FFMpegWriter.isAvailable():
        raise GradtxValueError(f"expected an installed ffmpeg for .mp4, found none; save {path.stem}.gif instead")
    return _save_mp4


def _save_gif(path: Path, pictures: Iterator[Image.Image], last: Image.Image, fps: int) -> None:
    # One palette for all frames, the most frequent colours of the last one, without dithering: prevents flicker.
    colors, counts = np.unique(np.asarray(last).reshape(-1, 3), axis=0, return_counts=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors[np.argsort(-counts)[:256]].ravel().tolist())
    small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(1000 / fps)] * (len(small) - 1) + [_LAST]
    small[0].save(path, save_all=True, append_images=small[1:], duration=durations, loop=0)


def _save_mp4(path: Path, pictures: Iterator[Image.Image], last: Image.Image, fps: int) -> None:
    width, height = last.width // 2 * 2, last.height // 2 * 2  # yuv420p requires even sizes
    command = [
        FFMpegWriter.bin_path(), "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
        "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    pixels = b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in pictures)
    done = subprocess.run(command, input=pixels, capture_output=True, check=False)
    if done.returncode:
        raise GradtxValueError(f"ffmpeg could not save {str(path)!r}: {done.stderr.decode(errors='replace').strip()}")
