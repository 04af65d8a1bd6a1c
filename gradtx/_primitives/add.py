"""Additions to the update."""

from typing import Any

import jax

from gradtx._constructors import elementwise, treewise
from gradtx._core import transformation
from gradtx._labels import resolve_mask
from gradtx._schedule import NonNegative


@transformation
def add_decayed_weights(weight_decay: NonNegative, mask: Any = None):
    r"""Weight decay: adds a multiple of the parameter, before the learning rate where it is decoupled (AdamW).

    .. math:: u = g + weight\_decay \cdot p

    Args:
        weight_decay: the multiple, not negative.
        mask: which parameters decay, all by default: a tree or prefix tree of booleans, or a function of the
            parameters that returns one (`where(lambda path, p: p.ndim > 1)`).

    State: none. Needs the parameters.

    Raises:
        GradtxValueError: the parameters were not given, or the mask does not fit them.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    decayed = elementwise(lambda g, p: g + weight_decay * p, needs_params=True)
    if mask is None:
        return decayed

    def update(updates, state, params):
        new, _ = decayed.update(updates, (), params)
        chosen = resolve_mask(mask, params, updates)
        leaves = zip(chosen, jax.tree.leaves(new), jax.tree.leaves(updates), strict=True)
        return jax.tree.structure(updates).unflatten([u if keep else g for keep, u, g in leaves]), state

    return treewise(update, needs_params=True)
