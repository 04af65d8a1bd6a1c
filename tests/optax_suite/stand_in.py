"""Puts `gradtx.optax` in the place of Optax, which cannot be imported: a plugin of pytest for Optax's own tests.

    python -m pytest -p stand_in FILES

`optax` and its submodules, private ones too, are empty modules that look up every name in `gradtx.optax`. Of Optax's
wheel only the tests and their helpers (`test_utils`) are read.
"""

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import types
from pathlib import Path
from typing import Any

import jax

WHEEL = Path(importlib.util.find_spec("optax").origin).parent
sys.modules["optax"] = None  # from here on, `import optax` raises

import gradtx.optax as facade  # noqa: E402

del sys.modules["optax"]


@contextlib.contextmanager
def x64_precision(enable_x64_precision: bool = True):
    with jax.enable_x64(enable_x64_precision):
        yield


HELPERS = {"x64_precision": x64_precision}
"""What tests of Optax take from its modules to run themselves."""


def _of_wheel(name: str) -> Path:
    return WHEEL.joinpath(*name.split(".")[1:])


def _is_module(name: str) -> bool:
    path = _of_wheel(name)
    return path.is_dir() or path.with_suffix(".py").exists()


class StandIn(types.ModuleType):
    """A module of Optax, whose names are those of the facade."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if _is_module(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        if name in HELPERS:
            return HELPERS[name]
        own = [module for key, module in sys.modules.items() if key.startswith("gradtx.optax") and module]
        public = self.__name__.split(".")[1:2]
        first = [module for module in own if module.__name__.split(".")[2:] == public]
        for module in [*first, facade, *own]:
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(f"{self.__name__}.{name}")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "optax" and not (name.startswith("optax.") and _is_module(name)):
            return None
        if name.endswith(("_test", ".test_utils")):
            return importlib.util.spec_from_file_location(name, _of_wheel(name).with_suffix(".py"))
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> StandIn:
        module = StandIn(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: Any) -> None:
        """There is nothing to execute."""


sys.meta_path.insert(0, Finder())

_ended = itertools.count(1)


def pytest_runtest_teardown():
    """Compiled functions would grow to gigabytes; what is used again is read from the cache."""
    if next(_ended) % 200 == 0:
        jax.clear_caches()
        gc.collect()
