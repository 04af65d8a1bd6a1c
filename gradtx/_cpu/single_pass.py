"""Single pass: one loop over the parameters per step, by an option of XLA's CPU backend.

The backend makes one loop for each array that it writes. Adam has three, for two moments and the parameters, and they
move 40 bytes per parameter where 28 suffice: the moments are written, and read again. With the option it fuses loops
that read the same arrays, but not loops of which one reads what another writes. So each output is computed from copies
of the inputs that are its own; see `outputs`. Without the option the copies would make it slower. Gain: 28 bytes per
parameter instead of 40 for Adam (jaxlib 0.10.2; times in benchmarks/RESULTS.md). Test: test_single_pass.py.
"""

import os

import jax
import jax.numpy as jnp

from gradtx._base.calls import explains_calls
from gradtx._base.errors import GradtxValueError

_FLAGS, _EXTRA, _OPTION = "XLA_FLAGS", "--xla_backend_extra_options=", "xla_cpu_use_multi_output_fusion"
_state = {"on": False}


@explains_calls("single_pass_cpu")
def single_pass_cpu() -> None:
    r"""Makes every elementwise optimizer read and write each array once on a CPU: Adam moves 28 bytes, not 40.

    Call it before the first computation with JAX: it sets an option of the CPU backend, which reads its options when it
    starts. All transforms traced afterwards run in one loop for each array of parameters, with the same results up to
    rounding. Tracing takes longer: the arithmetic is traced once for each array of the state.

    Raises:
        GradtxValueError: JAX computes on something else by default, or its CPU backend runs already without the option,
            or does not honour it.
    """
    flags = os.environ.get(_FLAGS, "").split()
    if not any(flag.startswith(_EXTRA) and _OPTION in flag for flag in flags):
        others = [flag.removeprefix(_EXTRA) for flag in flags if flag.startswith(_EXTRA)]
        rest = [flag for flag in flags if not flag.startswith(_EXTRA)]
        os.environ[_FLAGS] = " ".join([*rest, _EXTRA + ",".join([*others, _OPTION])])
    if jax.default_backend() != "cpu":
        raise GradtxValueError(
            f"single_pass_cpu: this is for CPUs, and JAX computes on {jax.default_backend()!r} by default; leave it out"
        )
    if not _is_honoured():
        raise GradtxValueError(
            "single_pass_cpu: the CPU backend does not join loops; call it before the first computation with JAX, or "
            f"start Python with {_FLAGS}={_EXTRA}{_OPTION}. If that is how it was, this release of XLA has no such "
            "option"
        )
    _state["on"] = True


def is_on() -> bool:
    """Whether transforms are traced for one pass."""
    return _state["on"]


def _is_honoured() -> bool:
    """Whether two loops over the same arrays become one."""
    x = jax.ShapeDtypeStruct((64,), jnp.float32)
    text = jax.jit(lambda x, y: (x * y, x + y)).lower(x, x).compile().as_text()
    return text is not None and text[text.index("ENTRY") :].count(" fusion(") == 1
