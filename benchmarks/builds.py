"""The two builds of the one source, side by side in one run: as Python, and compiled.

Rule: both run under the same Python, with the same libraries; only the package differs, which is
found on PYTHONPATH before any other. `make compiled` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

Build: TypeAlias = Literal["compiled", "python"]

ROOT: Final = Path(__file__).parents[1]
COMPILED: Final = ROOT / "build" / "compiled"


def is_built() -> bool:
    """Whether the compiled build is there."""
    return (COMPILED / "sidecar").is_dir()


def environment(build: Build) -> Mapping[str, str]:
    """What makes a process run one of them, wherever it is started."""
    path = f"{COMPILED}:{ROOT}" if build == "compiled" else str(ROOT)
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
