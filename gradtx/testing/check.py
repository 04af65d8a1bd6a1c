"""`check`: all laws on one transform."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax

from gradtx._core import GradientTransformation
from gradtx._errors import GradtxValueError
from gradtx.testing import execution, numerics, protocol, values
from gradtx.testing.case import Case
from gradtx.testing.trials import BrokenLawError

LAWS: dict[str, Callable[[Case], None]] = {
    law.__name__: law for module in (protocol, execution, numerics, values) for law in module.LAWS
}
"""The laws by name."""


@dataclass(frozen=True)
class Report:
    """What `check` found: the laws that hold, and those that do not apply, with the reason."""

    name: str
    kept: tuple[str, ...]
    excused: dict[str, str]

    def __str__(self) -> str:
        count = len(self.kept)
        lines = [f"{self.name} keeps {count} law{'s' * (count != 1)}: {', '.join(self.kept)}"]
        return "\n".join(lines + [f"  excused from {law}: {reason}" for law, reason in self.excused.items()])

    def __repr__(self) -> str:
        return str(self)


def check(case_or_factory: Any, laws: Iterable[str] | None = None) -> Report:
    """Runs the laws on a transform, under strict dtype promotion.

    Args:
        case_or_factory: a `Case`, a transform, or a factory, which is called with its defaults, and with likely numbers
            where it has none.
        laws: the names of the laws to run; all by default.

    Returns:
        A report to print.

    Raises:
        BrokenLawError: an `AssertionError` that names the law, the transform, and what was found.
    """
    case = Case.of(case_or_factory)
    names = list(LAWS if laws is None else laws)
    unknown = [law for law in [*names, *case.excused] if law not in LAWS]
    if unknown:
        raise GradtxValueError(f"check: there is no law {unknown[0]!r}; the laws are {', '.join(LAWS)}")
    excused = {**_excused_by_kind(case), **case.excused}
    kept = []
    for name in names:
        if name in excused:
            continue
        try:
            with jax.numpy_dtype_promotion("strict"):
                LAWS[name](case)
        except BrokenLawError as broken:
            raise BrokenLawError(f"{case.name} breaks the law {name!r}: {broken}") from None
        except Exception as error:
            raise BrokenLawError(f"{case.name} breaks the law {name!r}: {type(error).__name__}: {error}") from error
        kept.append(name)
    return Report(case.name, tuple(kept), {law: reason for law, reason in excused.items() if law in names})


def _excused_by_kind(case: Case) -> dict[str, str]:
    """A bare pair has no arguments to print, write down or trace."""
    excused = {}
    if case.transform._spec.factory is GradientTransformation:
        excused = {law.__name__: "a bare pair is not a value" for law in values.LAWS}
    if jax.device_count() == 1:
        excused["sharded_equals_whole"] = "there is only one device"
    return excused
