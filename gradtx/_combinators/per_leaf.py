"""Each parameter by itself: counts, norms and estimates of its own."""

from typing import Any

import jax

from gradtx._base import trees
from gradtx._base.typing import Params, State, Transform, Updates
from gradtx._core.context import Context, Work
from gradtx._core.leafwise import restricted
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation
def per_leaf(inner: Transform):
    r"""Each parameter by itself: applies `inner` to each array as if there were no other.

    .. math:: u^i = inner(g^i) \quad \text{for each array } i

    Counts and bias corrections are then each parameter's own: one that is added or unfrozen after 3,000 steps, and
    loaded with `load_state_dict(..., strict=False)`, makes a first step of Adam of the learning rate. With one count
    for all its moments are corrected as if they were 3,000 steps old, and its first step is three times as large. So
    are norms each array's own, those of `clip_by_global_norm` for instance.

    Paths are unchanged, for masks and groups in `inner` by `by_path` or `where`; trees of labels do not fit. Extra
    arguments are the same for all, and so are the random numbers of transforms with a seed.

    Args:
        inner: a transform.

    State: a tree of the parameters' structure, with a state of `inner` for each array. Nothing of its own.
    """
    inner = as_transformation(inner)

    def init(step: Context, params: Params) -> State:
        states = [step.init(inner, tree) for tree in _each(params)]
        return jax.tree.structure(params).unflatten(states)

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        treedef = jax.tree.structure(updates)
        states = trees.subtrees_like(updates, state, "updates", "state")
        named = {name: _each(restricted(updates, value)) for name, value in step.names.items()}
        own_params = [None] * len(states) if params is None else _each(params)
        outputs, new = [], []
        for index, (tree, own, p) in enumerate(zip(_each(updates), states, own_params, strict=True)):
            names = {name: values[index] for name, values in named.items()}
            out, own = step._replace(names=names).update(inner, tree, own, p)
            outputs += jax.tree.leaves(out)
            new.append(own)
        return treedef.unflatten(outputs), treedef.unflatten(new)

    return GradientTransformation._of(Work(init, update, is_cheap=inner._built().work.is_cheap))


def _each(tree: Any) -> list[Any]:
    """For each leaf a tree without the others, in which it has its path.

    None stands for all others, so that patterns which fit none of these leaves are no mistake. With None for each of
    them the states of n leaves would have n squared nodes, which take time at every call.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        for key in reversed(path):
            leaf = {trees.path_text((key,)): leaf}
        found.append({**leaf, _OTHERS: None} if path else leaf)
    return found


_OTHERS = "(others)"
