"""The pictures of parts: the updates for a stream of gradients, or a diagram, by the kind of the example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx as gx
from gradtx import plot

STEPS = 60
SIZE = 3.6, 1.3
GREY, COLORS = "#b0b0b0", ("#0072B2", "#D55E00")

_T = jnp.arange(STEPS, dtype=jnp.float32)
WAVE = jnp.sin(2 * jnp.pi * _T / 30) + 0.2 * jax.random.normal(jax.random.key(0), (STEPS,)) + 2.0 * (_T == 40)
STREAMS = {
    "wave": WAVE,
    "hills": 0.05 + jnp.abs(WAVE),
    "gaps": jnp.where((_T % 20 >= 8) & (_T % 20 < 11), jnp.nan, WAVE),
    "constant": 0.7 + 0 * _T,
}
"""The gradients of one parameter: a noisy wave with an outlier, its magnitudes, the wave with NaNs, and a constant."""

ABOUT = {
    "wave": "The updates (blue) for a stream of gradients (grey), of one parameter.",
    "hills": "The updates (blue) for magnitudes (grey): the wave rectified, and raised by 0.05.",
    "gaps": "The updates (blue) for a stream of gradients (grey) that is NaN in its gaps.",
    "constant": "The updates (blue) for a constant gradient (grey).",
    "two": "The updates of a large (blue) and a small array (orange) for their gradients (grey).",
    "follow": "Two parameters (blue and orange) that follow a moving minimum (grey).",
    "descent": "Two parameters (blue and orange) on their way to the minimum (grey).",
    "valley": "Two parameters (blue and orange) on their way to the minimum (grey), with curvatures of 1 and 20.",
    "matrix": "The second gradient of a matrix (left) and its update (right), blue where they are positive.",
    "singular": (
        "The twentieth gradient of a matrix, its update, blue where they are positive, and the singular values of "
        "both (grey and blue), the largest first."
    ),
    "diagram": "The flow from gradients to updates.",
}
"""A picture of each kind, in words."""


def draw(tx: gx.GradientTransformation, kind: str) -> Any:
    """The picture of a part: a figure, or a diagram."""
    if kind == "diagram":
        return gx.diagram(tx)
    if kind in STREAMS:
        figure = plot.response({"": tx}, STREAMS[kind])
        figure.set_size_inches(*SIZE)
        figure.supxlabel("")
        return figure
    kinds = {"two": _two, "follow": _follow, "descent": _descent, "valley": _valley}
    return (kinds | {"matrix": _matrix, "singular": _singular})[kind](tx)


def _two(tx: gx.GradientTransformation) -> Figure:
    grads = {"large": WAVE[:, None], "small": 0.3 * jnp.cos(2 * jnp.pi * _T / 20)}
    params = {"large": 1.0 - 0.01 * _T[:, None], "small": 0.2 + 0.005 * _T}

    def step(state: Any, now: Any) -> Any:
        updates, state = tx.update(now[0], state, now[1])
        return state, updates

    updates = jax.lax.scan(step, tx.init(jax.tree.map(lambda p: p[0], params)), (grads, params))[1]
    return _lines(list(grads.values()), list(updates.values()))


def _follow(tx: gx.GradientTransformation) -> Figure:
    angle = 2 * jnp.pi * _T / 40
    return _descending(tx, jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1), start=(0.6, 0.0))


def _descent(tx: gx.GradientTransformation) -> Figure:
    return _descending(tx, jnp.broadcast_to(jnp.asarray([1.0, -0.5]), (STEPS, 2)))


def _valley(tx: gx.GradientTransformation) -> Figure:
    return _descending(tx, jnp.broadcast_to(jnp.asarray([1.0, -0.5]), (STEPS, 2)), curvatures=(1.0, 20.0))


def _descending(
    tx: gx.GradientTransformation, targets: jax.Array, curvatures: Any = (1.0, 1.0), start: Any = (0.0, 0.0)
) -> Figure:
    curvatures, start = jnp.asarray(curvatures), jnp.asarray(start)

    def step(carry: Any, target: jax.Array) -> Any:
        def loss(p: jax.Array) -> jax.Array:
            return jnp.sum(curvatures * (p - target) ** 2) / 2

        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss, grad_fn=jax.grad(loss))
        return (gx.apply_updates(params, updates), state), params

    return _lines(list(targets.T), list(jax.lax.scan(step, (start, tx.init(start)), targets)[1].T))


def _matrix(tx: gx.GradientTransformation) -> Figure:
    state, after = tx.init(jnp.zeros((6, 14))), jnp.zeros((6, 14))
    for before in jax.random.normal(jax.random.key(0), (2, 6, 14)) + jnp.linspace(-2, 2, 14):
        after, state = tx.update(before, state)
    figure = Figure(figsize=SIZE, layout="constrained")
    _shown(figure.subplots(1, 2), before, after)
    return figure


def _singular(tx: gx.GradientTransformation) -> Figure:
    """Noise around a matrix of rank 3, as it is with gradients."""
    left, right, noise = (jax.random.normal(jax.random.key(k), s) for k, s in enumerate([(8, 3), (3, 12), (20, 8, 12)]))
    params = after = jnp.ones((8, 12))
    state = tx.init(params)
    for before in left @ right / 3 + 0.3 * noise:
        after, state = tx.update(before, state, params)
    figure = Figure(figsize=(5.4, SIZE[1]), layout="constrained")
    *both, axes = figure.subplots(1, 3)
    _shown(both, before, after)
    for matrix, color in ((before, GREY), (after, COLORS[0])):
        axes.plot(range(1, 9), np.linalg.svd(matrix, compute_uv=False), "o-", color=color, ms=3, lw=1.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.set_ylim(bottom=0)
    return figure


def _shown(both: Any, before: jax.Array, after: jax.Array) -> None:
    for axes, matrix in zip(both, (before, after), strict=True):
        largest = float(np.max(np.abs(matrix)))
        axes.imshow(matrix, cmap="RdBu", vmin=-largest, vmax=largest)
        axes.set_axis_off()


def _lines(before: list, after: list) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    for line in before:
        axes.plot(np.ravel(line), color=GREY, lw=1.2)
    for line, color in zip(after, COLORS, strict=True):
        axes.plot(np.ravel(line), color=color, lw=1.6)
    axes.set_xlim(0, STEPS - 1)
    return figure
