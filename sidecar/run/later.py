"""A library that is loaded when something of it is first asked for.

Rule: who imports it reads as always (`import numpy as np`, at the top); this is put in its place
before anybody does, by the process that wants to be ready sooner and smaller. From any thread, and
also where a module inside of it is imported first. Python's own `importlib.util.LazyLoader` shows a
half loaded module to a second thread before 3.11.8, and loads what is inside twice.
Counterpart: `cli`, which says what comes later.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from threading import Lock
from types import ModuleType
from typing import Any

_turn = Lock()


class Later(ModuleType):
    """Stands for a package until it is needed, and then has all that it has."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # what is inside is found by `_Inside`

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # asked of every module by who looks for one (`inspect`)
            raise AttributeError(name)
        module = load(self.__name__)
        vars(self).update(vars(module))
        return getattr(module, name)


class _Inside:
    """Finds what is inside a package that is not loaded yet, by loading that first."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, _: object = None) -> Any:
        package = name.partition(".")[0]
        if path is None or not isinstance(sys.modules.get(package), Later):
            return None
        whole = load(package)
        if name in sys.modules:
            return ModuleSpec(name, _There(sys.modules[name]))
        return PathFinder.find_spec(name, whole.__path__)


class _There(Loader):
    """Gives a module that its package has loaded meanwhile."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__
        module.__spec__ = None  # else importlib goes by that, and loads the module once more

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def later(name: str) -> None:
    """Have a package loaded when it is needed; one that is loaded already stays."""
    if name not in sys.modules:
        sys.modules[name] = Later(name)
        if _Inside not in sys.meta_path:
            sys.meta_path.insert(0, _Inside)  # a class will do


def load(name: str) -> ModuleType:
    """The package itself, loaded now if it was not."""
    with _turn:
        if isinstance(sys.modules.get(name), Later):
            del sys.modules[name]
    return importlib.import_module(name)
