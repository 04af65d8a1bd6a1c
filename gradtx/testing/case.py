"""A case: a transform, and what is known of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradtx._core import GradientTransformation, as_transformation
from gradtx._errors import GradtxTypeError
from gradtx._typing import Number, Params
from gradtx._value import Spec, Value


@dataclass(frozen=True)
class Case:
    """What `check` needs to know of a transform. Exceptions are facts here, with their reasons.

    Attributes:
        transform: the transform.
        name: what reports call it.
        reference: the same in NumPy float64, `(gradients, parameters) -> updates`, of shapes (steps, n), (n,) and
            (steps, n).
        extras: the extra arguments of `update` for given parameters.
        nonnegative: it is only for updates that are not negative.
        largest: the largest gradient in float32 for which its updates are finite.
        odd: negated gradients give negated updates (without parameters in it).
        scale_invariant: gradients times a positive number give the same updates, up to eps.
        excused: law by law, why it does not apply.
    """

    transform: GradientTransformation
    name: str = ""
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    extras: Callable[[Params], dict[str, Any]] = field(default=lambda params: {})
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
