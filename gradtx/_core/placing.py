"""Where the arrays of a state lie on a mesh with automatic axes.

There the program does not know how its arrays are sharded, and XLA chooses. But a state has to be sharded after a step
as `init` sharded it: otherwise the step compiles again, and one that was compiled ahead of time refuses the state.

    what has the axes of a parameter is split as these are: so does XLA by itself
    what has other axes, such as a factor of side times side, is whole on each device   `on_each_device`
    `vmap` forgets how its arguments are split, so that `init` has to say it            `placed`
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from gradtx._base.numerics import any_traced
from gradtx._base.typing import Array, Params, State


def on_each_device(x: Array) -> Array:
    """The matrix, whole on each device of a mesh with automatic axes; the layers of a batch may be split.

    XLA would split a product along an axis of the parameter that it is made of.
    """
    mesh = jax.typeof(x).sharding.mesh
    if AxisType.Auto not in mesh.axis_types or mesh.size == 1:
        return x
    if any_traced(x):
        layers = (PartitionSpec.UNCONSTRAINED,) * (x.ndim - 2)
        return lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*layers, None, None)))
    own: Any = x.sharding
    return jax.device_put(x, NamedSharding(own.mesh, PartitionSpec(*own.spec[: x.ndim - 2])))


def placed(init: Callable[[Params], State], params: Params, layers: int, axis: int = 0) -> State:
    """`init(params)` for a function mapped by `vmap`, sharded as on a mesh with explicit axes, where types say how.

    Args:
        init: parameters to a state, each array of which begins with the axes of the layers.
        params: the parameters.
        layers: how many axes these are.
        axis: where they begin in the parameters.
    """
    state, (leaves, treedef) = init(params), jax.tree.flatten(params)
    mesh: Any = next(filter(None, map(_mesh_of, leaves)), None)
    if not layers or mesh is None or any_traced((params, state)):
        return state
    explicit = AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=(AxisType.Explicit,) * len(mesh.axis_names))

    def form_of(p: Any) -> jax.ShapeDtypeStruct:
        names = _names(p)
        for index in range(layers):  # they need not be split alike
            names[axis + index] = None
        return jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=NamedSharding(explicit, PartitionSpec(*names)))

    def place(p: Any, slots: Any, forms: Any) -> Any:
        own = _names(p)[axis:][:layers]

        def one(x: Array, form: Any) -> Array:
            rest = _names(form)[layers:]
            names = [None if name in rest else name for name in own]
            return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*names, *rest)))

        return jax.tree.map(one, slots, forms)

    def is_slot(node: Any) -> bool:
        try:
            return bool(treedef.flatten_up_to(node))
        except ValueError:
            return False

    def each(slots: Any, forms: Any) -> Any:
        if not is_slot(slots):
            return place(leaves[0], slots, forms)
        rows = zip(leaves, treedef.flatten_up_to(slots), treedef.flatten_up_to(forms), strict=True)
        return treedef.unflatten([place(*row) for row in rows])

    try:
        with jax.sharding.use_abstract_mesh(explicit):
            forms = jax.eval_shape(init, jax.tree.map(form_of, params))
    except Exception:  # what an author has written may work on a mesh with automatic axes alone
        return state
    return jax.tree.map(each, state, forms, is_leaf=is_slot)


def _mesh_of(x: Any) -> Any:
    sharding = getattr(x, "sharding", None)
    return sharding.mesh if isinstance(sharding, NamedSharding) else None


def _names(x: Any) -> list[Any]:
    """The mesh axes of each axis of an array."""
    names = list(x.sharding.spec) if _mesh_of(x) else []
    return names + [None] * (x.ndim - len(names))
