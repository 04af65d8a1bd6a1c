"""Series composition."""

from dataclasses import replace

from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.typing import Transform
from gradtx._core.compose import compose
from gradtx._core.facts import of_series
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation


@transformation(role="series")
def chain(*parts: Transform | tuple[str, Transform]):
    r"""Chain: applies transforms in series; the output of each part is the input of the next.

    .. math:: u = part_n(\dots part_2(part_1(g)))

    Associative, with `identity()` as its unit.

    Args:
        *parts: transforms, or `(name, transform)` pairs for all of them; Optax transforms are accepted.

    State: a tuple with the state of each part, or a dict by name. Nothing of its own.

    Raises:
        GradtxTypeError: only some parts are named, or a part is not a transform.
        GradtxValueError: two parts have the same name; what needs the gradient itself is not the first part; there are
            two learning rates, or a weight decay after one; or something follows what keeps parameters, as
            `average_params` does, or changes the step of a projection. What is inside of wrappers counts too.

    Example:
        >>> import jax.numpy as jnp
        >>> tx = chain(clip_by_global_norm(1.0), add_momentum(0.9), scale_by_learning_rate(0.5))
        >>> gradients = {"w": jnp.asarray([3.0, 4.0])}  # of the norm 5
        >>> updates, state = tx.update(gradients, tx.init(gradients))
        >>> print(updates["w"])
        [-0.3 -0.4]
    """
    names, transforms = _named(parts)
    built = [tx._built() for tx in transforms]
    work = compose(built, in_series=True, keys=names)
    return GradientTransformation._of(replace(work, facts=of_series(built)))


def _named(parts: tuple) -> tuple[list[str] | None, list[GradientTransformation]]:
    named = [isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) for part in parts]
    for index, part in enumerate(parts):
        if part is None or (named[index] and part[1] is None):
            got = f"got None as part {index}; for no transform: identity()"
            raise GradtxTypeError(f"expected a transform, something with .init and .update, {got}")
    if not parts or not any(named):
        return None, [as_transformation(part) for part in parts]
    if not all(named):
        raise GradtxTypeError("expected (name, transform) pairs for all parts or for none")
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise GradtxValueError(f"expected different names, got {', '.join(names)}")
    return names, [as_transformation(part) for _, part in parts]
