"""The constructor for transforms of matrices: authors write for one matrix."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.checks import function_of
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.numerics import strong, widened
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Params, State, Updates
from gradtx._core.context import Context, Work
from gradtx._core.placing import placed
from gradtx._core.protocol import GradientTransformation
from gradtx._linalg.batches import over_batch
from gradtx._values.matrices import not_read


@explains_calls("matrixwise")
def matrixwise(
    step: Callable[..., Any], init: Callable[[Array], Any] | None = None, in_turn: bool = False
) -> GradientTransformation:
    r"""A transform of matrices.

    .. math:: u_t = step(g_t), \quad \text{or} \quad (u_t, s_t) = step(g_t, s_{t-1}) \text{ with } init

    Each function gets one matrix, with the inputs along the first axis and the outputs along the second, in at least 32
    bits. Arrays of two axes are matrices; others are read as `as_matrices` says, and are an error without it.

    Args:
        step: the matrix to the update; with `init`, matrix and state to the update and the new state.
        init: the parameter, as a matrix, to the state before the first update: a pytree of arrays.
        in_turn: whether the matrices of a batch are worked on one after the other on a CPU, where batched products are
            slow; elsewhere, and without it, all at once.

    State: for each array what `init` returns for one matrix, with the axes of the batch in front.

    Raises:
        GradtxValueError: an array has fewer than two axes, or more and no `as_matrices` says which is which.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = matrixwise(lambda g: g / jnp.linalg.norm(g, axis=0, keepdims=True))  # each output's inputs
        >>> gradient = jnp.asarray([[3.0, 0.0], [4.0, 2.0]])
        >>> print(tx.update(gradient, tx.init(gradient))[0])
        [[0.6 0. ]
         [0.8 1. ]]
    """
    function_of("step", step, *(["matrix"] if init is None else ["matrix", "state"]))
    if init is not None:
        function_of("init", init, "parameter")

    def init_tree(context: Context, params: Params) -> State:
        leaves, treedef = trees.floating_leaves(params, "parameters"), jax.tree.structure(params)
        check_matrices(context, params, leaves)
        if init is None:
            return ()
        run = _all_at_once(_sharded_like_input(init))
        return treedef.unflatten([_strongly(placed(run, widened(p), p.ndim - 2)) for p in leaves])

    def update_tree(context: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        leaves, treedef = trees.floating_leaves(updates), jax.tree.structure(updates)
        check_matrices(context, updates, leaves)
        old = [()] * len(leaves) if init is None else trees.subtrees_like(updates, state, "updates", "state")

        def one(g: Array, stored: Any) -> tuple[Array, Any]:
            g = context.safe(widened(g))
            if g.size == 0:
                return g, stored
            over = over_batch if in_turn else _all_at_once
            if init is None:
                return _same_shape(over(step)(g), g), stored
            u, new = over(_pair_of(step))(g, stored)
            new = jax.tree.map(lambda x, y: strong(x, y.dtype), new, stored)
            return _same_shape(u, g), context.keep(new, stored)

        pairs = for_each(one, list(zip(leaves, old, strict=True)))
        outputs = treedef.unflatten([u for u, _ in pairs])
        return outputs, () if init is None else treedef.unflatten([new for _, new in pairs])

    return GradientTransformation._of(Work(init_tree, update_tree, is_cheap=not in_turn, mixes_axes=True))


def _all_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of matrices, on each of a batch."""

    def run(g: Array, *rest: Any) -> Any:
        mapped = function
        for _ in range(g.ndim - 2):
            mapped = jax.vmap(mapped)
        return mapped(g, *rest)

    return run


def _sharded_like_input(init: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """`init`, its outputs made to depend on the parameter, so that constants are sharded as it is."""

    def run(p: Array) -> Any:
        zero = jnp.sum(jnp.zeros_like(p, p.real.dtype))
        return jax.tree.map(
            lambda x: x + zero.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.number) else x,
            jax.tree.map(jnp.asarray, init(p)),
        )

    return run


def _pair_of(step: Callable[..., Any]) -> Callable[..., Any]:
    def checked(g: Array, state: Any) -> Any:
        result = step(g, state)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise GradtxTypeError(f"step: expected (update, state), got {short(result)}")
        return result

    return checked


def _same_shape(u: Any, g: Array) -> Any:
    if not isinstance(u, (jax.Array, np.ndarray)):
        raise GradtxTypeError(f"matrixwise: step: expected one matrix of the shape {g.shape}, got {short(u)}")
    if jnp.shape(u) != g.shape:
        raise GradtxValueError(f"matrixwise: step must keep the shape {g.shape}, got {jnp.shape(u)}")
    return u


def _strongly(state: Any) -> Any:
    return jax.tree.map(lambda x: strong(jnp.asarray(x)), state)


def check_matrices(context: Context, tree: Any, leaves: list[Array]) -> None:
    """Raises if an array is not a matrix."""
    for index, x in enumerate(leaves):
        if x.ndim == 2 or (x.ndim > 2 and context.of_matrices) or x.size == 0:
            continue
        path = trees.paths(tree)[index]
        if x.ndim > 2:
            raise GradtxValueError(f"{not_read(path, x.shape)}; `as_matrices(tx, axes)` takes these axes")
        raise GradtxValueError(
            f"the leaf {path!r} of the shape {x.shape} is not a matrix; give it to another transform, as `partition` "
            f"and `masked` do, and the named optimizers with axes=by_path({{{path!r}: 'rest', ...}})"
        )
