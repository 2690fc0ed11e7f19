"""Counts that somebody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sidecar.capture.counts import CaptureCounts
from sidecar.capture.writer import Capture


class Watched(CaptureCounts):
    """Tells of every change; the writer's thread counts as it does otherwise."""

    def __init__(self) -> None:
        object.__setattr__(self, "changed", threading.Condition())
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        changed: threading.Condition = self.__dict__["changed"]
        with changed:
            super().__setattr__(name, value)
            changed.notify_all()

    def until(self, holds: Callable[[CaptureCounts], bool]) -> None:
        """Wait for the thread to get so far."""
        changed: threading.Condition = self.__dict__["changed"]
        with changed:
            assert changed.wait_for(lambda: holds(self), 60), "not within a minute"


def watched(capture: Capture) -> Watched:
    """A writer's counts, from before its first row."""
    capture.counts = Watched()
    return capture.counts
