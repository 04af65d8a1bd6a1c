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
    state, leaves = init(params), jax.tree.leaves(params)
    if any_traced((params, state)) or not any(isinstance(_sharding(p), NamedSharding) for p in leaves):
        return state
    mesh: Any = next(_sharding(p).mesh for p in leaves if isinstance(_sharding(p), NamedSharding))
    explicit = AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=(AxisType.Explicit,) * len(mesh.axis_names))

    def form(p: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=NamedSharding(explicit, PartitionSpec(*_names(p))))

    first = _names(leaves[0])[axis:][:layers]

    def place(x: Array, form: Any) -> Array:
        names = _names(form)
        free = [name if name not in names else None for name in first]
        names[:layers] = [own or other for own, other in zip(names, free, strict=False)]
        return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*names)))

    with jax.sharding.use_abstract_mesh(explicit):
        forms = jax.eval_shape(init, jax.tree.map(form, params))
    return jax.tree.map(place, state, forms)


def _sharding(x: Any) -> Any:
    return getattr(x, "sharding", None)


def _names(x: Any) -> list[Any]:
    """The mesh axes of each axis of an array."""
    sharding = _sharding(x)
    names = list(sharding.spec) if isinstance(sharding, NamedSharding) else []
    return names + [None] * (x.ndim - len(names))
