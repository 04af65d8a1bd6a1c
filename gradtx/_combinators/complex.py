"""Complex parameters as pairs of real arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base import trees
from gradtx._base.errors import check_state
from gradtx._base.numerics import align
from gradtx._base.states import state_class
from gradtx._base.typing import Params, Transform, Updates
from gradtx._core.averages import merged_averages
from gradtx._core.context import Context, Work
from gradtx._core.leafwise import restricted
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@state_class
class Split(NamedTuple):
    """The state of `split_complex`.

    Attributes:
        inner: the state of the inner transform, for real parameters.
    """

    inner: Any

    def eval_params(self, params: Params) -> Params:
        halves, treedef = jax.tree.flatten(_split(params))
        found = merged_averages(self.inner, _split(params))
        kept = treedef.unflatten([x if average is None else average for x, average in zip(halves, found, strict=True)])
        own = treedef.unflatten([average is not None for average in found])
        joined = _joined(params, kept)
        return jax.tree.map(lambda p, x, any_own: x if any(jax.tree.leaves(any_own)) else None, params, joined, own)


@transformation(role="wrapper")
def split_complex(inner: Transform):
    r"""Complex splitting: passes real and imaginary part of each complex leaf to the inner transform as real leaves.

    .. math:: u = inner(\operatorname{Re} g) + i \, inner(\operatorname{Im} g)

    Without it second moments are of :math:`|g|^2`, one for both parts; with it each part has its own. In the inner
    transform the leaf `w` is a dict with the leaves `w/real` and `w/imag`; real leaves are unchanged. As everywhere in
    gradtx, the gradient of a complex parameter is the conjugate of that of `jax.grad`.

    Args:
        inner: a transform of real leaves.

    State: `Split(inner)`, for real leaves. Nothing of its own.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> Split:
        return Split(step.init(inner, _split(params)))

    def update(step: Context, updates: Updates, state: Split, params: Params) -> tuple[Updates, Split]:
        check_state(Split, state)
        # Values named by `let` are split in the same way as the updates.
        names = {name: _split(restricted(updates, value)) for name, value in step.names.items()}
        halves, new = step._replace(names=names).update(inner, _split(updates), state.inner, _split(params))
        return _joined(updates, halves), Split(new)

    return GradientTransformation._of(Work(init, update, is_cheap=inner._built().work.is_cheap))


def _split(whole: Any) -> Any:
    return jax.tree.map(lambda x: {"real": x.real, "imag": x.imag} if jnp.iscomplexobj(x) else x, whole)


def _joined(whole: Any, halves: Any) -> Any:
    """`halves` with real and imaginary part joined where `whole` has a complex leaf."""

    def join(x: Any, part: Any) -> Any:
        return jax.lax.complex(*align(part["real"], part["imag"])) if jnp.iscomplexobj(x) else part

    parts = trees.subtrees_like(whole, halves, "updates", "halves")
    return jax.tree.structure(whole).unflatten(list(map(join, jax.tree.leaves(whole), parts)))
