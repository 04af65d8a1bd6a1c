"""Meshes with explicit axes, where the type of an array says how it is sharded.

There XLA may not choose how a product of matrices is sharded, and decomposing a sharded matrix raises. So what works
along the axes of arrays is compiled with automatic axes, and updates come out sharded as their parameters, or as they
came in without them; states as they were.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gradtx._base.typing import Params, State, Updates
from gradtx._core.context import Context, Work


def on_any_mesh(work: Work, tx: Any = None, rebuilt: Callable[[Any], Work] | None = None) -> Work:
    """The work, which mixes the axes of arrays, for arrays on any mesh.

    Args:
        work: what is to be done.
        tx: the transform that does it; its hyperparameters may be on the mesh too.
        rebuilt: the work of `tx` with other arrays as hyperparameters.
    """

    def update(step: Context, updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        mesh = _mesh_of((updates, state, params))
        if mesh is None:
            return work.update(step, updates, state, params)
        (numbers, with_numbers), (inside, with_inside) = _split(tx), _split(step)

        def run(numbers: Any, inside: Any, *arguments: Any) -> tuple[Updates, State]:
            now = rebuilt(with_numbers(numbers)) if rebuilt and numbers else work
            return now.update(with_inside(inside), *arguments)

        out = updates if params is None else params
        shardings = jax.tree.map(lambda x: _sharding_on(mesh, x), (out, state))
        automatic: Any = jax.sharding.auto_axes(run, axes=_explicit_axes(mesh), out_sharding=shardings)
        return automatic(numbers, inside, updates, state, params)

    return replace(work, update=update, mixes_axes=False)


def _mesh_of(tree: Any) -> Any:
    """The mesh that any array of the tree is on, if it has explicit axes; else None."""
    for x in jax.tree.leaves(tree):
        if isinstance(x, jax.Array) and _explicit_axes(mesh := jax.typeof(x).sharding.mesh):
            return mesh
    return None


def _explicit_axes(mesh: Any) -> tuple[str, ...]:
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return tuple(name for name, kind in kinds if kind == AxisType.Explicit)


def _sharding_on(mesh: Any, x: Any) -> NamedSharding:
    """How the array is sharded; one that is not on the mesh yet will be whole on each device."""
    sharding = jax.typeof(x).sharding
    return sharding if sharding.mesh.axis_names else NamedSharding(mesh, PartitionSpec())


def _split(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The arrays of a tree, and the function that puts others in their places."""
    leaves, treedef = jax.tree.flatten(tree)
    places = [index for index, x in enumerate(leaves) if isinstance(x, jax.Array)]

    def put(arrays: list[Any]) -> Any:
        found = list(leaves)
        for index, x in zip(places, arrays, strict=True):
            found[index] = x
        return treedef.unflatten(found)

    return [leaves[index] for index in places], put
