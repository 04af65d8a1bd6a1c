"""The pictures of the atlas: what an optimizer makes of six signals, and its trajectories on two surfaces.

All of them are drawn. What asks for more than a gradient, or for another shape, gets it from `posed`.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gradtx as gx
from benchmarks.atlas import PER_EXAMPLE, made, rates_of
from gradtx import plot, problems
from gradtx.plot._run import drive

SURFACES = ("hills_and_canyon", "rosenbrock")
RATES = tuple(float(rate) for rate in np.round(10.0 ** np.arange(-3, 0.75, 0.5), 5))
SHAPE, EXAMPLES = (4, 3), 8

ASKING_FOR_A_LOSS = (
    "adahessian",
    "lbfgs",
    "momo",
    "momo_adam",
    "nesterov_lookahead",
    "newton_cg",
    "polyak_sgd",
    "sophia",
)
POSED = {
    **dict.fromkeys(
        ASKING_FOR_A_LOSS,
        "A signal has no loss, and this optimizer asks for one: it gets, at each step, a parabola with the signal as "
        "its gradient, the curvature 1, and the minimum 0.",
    ),
    **dict.fromkeys(PER_EXAMPLE, f"The gradient of each of {EXAMPLES} examples is the signal."),
}
"""What is made of a signal, for optimizers that need more than a gradient."""
MATRIX = (
    f"The gradient is the signal times a fixed random matrix of {SHAPE[0]} by {SHAPE[1]}, and shown is one element of "
    "the update."
)
COLUMN = "The point is a matrix of two rows and one column, so that its gradient is treated as a matrix."


@functools.cache
def is_of_matrices(name: str) -> bool:
    """Whether it treats matrices in a way of their own, and gives the rest to another optimizer."""
    return hasattr(_at(name, 1.0), "axes")


def response(name: str) -> list[str]:
    """What the page says about the picture of the response."""
    rate = "at a learning rate of 1" if rates_of(name) else "without a learning rate, which it does not have"
    about = [f"Updates (blue) for six streams of gradients (grey), {rate}{_undecayed(name)}."]
    if name == "schedule_free":
        about += ["It is drawn around `sgd(1.0)`."]
    about += [MATRIX] if is_of_matrices(name) else []
    about += [POSED[name]] if name in POSED else []
    return [" ".join(about) + "\n"]


def trajectories(name: str) -> list[str]:
    """What the page says about the pictures of trajectories."""
    if rates_of(name):
        about = [
            f"Each trajectory uses the best of {len(RATES)} learning rates from {RATES[0]} to {RATES[-1]:.3g}; the "
            "legend gives that rate and the final distance."
        ]
    else:
        about = ["It has no learning rate; the legend gives the final distance."]
    about += ["Weight decay is 0."] if _undecayed(name) else []
    about += [COLUMN] if is_of_matrices(name) else []
    about += ["The inner `sgd` has the same rate."] if name == "schedule_free" else []
    about += [f"The gradient counts as that of each of {EXAMPLES} examples."] if name in PER_EXAMPLE else []
    return [" ".join(about) + "\n"]


def _undecayed(name: str) -> str:
    return ", and without weight decay" if hasattr(made(name, 1.0 if rates_of(name) else None), "weight_decay") else ""


def shown(name: str) -> dict[str, list[str]]:
    """The lines that show the pictures, by section."""
    ways = [f"![Trajectory of {name} on the surface {_words(x)}]({name}-{x}.png)\n" for x in SURFACES]
    return {"Response": [f"![Updates of {name} for six signals]({name}-response.png)\n"], "Trajectories": ways}


def draw(folder: Path, name: str) -> None:
    """Draws the pictures that are not there yet."""
    signals = {_words(signal): getattr(problems.signals, signal)() for signal in problems.signals.__all__}
    _saved(folder / f"{name}-response.png", lambda: _readable(plot.response({_words(name): of_scalars(name)}, signals)))
    for surface in SURFACES:
        _saved(folder / f"{name}-{surface}.png", lambda surface=surface: _trajectory(name, surface))


def of_scalars(name: str, rate: float = 1.0) -> gx.GradientTransformation:
    """The optimizer as a transform of a single number: what `plot.response` draws."""
    key = jax.random.key(0)
    weights = jax.random.normal(key, SHAPE)

    def as_parameters(p: Any) -> Any:
        return {"kernel": weights} if is_of_matrices(name) else p

    def init(params: Any) -> Any:
        params = as_parameters(params)
        return _at(name, rate).init(params), params

    def update(updates: Any, state: Any, params: Any, *, key: Any) -> Any:
        inner, at = state if is_of_matrices(name) else (state[0], params)
        grads = {"kernel": updates * weights} if is_of_matrices(name) else updates
        out, inner = _update(name, _at(name, rate), grads, inner, at, key)
        return (out["kernel"][0, 0] if is_of_matrices(name) else out), (inner, gx.apply_updates(at, out))

    return gx.GradientTransformation(init, update)


def of_points(name: str, rate: float) -> gx.GradientTransformation:
    """The optimizer as a transform of the points of a surface: what `plot.trajectories` draws."""
    tx = _at(name, rate)

    def column(x: Any) -> Any:
        return {"kernel": x[:, None]}

    def update(updates: Any, state: Any, params: Any, **extra: Any) -> Any:
        if name in PER_EXAMPLE:
            return tx.update(_for_each_example(updates), state, params, **extra)
        out, state = tx.update(column(updates), state, column(params), key=extra["key"])
        return out["kernel"][:, 0], state

    if is_of_matrices(name):
        return gx.GradientTransformation(lambda params: tx.init(column(params)), update)
    return gx.GradientTransformation(tx.init, update) if name in PER_EXAMPLE else tx


def _at(name: str, rate: float) -> gx.GradientTransformation:
    """The optimizer at this rate, without weight decay, which would hide at such rates what it makes of gradients."""
    tx = made(name, rate if rates_of(name) else None)
    return getattr(gx, name)(**{**tx.arguments, "weight_decay": 0.0}) if hasattr(tx, "weight_decay") else tx


def _for_each_example(x: Any) -> Any:
    return jnp.broadcast_to(x, (EXAMPLES, *jnp.shape(x)))


def _update(name: str, tx: gx.GradientTransformation, grads: Any, state: Any, params: Any, key: Any) -> Any:
    """A step of the optimizer, with all that it asks for."""
    if name in PER_EXAMPLE:
        grads = _for_each_example(grads)
    extra: dict[str, Any] = {"key": key}
    if name in ASKING_FOR_A_LOSS:

        def loss(q: Any) -> Any:
            return (q - params + grads) ** 2 / 2

        extra |= {"value": loss(params), "grad": grads, "value_fn": loss, "grad_fn": jax.grad(loss)}
    return tx.update(grads, state, params, **extra)


def _readable(figure: Any) -> Any:
    """Panels whose updates explode get an axis with powers of ten on both sides of 0."""
    for ax in figure.axes:
        output = np.abs(np.asarray(ax.lines[-1].get_ydata(), float))
        output = output[np.isfinite(output) & (output > 0)]
        if len(output) == 0 or output.max() < 100 * max(1.0, np.quantile(output, 0.75)):
            continue
        edge = 10.0 ** np.floor(np.log10(np.quantile(output, 0.5)))
        ax.set_yscale("symlog", linthresh=edge)
        top = 10.0 ** np.floor(np.log10(output.max()))
        ax.set_yticks([-top, 0, top], [f"$-10^{{{np.log10(top):.0f}}}$", "0", f"$10^{{{np.log10(top):.0f}}}$"])
        ax.set_yticks([], minor=True)
        ax.set_title("logarithmic axis", fontsize=9, color="#8c8c8c", loc="center")
    return figure


def _trajectory(name: str, surface_name: str) -> Any:
    """The picture of the trajectory that ends lowest; all rates run in one program."""
    surface = getattr(problems.surfaces, surface_name)
    start = jnp.asarray(surface.start, jnp.float32)

    def way(rate: Any) -> Any:
        steps = jnp.arange(surface.steps)
        (_, points), *_ = drive((name,), [of_points(name, rate)], lambda p, _: surface(p), start, steps)
        return points

    rates = jnp.asarray(RATES if rates_of(name) else (1.0,))
    found = np.asarray(jax.jit(jax.vmap(way))(rates))
    lowest = np.argmin(np.nan_to_num([float(surface(points[-1])) for points in found], nan=np.inf))
    label = f"{_words(name)}, {RATES[lowest]:.3g}" if rates_of(name) else _words(name)
    return plot.trajectories({label: _along(np.concatenate([start[None], found[lowest]]))}, surface)


def _along(points: np.ndarray) -> gx.GradientTransformation:
    """A transform that goes along these points."""
    changes = jnp.asarray(np.diff(points, axis=0))
    return gx.GradientTransformation(lambda _: 0, lambda updates, step, params=None: (changes[step], step + 1))


def _words(name: str) -> str:
    """The name with spaces, at which titles and legends break."""
    return name.replace("_", " ")


def _saved(path: Path, make: Any) -> None:
    if not path.exists():
        figure = make()
        figure.savefig(path, dpi=200)
        plt.close(figure)
