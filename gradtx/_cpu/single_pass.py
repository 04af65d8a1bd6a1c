"""One pass over the memory on a CPU.

XLA's CPU backend makes one loop of each array that comes out. Adam has three, the two moments and the parameters, and
they move 40 bytes per parameter where 28 suffice: the moments are written, and then read again. An option of the
backend joins loops that read the same arrays into one; loops of which one reads what another writes it leaves apart. So
here every array that comes out is reckoned from what came in, from copies of its own, which cost nothing: the compiler
takes them for other arrays until it has fused the loops. Without the option the same formulation is harmful.
"""

import os

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxValueError

_FLAGS, _EXTRA, _OPTION = "XLA_FLAGS", "--xla_backend_extra_options=", "xla_cpu_use_multi_output_fusion"
_state = {"on": False}


def single_pass_cpu() -> None:
    r"""Makes every elementwise optimizer go over the memory once, on a CPU: Adam moves 28 bytes per parameter, not 40.

    Call it before the first computation with JAX: it sets an option of the CPU backend, which reads its options when it
    starts. Then all transforms that are traced give the same numbers, to rounding, in one loop for each array of
    parameters. Tracing takes longer, once for each array of the state.

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
