"""A case: a transform, and what is known of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradtx._base.errors import GradtxTypeError
from gradtx._base.typing import Number, Params
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._values.value import Spec, Value


@dataclass(frozen=True)
class Case:
    """What `check` needs to know of a transform. Exceptions are facts here, with their reasons.

    Attributes:
        transform: the transform.
        name: what reports call it.
        reference: the same in NumPy float64, a function `(gradients, parameters) -> updates` for one array, with the
            steps in front of the shapes of gradients and updates.
        shape: the shape of the array in comparisons with the reference, where it matters: `(8, 4)` for what works on
            matrices.
        compared: over how many steps the reference is compared, where what is estimated on the way is chaotic.
        tolerance: how far float32 updates may be from the reference in 50 steps, as a part of the largest.
        extras: the extra arguments of `update` for given parameters.
        stored: how many arrays of the parameters' size and dtype the state has, to within 1 in 100.
        temporary: how many such arrays a compiled step allocates for a while, and why.
        solves: for the names in `gradtx.problems`, the learning rate and the number of steps that bring the loss below
            the problem's tolerance. A rate that is a number falls to 0 along half a cosine; a schedule is taken as it
            is, and so is a whole transform in its place.
        nonnegative: it is only for updates that are not negative.
        largest: the largest gradient in float32 for which its updates are finite.
        odd: negated gradients give negated updates (without parameters in it).
        scale_invariant: gradients times a positive number give the same updates, up to eps.
        excused: law by law, why it does not apply.
    """

    transform: GradientTransformation
    name: str = ""
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    shape: tuple[int, ...] | None = None
    compared: int = 1000
    tolerance: float = 1e-5
    extras: Callable[[Params], dict[str, Any]] = field(default=lambda params: {})
    stored: float | None = None
    temporary: tuple[float, str] = (0.0, "nothing")
    solves: Mapping[str, tuple[Any, int]] = field(default_factory=dict)
    nonnegative: bool = False
    largest: float = 1e25
    odd: bool = False
    scale_invariant: bool = False
    excused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Any) -> "Case":
        """A case of a case, a transform, or a factory, whose numbers without default are chosen in their range."""
        if isinstance(subject, Case):
            return subject if subject.name else Case(**{**subject.__dict__, "name": repr(subject.transform)})
        if isinstance(subject, Value) or hasattr(subject, "init"):
            transform = as_transformation(subject)
            return cls(transform, repr(transform))
        if callable(subject):
            transform = as_transformation(subject(**_likely_arguments(subject)))
            return cls(transform, repr(transform))
        raise GradtxTypeError(f"check: a case, a transform or a factory is wanted, got {subject!r}")


def _likely_arguments(factory: Callable[..., Any]) -> dict[str, float]:
    spec: Spec | None = getattr(factory, "spec", None)
    if spec is None:
        return {}
    required = [name for name, p in spec.signature.parameters.items() if p.default is p.empty]
    return {name: _likely(spec.numbers[name]) for name in required if name in spec.numbers}


def _likely(number: Number) -> float:
    return 0.9 if number.high == 1.0 else max(number.low, 0.1)
