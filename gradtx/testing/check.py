"""`check`: runs all laws on one transform."""

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax

from gradtx._base.calls import explains_calls
from gradtx._base.counterparts import near
from gradtx._base.errors import GradtxTypeError, GradtxValueError
from gradtx._base.terminal import terminal
from gradtx.testing import execution, numerics, protocol, values
from gradtx.testing.case import Case
from gradtx.testing.trials import BrokenLawError, params_of

LAWS: dict[str, Callable[[Case], None]] = {
    law.__name__: law for module in (protocol, execution, numerics, values) for law in module.LAWS
}
"""The laws by name: functions of a case, which raise where it does not keep them. The page of laws lists them all."""


@dataclass(frozen=True)
class Report:
    """The result of `check`.

    Attributes:
        name: the name of the case.
        kept: the laws that hold.
        excused: the laws that do not apply, each with the reason.
    """

    name: str
    kept: tuple[str, ...]
    excused: dict[str, str]

    def __str__(self) -> str:
        count = len(self.kept)
        kept = textwrap.wrap(", ".join(self.kept), 110, initial_indent="  ", subsequent_indent="  ")
        excused = [f"  excused from {law}: {reason}" for law, reason in self.excused.items()]
        return "\n".join([f"{self.name} keeps {count} law{'s' * (count != 1)}:", *kept, *excused])

    def __repr__(self) -> str:
        return str(self)


@explains_calls("check")
def check(case_or_factory: Any, laws: str | Iterable[str] | None = None, *, progress: bool = True) -> Report:
    """Runs the laws on a transform, under strict dtype promotion.

    Args:
        case_or_factory: a `Case`, a transform or bare pair, or a factory. A factory is called with its defaults;
            hyperparameters without a default get a typical value.
        laws: the names of the laws to run, or one name; all by default. In a new process they take 3 to 15 seconds of
            one core, nearly all of it to compile, and a second or two for a further transform made of the same
            operations.
        progress: whether to show the current law on a terminal.

    Returns:
        A report to print.

    Raises:
        BrokenLawError: a law does not hold; an `AssertionError` with the law, the transform and the difference.
        GradtxValueError: there is no law of this name.
        GradtxTypeError: `update` needs an extra argument that the case does not give.
    """
    case = Case.of(case_or_factory)
    names = list(LAWS if laws is None else [laws] if isinstance(laws, str) else laws)
    unknown = [law for law in [*names, *case.excused] if law not in LAWS]
    if unknown:
        meant = near(unknown[0], LAWS)
        hint = f"did you mean {meant!r}? " if meant else ""
        raise GradtxValueError(f"check: there is no law {unknown[0]!r}; {hint}the laws are {', '.join(LAWS)}")
    excused = {**_excused_by_kind(case), **case.excused}
    run, say = [name for name in names if name not in excused], terminal(progress)
    try:
        for index, name in enumerate(run):
            say(f"check: law {index + 1} of {len(run)}, {name}")
            _run(case, name)
    finally:
        say("")
    return Report(case.name, tuple(run), {law: reason for law, reason in excused.items() if law in names})


def _run(case: Case, name: str) -> None:
    try:
        with jax.numpy_dtype_promotion("strict"):
            LAWS[name](case)
    except BrokenLawError as broken:
        raise BrokenLawError(f"{case.name} breaks the law {name!r}: {broken}") from None
    except Exception as error:
        missing = re.search(r"the extra argument ('\w+') is missing", str(error))
        if missing and isinstance(error, GradtxTypeError):
            raise GradtxTypeError(
                f"check: {case.name} needs the extra argument {missing[1]}; give it in a case: "
                f"Case(tx, extras=lambda params: {{{missing[1]}: ...}})"
            ) from None
        raise BrokenLawError(f"{case.name} breaks the law {name!r}: {type(error).__name__}: {error}") from error


def _excused_by_kind(case: Case) -> dict[str, str]:
    """The laws that do not apply to this kind of case: properties that it does not declare, values of a bare pair."""
    excused = {}
    if case.reference is None:
        excused["agrees_with_its_reference"] = "the case has no reference"
    if case.stored is None:
        excused["stores_what_it_says"] = "the case does not declare it"
    if not case.odd:
        excused["is_odd"] = "the case does not declare it"
    if not case.scale_invariant:
        excused["is_scale_invariant"] = "the case does not declare it"
    if case.transform._is_bare:
        excused |= {law.__name__: "a bare pair is not a value" for law in values.LAWS}
    elif "<function" in repr(case.transform):
        excused |= dict.fromkeys(["text_evaluates_back", "config_round_trip"], "a function has no source text")
    if "quadratic" not in case.solves:
        excused["descends_on_complex_parameters"] = "the case declares no learning rate for it"
    if case.extras(params_of(case)):
        excused["layers_stack"] = "its extra arguments are shared by all layers"
    if jax.device_count() == 1:
        excused["sharded_equals_whole"] = (
            "there is only one device; for eight on a CPU set XLA_FLAGS=--xla_force_host_platform_device_count=8, or "
            "call jax.config.update('jax_num_cpu_devices', 8) before the first array"
        )
    return excused
