"""Plots of transforms, with Matplotlib, which the extra `plot` installs.

    plot.trajectories({"adam": adam(0.1), "sgd": sgd(0.1)}, problems.surfaces.ravine).savefig("ravine.png")

Each function returns a Matplotlib figure, which notebooks display; `animate` returns the path of its file. The global
state of Matplotlib does not change.
"""

try:
    import matplotlib as _  # noqa: F401
except ImportError as error:
    raise ImportError("gradtx.plot requires Matplotlib: pip install 'gradtx[plot]'") from error

from gradtx.plot._animate import animate as animate
from gradtx.plot._response import response as response
from gradtx.plot._schedule import schedule as schedule
from gradtx.plot._sweep import sweep as sweep
from gradtx.plot._trajectories import trajectories as trajectories

__all__ = [
    "animate",
    "response",
    "schedule",
    "sweep",
    "trajectories",
]


def __dir__() -> list[str]:
    return __all__
