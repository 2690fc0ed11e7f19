"""Control groups as a pod has them: production's containers in one, the observer in another.

Rule: what this machine does not allow is said in one line, and nothing is left behind. Both
versions of the interface are known: `cpu.weight` of 2 and `cpu.shares` of 1, which weigh alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MILLICORE_SHARES = 1.024  # cpu.shares of a container that requests a thousandth of a core


class GroupsError(Exception):
    """There can be no groups; the text says why."""


@contextmanager
def group(name: str, millicores: int) -> Iterator[Path]:
    """A group that weighs as a container does that requests so much of a core.

    What is in it when it ends goes back to where this process is.

    Raises:
        GroupsError: it cannot be made here.
    """
    parent, weighs = _parent()
    path = parent / f"shadow-bench-{os.getpid()}-{name}"
    shares = max(2, round(millicores * MILLICORE_SHARES))
    # As Kubernetes turns one into the other (KEP-2254).
    weight = shares if weighs == "cpu.shares" else 1 + ((shares - 2) * 9999) // 262142
    try:
        path.mkdir()
        (path / weighs).write_text(str(weight), encoding="ascii")
    except OSError as error:
        with suppress(OSError):
            path.rmdir()
        raise GroupsError(f"{path}: {error.strerror}") from None
    try:
        yield path
    finally:
        for pid in (path / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(OSError):  # it has ended
                move(int(pid), parent)
        with suppress(OSError):
            path.rmdir()


def move(pid: int, to: Path) -> None:
    """Put a process, with all its threads, into a group."""
    (to / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _parent() -> tuple[Path, str]:
    """Below what groups can be made, and the file that weighs them."""
    for version2 in (ROOT, ROOT / "unified"):
        controllers = version2 / "cgroup.controllers"
        if controllers.exists() and "cpu" in controllers.read_text(encoding="ascii").split():
            with suppress(OSError):
                (version2 / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
            return version2, "cpu.weight"
    if (ROOT / "cpu" / "cgroup.procs").exists():
        return ROOT / "cpu", "cpu.shares"
    raise GroupsError(f"{ROOT}: no cpu controller")
