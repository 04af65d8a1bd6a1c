"""Transforms around other transforms, with a state of their own."""

from collections.abc import Callable, Sequence

import jax

from gradtx._base.typing import Params, State, Updates
from gradtx._core.branch import like
from gradtx._core.context import Context, Work, kept
from gradtx._core.parts import Part, share


class Combinator(Work):
    """The work of a transform around others, which it calls through the context.

    Where a step does not count, the states of the inner transforms stay as they are because those see it in their
    context; what else is in the state is kept here.
    """

    def __init__(
        self,
        init: Callable[[Context, Params], State],
        update: Callable[[Context, Updates, State, Params], tuple[Updates, State]],
        is_cheap: bool = False,
        parts: Sequence[Part] = (),
    ):
        self._init, self._update, self.is_cheap, self._parts = init, update, is_cheap, parts

    def with_parts(self, parts: Sequence[Part]) -> "Combinator":
        """The same, knowing which transforms are inside, and so where their states lie."""
        return type(self)(self._init, self._update, self.is_cheap, parts)

    def init(self, step: Context, params: Params) -> State:
        return self._init(step, params)

    def update(self, step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if step.active is None:
            return self._update(step, updates, state, params)
        if not self._parts:  # nobody knows whose arrays the state has: the general answer
            out, new = self._update(step._replace(active=None), updates, state, params)
            return out, kept(step.active, jax.tree.map(like, new, state), state)
        out, new = self._update(step, updates, state, params)
        leaves, treedef = jax.tree.flatten(new)
        numbered = treedef.unflatten(range(len(leaves)))
        inside = {i for at, part in enumerate(self._parts) for i in jax.tree.leaves(share(part, at, numbered))}
        pairs = zip(leaves, jax.tree.leaves(state), strict=True)
        own = [x if i in inside else kept(step.active, x, y) for i, (x, y) in enumerate(pairs)]
        return out, treedef.unflatten(own)
