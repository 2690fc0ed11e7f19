"""A library that is loaded when something of it is first asked for.

Rule: who imports it reads as always (`import numpy as np`, at the top); this is put in its place
before anybody does, by the process that wants to be ready sooner and smaller. Python's own
`importlib.util.LazyLoader` shows a half loaded module to a second thread before 3.11.8.
Counterpart: `cli`, which says what comes later.
"""

from __future__ import annotations

import importlib
import sys
from threading import Lock
from types import ModuleType
from typing import Any

_turn = Lock()


class Later(ModuleType):
    """Stands for a module until it is needed, and then has all that it has."""

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # asked of every module by who looks for one (`inspect`)
            raise AttributeError(name)
        module = load(self.__name__)
        vars(self).update(vars(module))
        return getattr(module, name)


def later(name: str) -> None:
    """Have a module loaded when it is needed; one that is loaded already stays."""
    if name not in sys.modules:
        sys.modules[name] = Later(name)


def load(name: str) -> ModuleType:
    """The module itself, loaded now if it was not; from any thread."""
    with _turn:
        if isinstance(sys.modules.get(name), Later):
            del sys.modules[name]
    return importlib.import_module(name)
