"""Labels: which leaves of the parameters belong to which group.

Given as a tree or prefix tree of labels, or as a function of the parameters that returns one. Functions see the
parameters' structure, paths, shapes and dtypes, never their values, so the labels are the same in `init` and `update`.
"""

import functools
import re
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.checks import arguments_needed, function_of
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing, short
from gradtx._base.numerics import is_float0, is_traced
from gradtx._base.typing import Params, Updates
from gradtx._values.factory import P, make_factory
from gradtx._values.value import Value


class Labels(Value, data=False):
    """A function from parameters to a tree of labels, as a value. Made by `by_path` and `where`."""

    __slots__ = ()

    def __call__(self, params: Params, is_whole: bool = True) -> Any:
        """The labels of all parameters, or of some if they are not the whole: then not every pattern has to apply."""
        return self._spec.call(self._spec.body, self._arguments)(params, is_whole)


def _labels(body: Callable[P, Any]) -> Callable[P, Labels]:
    return make_factory(body, Labels)


@_labels
def by_path(patterns: dict[str, Any], *, allow_unused: bool = False):
    """Labels by path: `by_path({"**/bias": "plain", "**": "decayed"})`.

    A path is `encoder/0/kernel`: keys, indices and attribute names from the root to the leaf. In a pattern `*` matches
    any part of one name, and `**` any number of names, including none.

    Args:
        patterns: label by pattern; the first pattern that matches a path applies.
        allow_unused: whether patterns other than `"**"` may apply to no path at all. Inside a partition, unused
            patterns are always allowed.

    Raises:
        GradtxValueError: no pattern matches a path, or a pattern applies to none.

    Example:
        >>> import jax.numpy as jnp
        >>> labels = by_path({"**/bias": "plain", "head/*": "head", "**": "decayed"})
        >>> w = jnp.zeros(2)
        >>> print(labels({"dense": {"kernel": w, "bias": w}, "head": {"kernel": w}}))
        {'dense': {'bias': 'plain', 'kernel': 'decayed'}, 'head': {'kernel': 'head'}}
    """
    if not isinstance(patterns, dict):
        raise GradtxTypeError(f"by_path: expected a dict from patterns to labels, got {patterns!r}")
    order = list(patterns)
    if "**" in order[:-1]:
        raise GradtxValueError(
            f'by_path: "**" matches every path, so {order[-1]!r} after it never applies; put "**" last'
        )

    unused = [] if allow_unused else [pattern for pattern in order if pattern != "**"]

    def label(path: str, _: Any) -> Hashable:
        for pattern, name in patterns.items():
            if _matches(pattern.split("/"), path.split("/")):
                if pattern in unused:
                    unused.remove(pattern)
                return name
        raise GradtxValueError(
            f"by_path: no pattern matches {path!r}; the patterns are {listing(map(repr, patterns))}; "
            f'add "**" at the end for the rest{_no_regular_expressions(patterns)}'
        )

    def labels(params: Params, is_whole: bool) -> Any:
        found, paths = trees.map_with_path(label, params), trees.paths(params)
        if is_whole and unused and paths and not is_part(params):
            raise GradtxValueError(
                f"by_path: no path is labelled by the patterns {listing(map(repr, unused))}; paths: {listing(paths)}; "
                f"`**/` in front of a pattern matches at any depth; allow_unused=True allows it"
            )
        return found

    return labels


def _no_regular_expressions(patterns: Any) -> str:
    looks = [pattern for pattern in patterns if isinstance(pattern, str) and re.search(r"\.\*|[\^$\\(|]|\.\+", pattern)]
    return f"; patterns are not regular expressions: write '**/bias' for {looks[0]!r}" if looks else ""


def is_part(params: Params) -> bool:
    """Whether leaves have been left out, as those of other groups of a partition."""
    return any(leaf is None for leaf in jax.tree.leaves(params, is_leaf=lambda x: x is None))


@_labels
def where(predicate: Callable[[str, Any], bool]):
    """A mask by a predicate on each leaf: `where(lambda path, p: p.ndim > 1)`.

    Args:
        predicate: a function of two arguments, the leaf's path (`encoder/0/kernel`) and the leaf with its shape and
            dtype, that returns whether the leaf is selected. There is a `UserWarning` if it selects none of several.

    Example:
        >>> import jax.numpy as jnp
        >>> mask = where(lambda path, p: p.ndim > 1 and "embedding" not in path)
        >>> print(mask({"embedding": jnp.zeros((5, 2)), "kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}))
        {'bias': False, 'embedding': False, 'kernel': True}
    """
    function_of("predicate", predicate, "path", "leaf")

    def label(path: str, p: Any) -> Any:
        keep = predicate(path, p)
        if keep is None:
            raise GradtxValueError(f"where: expected True or False for {path!r}, got None; is `return` missing?")
        return keep

    def labels(params: Params, is_whole: bool) -> Any:
        found, paths = trees.map_with_path(label, params), trees.paths(params)
        selects_none = all(isinstance(keep, (bool, np.bool_)) and not keep for keep in jax.tree.leaves(found))
        if selects_none and len(paths) > 1 and is_whole and not is_part(params):
            warnings.warn(f"where: no leaf is selected; paths: {listing(paths)}", UserWarning, stacklevel=2)
        return found

    return labels


