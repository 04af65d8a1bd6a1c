"""Which axes of an array are the inputs and the outputs of a matrix, as a value."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.typing import Array, Params
from gradtx._values.factory import make_factory
from gradtx._values.labels import Labels, resolve
from gradtx._values.value import Value


class Matrix(Value, data=False):
    """How an array is read as a batch of matrices. Made by `matrix`."""

    __slots__ = ()

    def view(self, x: Any, path: str) -> Any:
        """The array as `(*batch, inputs, outputs)`; a dict of such arrays if it is cut."""
        plan = self._plan(jnp.shape(x), path)
        if plan.order != tuple(range(x.ndim)):
            x = jnp.transpose(x, plan.order)
        whole = x.reshape(plan.form)
        return whole if len(plan.cuts) == 1 else {name: whole[..., rows, columns] for name, rows, columns in plan.cuts}

    def joined(self, pieces: Any, like: Any, path: str) -> Array:
        """The reverse: the array of the shape of `like`."""
        plan = self._plan(jnp.shape(like), path)
        if len(plan.cuts) == 1:
            whole = pieces
        else:
            whole = jnp.zeros(plan.form, jnp.result_type(*pieces.values()))
            for name, rows, columns in plan.cuts:
                whole = whole.at[..., rows, columns].set(pieces[name])
        whole = whole.reshape([jnp.shape(like)[axis] for axis in plan.order])
        back = sorted(range(len(plan.order)), key=plan.order.__getitem__)
        return whole if list(plan.order) == back == list(range(whole.ndim)) else jnp.transpose(whole, back)

    def in_words(self, shape: tuple[int, ...], path: str) -> str:
        plan = self._plan(shape, path)
        *batch, inputs, outputs = plan.form
        count = math.prod(batch)
        text = f"{inputs} inputs, {outputs} outputs" if count == 1 else f"{count} of {inputs} inputs, {outputs} outputs"
        return text if len(plan.cuts) == 1 else f"{text}, in {len(plan.cuts)} parts"

    def _check(self) -> None:
        axes = _axes(self.inputs) + _axes(self.outputs)
        for axis in axes:
            if isinstance(axis, bool) or not isinstance(axis, int):
                raise GradtxTypeError(f"matrix: expected whole numbers as axes, got {short(axis)}")
            if axis >= 0:
                raise GradtxValueError(
                    f"matrix: expected a negative axis, counted from the end because others may be in front, got {axis}"
                )
        if len(set(axes)) < len(axes):
            raise GradtxValueError(f"matrix: the axis {max(axes, key=axes.count)} is named twice")
        if self.block is not None:
            whole_number("matrix: block", self.block)

    def _plan(self, shape: tuple[int, ...], path: str) -> "_Plan":
        inputs, outputs = (_axes(axes) for axes in (self.inputs, self.outputs))
        if len(shape) < -min(inputs + outputs):
            raise GradtxValueError(
                f"the leaf {path!r} of the shape {shape} does not have the axes of {self!r}; give it to another group, "
                f"or say which axes are inputs and outputs"
            )
        chosen = [axis + len(shape) for axis in inputs + outputs]
        order = (*(axis for axis in range(len(shape)) if axis not in chosen), *chosen)
        batch = [shape[axis] for axis in order[: len(shape) - len(chosen)]]
        sizes = [math.prod(shape[axis] for axis in axes) for axes in (inputs, outputs)]
        if self.split is not None and sum(self.split) != sizes[1]:
            raise GradtxValueError(
                f"the leaf {path!r} has {sizes[1]} outputs, and split={self.split} are {sum(self.split)}"
            )
        return _Plan(order, (*batch, *sizes), _cuts(sizes, self.split, self.block))


class _Plan:
    def __init__(self, order: tuple[int, ...], form: tuple[int, ...], cuts: list[tuple[str, slice, slice]]):
        self.order, self.form, self.cuts = order, form, cuts


def _cuts(sizes: list[int], split: Sequence[int] | None, block: int | None) -> list[tuple[str, slice, slice]]:
    """The names of the parts, with their rows and columns."""
    rows = _parts([sizes[0]], block)
    columns = _parts(split or [sizes[1]], block)
    return [
        (f"{i}.{j}" if len(rows) > 1 else str(j), row, column)
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]


def _parts(sizes: Sequence[int], block: int | None) -> list[slice]:
    found, start = [], 0
    for size in sizes:
        end = start + size
        length = block or max(size, 1)
        found += [slice(at, min(at + length, end)) for at in range(start, max(end, start + 1), length)]
        start = end
    return found


def _axes(axes: Any) -> tuple[int, ...]:
    return (axes,) if isinstance(axes, int) else tuple(axes)


@partial(make_factory, kind=Matrix)
def matrix(
    inputs: int | tuple[int, ...] = -2,
    outputs: int | tuple[int, ...] = -1,
    *,
    split: tuple[int, ...] | None = None,
    block: int | None = None,
):
    """A reading of an array as a matrix, or as a batch of matrices: which axes are its inputs, and which its outputs.

    Axes are negative, counted from the end. Those that are not named are a batch, and each matrix in it is worked on
    by itself: layers that are stacked for a scan, experts, heads.

        matrix()                                  a Flax or Haiku kernel `(inputs, outputs)`, also one that is stacked
        matrix(inputs=-1, outputs=-2)             an Equinox or PyTorch weight `(outputs, inputs)`
        matrix(inputs=(-4, -3, -2), outputs=-1)   a Flax or Haiku convolution `(height, width, inputs, outputs)`
        matrix(inputs=-3, outputs=-1)             a Flax query `(inputs, heads, features)`: one matrix for each head

    Args:
        inputs: the axis of the inputs, or several that are one side of the matrix together.
        outputs: the same for the outputs.
        split: sizes in which the outputs are cut: of a fused query, key and value, for instance.
        block: the greatest length of a side; longer ones are cut, and each part is a matrix of its own.

    Raises:
        GradtxTypeError: an axis is not a whole number.
        GradtxValueError: an axis is not negative, or named twice.
    """
    return


REST = "rest"
"""The label of what is not a matrix."""


def readings(axes: Any, params: Params, updates: Any, is_whole: bool = True) -> list[Any]:
    """For each leaf of the updates its `Matrix`, or `REST`."""
    found = resolve(axes, params, updates, is_whole, "axes")
    for path, reading in zip(trees.paths(updates), found, strict=True):
        if not isinstance(reading, Matrix) and reading != REST:
            raise GradtxTypeError(f"axes: expected matrix(...) or {REST!r} for {path!r}, got {short(reading)}")
    return found


class _Groups(Labels, data=False):
    """Labels that are asked for all leaves at once."""

    __slots__ = ()

    def __call__(self, params: Params, is_whole: bool = True) -> Any:
        found = readings(self._arguments["axes"], params, params, is_whole)
        groups = ["matrices" if isinstance(reading, Matrix) else REST for reading in found]
        return jax.tree.structure(params).unflatten(groups)


@partial(make_factory, kind=_Groups)
def matrix_or_rest(axes: Any):
    """Labels for a `partition`: "matrices" where `axes` has a `matrix(...)`, and "rest" where it has "rest".

    Args:
        axes: as for `as_matrices`.
    """
    return


_NO_HIDDEN = {"head", "lm_head", "logits", "classifier", "unembed", "wte", "wpe"}
_VECTORS = {"b", "bias", "offset", "scale", "beta", "gamma"}
_KERNELS = {"kernel", "w", "weight"}


@partial(make_factory, kind=Labels)
def matrices_by_name():
    """Which parameters are hidden matrices, and which axes are inputs and outputs, by names of Flax, Haiku and Equinox.

    The rest: arrays with fewer than two axes; what is called bias, scale, offset, beta or gamma, or lies in a module
    whose name has "norm" in it, also if layers are stacked; embeddings, and heads, logits and classifiers; convolutions
    with one input for each group. Then

        `kernel`, `w`                   `matrix()`, inputs before outputs; further axes in front are stacked layers
        `weight`                        `matrix(inputs=-1, outputs=-2)`, as in Equinox and PyTorch
        in a module with "conv"         all axes but the outputs are inputs; they are last, of a `weight` first
        `query`, `key`, `value`, `out`  of Flax, if query and out have the same heads: a matrix for each head, and one
                                        of all heads
        any other name                  `matrix()` for two axes

    Raises:
        GradtxValueError: an array with another name has three axes or more; or a query has, and there is no out beside
            it that shows whether these are heads or layers.
    """

    def labels(params: Params, is_whole: bool) -> Any:
        shapes = dict(zip(trees.paths(params), map(jnp.shape, jax.tree.leaves(params)), strict=True))
        return trees.map_with_path(partial(_label, shapes), params)

    return labels


def _label(shapes: dict[str, tuple[int, ...]], path: str, p: Any) -> Any:
    words = path.lower().split("/")
    name, ndim = words[-1], len(p.shape)
    is_hidden = not _NO_HIDDEN.intersection(words) and not any("embed" in word for word in words)
    if ndim < 2 or name in _VECTORS or any("norm" in word for word in words) or not is_hidden:
        return REST
    is_weight = name == "weight"
    if ndim == 2:
        return matrix(-1, -2) if is_weight else matrix()
    if any("conv" in word for word in words):
        outputs = -ndim if is_weight else -1
        per_group = p.shape[1] if is_weight else p.shape[-2]
        return REST if per_group == 1 else matrix(tuple(a for a in range(-ndim, 0) if a != outputs), outputs)
    if name == "kernel" and words[-2:-1] and words[-2] in ("query", "key", "value", "out"):
        has_heads = _has_heads(shapes, path.split("/")[:-2])
        if has_heads is None:
            raise GradtxValueError(not_read(path, p.shape))
        if has_heads:
            return matrix((-3, -2), -1) if words[-2] == "out" else matrix(-3, -1)
    if name in _KERNELS:
        return matrix(-1, -2) if is_weight else matrix()
    raise GradtxValueError(not_read(path, p.shape))


def _has_heads(shapes: dict[str, tuple[int, ...]], module: list[str]) -> bool | None:
    """Whether the queries `(inputs, heads, features)` of a module fit its `out` of `(heads, features, outputs)`.

    False for stacked layers, where they do not; None if there is no `out` to compare with.
    """
    query, out = (shapes.get("/".join([*module, name, "kernel"])) for name in ("query", "out"))
    if query is None:
        return False
    return None if out is None else query[-2:] == out[-3:-1]


def not_read(path: str, shape: tuple[int, ...]) -> str:
    """The message for an array that may be read in several ways."""
    several = tuple(range(-len(shape), -1))
    return (
        f"the leaf {path!r} of the shape {shape} is one matrix ({matrix(several).in_words(shape, path)}) or several "
        f"({matrix().in_words(shape, path)}); say which by axes=gradtx.by_path({{{path!r}: gradtx.matrix({several}), "
        f"...}}) or gradtx.matrix(), or 'rest'"
    )
