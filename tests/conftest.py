"""Strictness for every test: no implicit promotion of dtypes or ranks, eight devices, warnings are errors."""

import contextlib
import ctypes
import gc

import jax
import pytest

from gradtx.testing import trials

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# What one worker or an earlier run has compiled is read, which takes a twentieth of the time of compiling an operation
# again: most of a run. `pytest --cache-clear` empties it.
CACHE = {"jax_persistent_cache_min_compile_time_secs": 0, "jax_persistent_cache_min_entry_size_bytes": -1}


def pytest_configure(config):
    if hasattr(config, "cache"):  # not with `-p no:cacheprovider`
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("compiled")))
        for name, value in CACHE.items():
            jax.config.update(name, value)


ENOUGH = 1_200  # megabytes; a worker with all compiled functions of the suite would grow to four times as much


@pytest.fixture(autouse=True, scope="module")
def _forget_the_steps_of_the_laws():
    """Steps that were compiled for one module are of no use to the next; what JAX has compiled, operations, are."""
    yield
    _forget_steps()


@pytest.fixture(autouse=True)
def _forget_compiled_functions():
    """All that was compiled is forgotten once it takes too much memory; not before, as that takes a second."""
    yield
    if _megabytes() > ENOUGH:
        _forget()


def _forget_steps() -> None:
    for cached in (trials.compiled_step, trials._compiled_scan):
        cached.cache_clear()


def _forget() -> None:
    _forget_steps()
    jax.clear_caches()
    gc.collect()
    # Gives freed memory back to the system, where the C library can.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _megabytes() -> int:
    """The memory that this process has now; 0 where the system does not say so in the way of Linux."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 // 2**20
    except OSError:
        return 0
