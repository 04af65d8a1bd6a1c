"""Parallel composition: the same input to each branch, the outputs combined array by array."""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gradtx._base.checks import function_of
from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import align, divide_by_sum, ordered, root_of_sum, times, weighted_mean
from gradtx._base.sharing import for_each
from gradtx._base.typing import Array, Transform, Updates
from gradtx._core.compose import compose
from gradtx._core.constructors import with_facts
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx._values.schedule import NonNegative, Scalar


@transformation(role="side by side")
def parallel(combine: Callable[..., Array], *branches: Transform):
    r"""Parallel: applies each branch to the same updates, and combines the outputs.

    .. math:: u = combine(branch_1(g), \dots, branch_n(g))

    Args:
        combine: an elementwise function of one array per branch, such as `jnp.subtract`.
        *branches: transforms, at least one.

    State: a tuple with the state of each branch. Nothing of its own.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = parallel(lambda g, m: 0.5 * g + 0.5 * m, identity(), add_momentum(0.9))
        >>> u, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        >>> print(u, tx.update(jnp.ones(2), state)[0])
        [1. 1.] [1.45 1.45]
    """
    if not callable(combine) or is_transform(combine):
        raise GradtxTypeError(f"combine: expected a function of one array per branch, got {short(combine)}")
    function_of("combine", combine, *(f"branch_{index + 1}" for index in range(len(branches))))
    return with_facts(_joined(combine, branches), keeps_sign=False)


@transformation(role="side by side")
def ratio(numerator: Transform, denominator: Transform, eps: NonNegative = 0.0, eps_root: NonNegative = 0.0):
    r"""Ratio: divides the output of one branch by that of another.

    .. math:: u = \frac{n}{\sqrt{d^2 + eps\_root} + eps}

    where n and d are the outputs of the branches. Where the denominator is 0 the quotient is 0, with finite
    derivatives: 0/0 is 0.

    Args:
        numerator: a transform.
        denominator: a transform with nonnegative output, such as one that ends in `sqrt()` or `absolute()`.
        eps: added to the denominator, outside the root.
        eps_root: added to the squared denominator, inside the root, where the denominator ends in `sqrt()`.

    State: a tuple with the states of numerator and denominator. Nothing of its own.
    """
    joined = _joined(lambda n, d: divide_by_sum(n, root_of_sum(d, eps_root), eps), (numerator, denominator))
    facts = as_transformation(numerator)._built().work.facts
    return with_facts(joined, keeps_sign=bool(facts.keeps_sign), descends=facts.descends)


@transformation(role="side by side")
def difference(minuend: Transform, subtrahend: Transform):
    """Difference: subtracts the output of one branch from that of another.

    .. math:: u = a(g) - b(g)

    Args:
        minuend: the transform a.
        subtrahend: the transform b.

    State: a tuple with the states of the two. Nothing of its own.
    """
    return with_facts(_joined(operator.sub, (minuend, subtrahend)), keeps_sign=False)


@transformation(role="side by side")
def interpolate(first: Transform, second: Transform, weight: Scalar):
    r"""Interpolation: takes the weighted mean of the outputs of two branches, where `weight` is that of the first.

    .. math:: u = weight \cdot a(g) + (1 - weight) b(g)

    Args:
        first: the transform a.
        second: the transform b.
        weight: the weight of the first.

    State: a tuple with the states of the two. Nothing of its own.
    """
    is_mean = isinstance(weight, float) and 0 <= weight <= 1
    return with_facts(_joined(weighted_mean(weight), (first, second)), keeps_sign=None if is_mean else False)


@transformation(role="side by side")
def add(*branches: Transform):
    r"""Sum: adds the outputs of branches.

    .. math:: u = branch_1(g) + \dots + branch_n(g)

    Args:
        *branches: transforms, at least one.

    State: a tuple with the state of each branch. Nothing of its own.
    """
    return _joined(lambda *outputs: functools.reduce(operator.add, outputs), branches)


@transformation(role="side by side")
def product(*branches: Transform):
    r"""Product: multiplies the outputs of branches elementwise.

    .. math:: u = branch_1(g) \cdots branch_n(g)

    Args:
        *branches: transforms, at least one.

    State: a tuple with the state of each branch. Nothing of its own.
    """
    return with_facts(_joined(lambda *outputs: functools.reduce(times, outputs), branches), keeps_sign=False)


@transformation(role="side by side")
def maximum(*branches: Transform):
    r"""Maximum: takes the elementwise maximum of the outputs of branches; for real updates.

    .. math:: u = \max(branch_1(g), \dots, branch_n(g))

    Args:
        *branches: transforms, at least one.

    State: a tuple with the state of each branch. Nothing of its own.

    Raises:
        GradtxTypeError: an update is complex; complex numbers have no order.
    """
    return _joined(lambda *outputs: functools.reduce(jnp.maximum, map(ordered, outputs)), branches)


@transformation(role="side by side")
def mean(*branches: Transform):
    r"""Mean: averages the outputs of branches.

    .. math:: u = \tfrac{1}{n} (branch_1(g) + \dots + branch_n(g))

    Args:
        *branches: transforms, at least one.

    State: a tuple with the state of each branch. Nothing of its own.
    """
    return _joined(lambda *outputs: functools.reduce(operator.add, outputs) * (1 / len(outputs)), branches)


def _joined(combine: Callable[..., Array], branches: tuple) -> GradientTransformation:
    if not branches:
        raise GradtxTypeError("expected at least one branch")
    built = [as_transformation(branch)._built() for branch in branches]

    def join(*outputs: Array) -> Array:
        return combine(*align(*outputs))

    def join_trees(*outputs: Updates) -> Updates:
        treedef = jax.tree.structure(outputs[0])
        columns = [map(jnp.asarray, treedef.flatten_up_to(output)) for output in outputs]
        return treedef.unflatten(for_each(join, list(zip(*columns, strict=True))))

    return GradientTransformation._of(compose(built, join=join, join_trees=join_trees))
