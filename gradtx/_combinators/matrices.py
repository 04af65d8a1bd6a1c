"""Arrays read as matrices."""

from typing import Any

import jax

from gradtx._base import trees
from gradtx._base.errors import GradtxValueError, inner_in_dict
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.context import Context, Work
from gradtx._core.leafwise import restricted
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._values.matrices import Matrix, matrix, readings

_PLAIN = matrix()


@transformation(role="wrapper")
def as_matrices(inner: Transform, axes: Any = _PLAIN):
    r"""Matrices: hands every array to the inner transform as a batch of matrices, inputs times outputs.

    Transforms of matrices, such as `orthogonalize`, then work on each matrix by itself, and so do norms of arrays: an
    array is one matrix. Parameters and what `let` has named are read in the same way.

    Args:
        inner: a transform of matrices.
        axes: a `matrix(...)`; or one for each array: a tree or prefix tree of them, `by_path`, or a function of the
            parameters that returns one.

    State: a dict with the state of `inner`, for arrays of the axes (batch, inputs, outputs). Nothing of its own.

    Raises:
        GradtxValueError: an array does not have the axes.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> tx = as_matrices(orthogonalize(), matrix(inputs=(-4, -3, -2), outputs=-1))
        >>> kernel = jax.random.normal(jax.random.key(0), (3, 3, 2, 4))  # a convolution: 18 inputs, 4 outputs
        >>> updates, state = tx.update(kernel, tx.init(kernel))
        >>> print(updates.shape, *(f"{s:.1f}" for s in jnp.linalg.svdvals(updates.reshape(18, 4))))
        (3, 3, 2, 4) 1.1 1.0 1.0 0.9
    """
    inner = as_transformation(inner)

    def chosen(params: Params, updates: Updates) -> list[Matrix]:
        found = readings(axes, params, updates, is_whole=False)
        for path, reading in zip(trees.paths(updates), found, strict=True):
            if not isinstance(reading, Matrix):
                raise GradtxValueError(
                    f"the leaf {path!r} is not a matrix by its axes; give it to another transform: "
                    f"partition({{'matrices': ..., 'rest': ...}}, matrix_or_rest(axes))"
                )
        return found

    def init(step: Context, params: Params) -> State:
        found = chosen(params, params)
        if step.notes is not None:
            rows = zip(trees.paths(params), jax.tree.leaves(params), found, strict=True)
            step.notes.update((path, reading.in_words(p.shape, path)) for path, p, reading in rows)
        return {"inner": step._replace(of_matrices=True).init(inner, _views(params, found))}

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        found = chosen(params, updates)
        if params is not None:
            trees.leaves_like(updates, params, "updates", "parameters")
        names = {name: _views(restricted(updates, value), found) for name, value in step.names.items()}
        inside = step._replace(names=names, of_matrices=True)
        viewed = None if params is None else _views(params, found)
        out, new = inside.update(inner, _views(updates, found), inner_in_dict(state), viewed)
        return _joined(updates, out, found), {"inner": new}

    return GradientTransformation._of(Work(init, update, is_cheap=inner._built().work.is_cheap))


def _views(tree: Any, found: list[Matrix]) -> Any:
    rows = zip(trees.paths(tree), jax.tree.leaves(tree), found, strict=True)
    return jax.tree.structure(tree).unflatten([reading.view(x, path) for path, x, reading in rows])


def _joined(updates: Updates, out: Any, found: list[Matrix]) -> Updates:
    parts = trees.subtrees_like(updates, out, "updates", "matrices")
    rows = zip(trees.paths(updates), jax.tree.leaves(updates), parts, found, strict=True)
    return jax.tree.structure(updates).unflatten([reading.joined(part, g, path) for path, g, part, reading in rows])
