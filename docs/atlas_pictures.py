"""The pictures of the atlas: what an optimizer makes of six streams of gradients, and its way on two surfaces."""

import inspect
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gradtx as gx
from gradtx import plot, problems

SURFACES = ("hills_and_canyon", "rosenbrock")
RATES = tuple(float(rate) for rate in np.round(10.0 ** np.arange(-3, 0.75, 0.5), 5))

OF_MATRICES = {
    *("adamuon", "dion", "galore_adamw", "kl_shampoo", "mars_muon", "muon", "muon_hyperball", "normuon", "polargrad"),
    *("psgd_kron", "scion", "shampoo", "soap"),
}
"""What works on matrices gives the rest to AdamW, and a point of two numbers is the rest."""

ON_NO_SURFACE = {
    "adahessian": "asks for a random key at each step",
    "sophia": "asks for a random key at each step",
    "dpsgd": "takes gradients of single examples",
}
"""What has no way on a surface, and no response to a stream of gradients."""

WITHOUT_RESPONSE = ON_NO_SURFACE | dict.fromkeys(
    ("lbfgs", "newton_cg"), "searches along lines of a loss, and a stream of gradients has none"
)


def draw(folder: Path, name: str, tx: gx.GradientTransformation) -> list[str]:
    """Draws the pictures that are not there yet, and returns the lines of the page that show them."""
    lines = ["## What it does\n"]
    if name in OF_MATRICES:
        return []
    if name in WITHOUT_RESPONSE:
        lines.append(f"It {WITHOUT_RESPONSE[name]}.\n")
    else:
        rate = {"learning_rate": 1.0} if "learning_rate" in inspect.signature(getattr(gx, name)).parameters else {}
        signals = {signal.replace("_", " "): getattr(problems.signals, signal)() for signal in problems.signals.__all__}
        _saved(folder / f"{name}-response.png", lambda: plot.response({name: _with(tx, rate)}, signals))
        lines += ["Its answer to streams of gradients, which are grey, at a learning rate of 1:\n"]
        lines += [f"![The updates of {name} for six streams of gradients]({name}-response.png)\n"]
    if name not in ON_NO_SURFACE:
        for surface in SURFACES:
            _saved(folder / f"{name}-{surface}.png", lambda surface=surface: _trajectory(name, tx, surface))
            what = surface.replace("_", " ")
            lines += [f"![The way of {name} on the surface {what}]({name}-{surface}.png)\n"]
        lines += [f"The ways are those of the best of {len(RATES)} learning rates from {RATES[0]} to {RATES[-1]}.\n"]
    return lines


def _with(tx: gx.GradientTransformation, numbers: dict) -> gx.GradientTransformation:
    return getattr(gx, tx.factory_name)(**{**tx.arguments, **numbers})


def _trajectory(name: str, tx: gx.GradientTransformation, surface_name: str) -> plt.Figure:
    from gradtx.plot._ways import ways

    surface = getattr(problems.surfaces, surface_name)
    tried = {name: tx}
    if "learning_rate" in inspect.signature(getattr(gx, name)).parameters:
        tried = {f"{name}, {rate:g}": _with(tx, {"learning_rate": rate}) for rate in RATES}
    ends = {label: way[-1] for label, way in ways(tried, surface, None, None).items()}
    losses = {label: float(surface(end)) if np.all(np.isfinite(end)) else np.inf for label, end in ends.items()}
    best = min(losses, key=lambda label: np.nan_to_num(losses[label], nan=np.inf))
    return plot.trajectories({best: tried[best]}, surface)


def _saved(path: Path, make) -> None:
    if not path.exists():
        figure = make()
        figure.savefig(path, dpi=200)
        plt.close(figure)
