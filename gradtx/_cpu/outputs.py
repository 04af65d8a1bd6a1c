"""Which outputs of the work on one array are computed together.

XLA's CPU backend makes one loop of each array that it writes. Where two of them need the same quotient or root, it
computes that once, in a third loop, and writes it to a temporary buffer. These loops wait for memory, and computing it
twice is free. So the work is traced more than once, on copies of the inputs that the compiler does not know to be the
same (CSE would merge the copies again).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax

from gradtx._base.numerics import any_traced
from gradtx._base.trees import is_slot
from gradtx._base.typing import Array
from gradtx._base.varying import all_axes
from gradtx._cpu import single_pass


class AlreadyStored(NamedTuple):
    """In place of a slot that is computed already: only the update is left to compute.

    Attributes:
        old: the slot before this step.
        new: the slot after it, as it is stored.
    """

    old: Array
    new: Array


def by_platform(
    tree: Any, cpu: Callable[[Any], Any], default: Callable[[Any], Any], **others: Callable[[Any], Any]
) -> Any:
    """`cpu(tree)` on a CPU, the function of its name on another platform, and `default(tree)` on all the rest.

    What is traced is decided when it is compiled.
    """
    if any_traced(tree):
        if single_pass.is_on():  # then the process computes on a CPU, and a choice would keep copies from being joined
            return cpu(tree)
        if all_axes(tree):  # JAX 0.10 cannot batch a choice of platforms within shard_map
            return default(tree)
        return lax.platform_dependent(tree, cpu=cpu, **others, default=default)
    device = next(iter(jax.numpy.asarray(jax.tree.leaves(tree)[0]).devices()))
    return {"cpu": cpu, **others}.get(device.platform, default)(tree)


def isolated(tree: Any) -> Any:
    """The arrays, such that on a CPU nothing that is computed from them is merged with what else is (CSE).

    Elsewhere, and outside a trace, they are what they are: on accelerators a barrier would prevent fusion too.
    """
    if not any_traced(tree):
        return tree
    return lax.platform_dependent(tree, cpu=lax.optimization_barrier, default=lambda tree: tree)


def by_output(work: Callable[..., tuple[Array, Any]], slots: int) -> Callable[..., tuple[Array, Any]]:
    """The work on one array, `(step, g, slots, p) -> (u, slots)`, as it is compiled best.

    Args:
        work: the work.
        slots: how many arrays of state there are.
    """
    if not slots:
        return work
    return _each_output_alone(work) if single_pass.is_on() else _update_from_what_is_stored(work)


def _update_from_what_is_stored(work: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Array, Any]]:
    """`work`, whose update is computed in a second pass, from the slots as the first has stored them.

    Gain: RMSProp with Nesterov momentum moves 48 bytes per parameter instead of 52, and allocates no temporary buffer
    of the parameter's size; so do Adadelta, schedule-free and `lookahead`. It takes 0.57 of the time on one array
    (jaxlib 0.10.2, two cores, `python -m benchmarks.cpu`). Test: test_cpu.py.
    """

    def run(step: Any, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        _, new = work(step, g, slots, p)
        g, names, stored, p = isolated((g, step.names, new, p))
        u, _ = work(step._replace(names=names), g, jax.tree.map(AlreadyStored, slots, stored, is_leaf=is_slot), p)
        return u, new

    return run


def _each_output_alone(work: Callable[..., tuple[Array, Any]]) -> Callable[..., tuple[Array, Any]]:
    """`work`, in which each slot and the update are computed from copies of the input that are their own.

    For `single_pass_cpu`: the option fuses loops that read the same arrays, and not those of which one reads what
    another writes. It fuses no arrays of different precisions, so where a slot is narrower than the update the plain
    work stays.
    """

    def run(step: Any, g: Array, slots: Any, p: Array | None) -> tuple[Array, Any]:
        olds, treedef = jax.tree.flatten(slots)
        if any(old.dtype.itemsize != g.dtype.itemsize for old in olds):
            return work(step, g, slots, p)
        inputs: Any = (g, step.names, slots, p)
        outputs = []
        for index in range(len(olds)):
            new = jax.tree.leaves(_run(work, step, inputs)[1])[index]
            # What is passed on as it is would be copied in a loop of its own.
            passed_on = any(new is x for x in jax.tree.leaves(inputs))
            outputs.append(new * isolated(jax.numpy.ones((), new.dtype)) if passed_on else new)
            inputs = isolated(inputs)
        return _run(work, step, inputs)[0], treedef.unflatten(outputs)

    return run


def _run(work: Callable[..., tuple[Array, Any]], step: Any, inputs: Any) -> tuple[Array, Any]:
    g, names, slots, p = inputs
    return work(step._replace(names=names), g, slots, p)