def resolve(labels: Any, params: Params, updates: Updates, is_whole: bool = True, what: str = "labels") -> list[Any]:
    """The label of each leaf of `updates`.

    Args:
        labels: a tree, a prefix tree, or a function of the parameters.
        params: the parameters, or None.
        updates: a tree with the structure and shapes of the parameters, used in their place if they are None.
        is_whole: whether these are all parameters, and not those of a group.
        what: what the labels are, in messages.
    """
    if not jax.tree.leaves(updates):
        return []  # there is nothing to label, as where somebody asks by an empty node in place of the parameters
    if isinstance(labels, Labels) and not is_whole:
        labels = functools.partial(labels, is_whole=False)
    if not _is_function(labels):
        answer = labels
    elif params is not None:
        answer = _ask(labels, params, what)
    else:
        # Updates share the parameters' paths and shapes, but not their dtypes: the labels must not depend on those.
        answer, other = (_ask(labels, updates, what, dtype) for dtype in (jnp.float32, jnp.bfloat16))
        if jax.tree.leaves(answer) != jax.tree.leaves(other):
            raise GradtxValueError("the labels depend on the parameters' dtypes; call tx.update(grads, state, params)")
    return _broadcast(answer, updates, what)


def resolve_mask(mask: Any, params: Params, updates: Updates) -> list[bool]:
    """`resolve` for labels that must be booleans."""
    chosen = resolve(mask, params, updates, what="mask")
    for index, keep in enumerate(chosen):
        if not isinstance(keep, (bool, np.bool_)):
            path = trees.paths(updates)[index]
            raise GradtxValueError(f"expected a mask of booleans, got {short(keep)} at {path!r}; one for each leaf")
    return [bool(keep) for keep in chosen]


def _is_function(labels: Any) -> bool:
    # Some pytrees are callable, modules for instance: those are trees.
    is_tree = jax.tree.structure(labels) != jax.tree.structure(0) and not isinstance(labels, functools.partial)
    return callable(labels) and not is_tree


def _ask(labels: Callable[[Params], Any], params: Params, what: str, dtype: Any = None) -> Any:
    """The labels that the function returns for abstract parameters, all of them of `dtype` if that is given."""
    answers = []

    def probe(abstract: Params) -> tuple[()]:
        answers.append(labels(abstract))
        return ()

    if spec := getattr(labels, "spec", None):
        raise GradtxTypeError(f"expected labels or a mask, got a factory; call it: {spec.usage}")
    if arguments_needed(labels) == 2:
        remedy = "gradtx.where(function)"
        if what == "axes":
            remedy = "gradtx.tree.map_with_path, or names: by_path({'**/kernel': matrix(), '**': 'rest'})"
        raise GradtxTypeError(
            f"a function for {what} gets the whole tree of parameters, and {short(labels)} takes two arguments; for a "
            f"function of each leaf's path and the leaf: {remedy}"
        )
    try:
        jax.eval_shape(probe, jax.tree.map(lambda p: _abstract(p, dtype), params))
    except jax.errors.ConcretizationTypeError as error:
        raise GradtxValueError(
            f"labels and masks can depend on the paths, shapes and dtypes of the parameters, but {labels!r} reads "
            f"their values"
        ) from error
    except AttributeError as error:
        if isinstance(params, jax.Array) or error.name not in _OF_ARRAYS:
            raise
        raise GradtxTypeError(
            f"{what}: the function gets the whole tree of parameters, a {type(params).__name__} without "
            f"{error.name!r}; for a condition on each leaf: gradtx.where(lambda path, p: p.ndim > 1)"
        ) from None
    if any(map(is_traced, jax.tree.leaves(answers[0]))):
        raise GradtxValueError(
            f"expected Python values as labels, got traced arrays from {labels!r}; use shapes, dtypes and paths, "
            f"without jax.numpy"
        )
    return answers[0]


_OF_ARRAYS = {"ndim", "shape", "dtype", "size", "T", "at"}
"""What somebody asks of a leaf."""


def _abstract(x: Any, dtype: Any) -> Any:
    dtype = dtype or (jnp.int32 if is_float0(x) else jnp.result_type(x))
    return jax.ShapeDtypeStruct(jnp.shape(x), dtype)


_GIVE = {
    "labels": "a label for each leaf or subtree, in the containers of the parameters",
    "mask": "True or False for each leaf or subtree, in the containers of the parameters, or by_path({pattern: ...})",
    "axes": "one matrix(...) for all, or one or 'rest' for each leaf or subtree, in the containers of the parameters",
}


def _broadcast(labels: Any, full: Any, what: str) -> list[Any]:
    try:
        return jax.tree.leaves(jax.tree.broadcast(labels, full))
    except (ValueError, TypeError, KeyError):
        ours, theirs = trees.paths(labels), trees.paths(full)
        same = ours == theirs or (type(labels) is not type(full) and not isinstance(labels, (str, int)))
        kinds = f"{type(labels).__name__} and {type(full).__name__}"
        why = f"; the containers are of different types, {kinds}" if same else ""
        if missing := [path for path in theirs if not any(f"{path}/".startswith(f"{own}/") for own in ours)]:
            why = f"; there are none for {listing(missing)}"
        raise GradtxValueError(
            f"{what}: expected {_GIVE[what]}; got {what} at {listing(ours)} for parameters at {listing(theirs)}{why}"
        ) from None


def _matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(pattern[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and _matches_word(pattern[0], path[0]) and _matches(pattern[1:], path[1:])


def _matches_word(pattern: str, word: str) -> bool:
    """Whether a pattern in which `*` is any text matches a word; all else in it is meant literally."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), word, re.DOTALL) is not None
