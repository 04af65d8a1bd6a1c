"""The base class of `GradientTransformation` for a type checker: that of Optax, where Optax is installed.

Functions of Optax, and Flax's `nnx.Optimizer`, are annotated with Optax's class, while at run time any object with
`init` and `update` works. gradtx does not depend on Optax. A wildcard import from a module that is not installed
binds no name, and the class below is then a plain one. A plain import would make it `Any`, and a type checker would
accept every attribute of a transform. mypy takes the plain class in any case, because Optax is untyped for it.
"""

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    GradientTransformationExtraArgs = object
    from optax import *  # noqa: F403  # pyright: ignore[reportMissingImports, reportWildcardImportFromLibrary]

    class OptaxClass(GradientTransformationExtraArgs):
        # In place of the members of a NamedTuple, which the subclass has otherwise.
        init: Any  # pyright: ignore[reportIncompatibleVariableOverride]
        update: Any
        _make: Any

        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
else:
    OptaxClass = object
