"""A case: a transform and its known properties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradtx._base.checks import arguments_needed
from gradtx._base.errors import GradtxTypeError, GradtxValueError, short
from gradtx._base.typing import Number, Params
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._values.registry import Spec
from gradtx._values.value import Value
from gradtx.problems import losses

_PROBLEMS = [name for name in losses.__all__ if name.islower()]


@dataclass(frozen=True)
class Case:
    """The properties of a transform that `check` tests. Exceptions are data, with their reasons.

    Attributes:
        transform: the transform, or a bare pair.
        name: the name in reports.
        reference: the same algorithm in NumPy float64: a function `(gradients, parameters) -> updates` for one array.
            The first axis of gradients and updates is the step.
        shape: the shape of the array in comparisons with the reference, if it matters: `(8, 4)` for transforms of
            matrices.
        matrices: whether it is a transform of matrices, so that the laws give it trees of matrices only.
        compared: the number of steps to compare with the reference; fewer if an estimate in the algorithm is chaotic.
        tolerance: the maximum error of float32 updates against the reference in 50 steps, relative to the largest
            update.
        extras: the extra arguments of `update` for given parameters.
        stored: the size of the state in arrays of the parameters' size and dtype, to within 0.01.
        temporary: the size of the temporary buffers of a compiled step in such arrays, and the reason.
        solves: per name in `gradtx.problems`, a learning rate and the number of steps that bring the loss below the
            problem's tolerance. A constant rate is decayed to 0 by a half cosine; a schedule is used unchanged. A
            transform in place of the rate is used unchanged too.
        magnified: by how much the transform magnifies rounding: comparisons of float32 allow for it.
        nonnegative: whether the transform accepts only nonnegative updates.
        largest: the largest float32 gradient for which the updates are finite.
        odd: whether negated gradients give negated updates (at parameters of 0).
        scale_invariant: whether gradients times a positive constant give the same updates, up to eps.
        excused: the laws that do not apply, each with the reason.
    """

    transform: GradientTransformation
    name: str = ""
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    shape: tuple[int, ...] | None = None
    matrices: bool = False
    compared: int = 1000
    tolerance: float = 1e-5
    extras: Callable[[Params], dict[str, Any]] = field(default=lambda params: {})
    stored: float | None = None
    temporary: tuple[float, str] = (0.0, "nothing")
    solves: Mapping[str, tuple[Any, int]] = field(default_factory=dict)
    magnified: float = 1.0
    nonnegative: bool = False
    largest: float = 1e25
    odd: bool = False
    scale_invariant: bool = False
    excused: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", as_transformation(self.transform))
        for name in self.solves:
            if name not in _PROBLEMS:
                raise GradtxValueError(f"Case: solves: there is no problem {name!r}; there are {', '.join(_PROBLEMS)}")

    @classmethod
    def of(cls, subject: Any) -> "Case":
        """A case from a case, a transform, or a factory; required hyperparameters get a value in their range."""
        if isinstance(subject, Case):
            return subject if subject.name else Case(**{**subject.__dict__, "name": repr(subject.transform)})
        if isinstance(subject, (Value, tuple)) or is_transform(subject):
            transform = as_transformation(subject)
            return cls(transform, repr(transform))
        if callable(subject):
            if not hasattr(subject, "spec") and arguments_needed(subject):
                raise GradtxTypeError(
                    f"check: expected a case, a transform or a factory, got {short(subject)}, which takes arguments; "
                    f"for a function of updates: check(gradtx.elementwise(function))"
                )
            transform = as_transformation(subject(**_likely_arguments(subject)))
            return cls(transform, repr(transform))
        raise GradtxTypeError(f"check: expected a case, a transform or a factory, got {subject!r}")


def _likely_arguments(factory: Callable[..., Any]) -> dict[str, float]:
    spec: Spec | None = getattr(factory, "spec", None)
    if spec is None:
        return {}
    required = [name for name, p in spec.signature.parameters.items() if p.default is p.empty]
    return {name: _likely(spec.numbers[name]) for name in required if name in spec.numbers}


def _likely(number: Number) -> float:
    return 0.9 if number.high == 1.0 else max(number.low, 0.1)
