"""Where observers find the tap: a path, under which it listens as long as the wire runs.

Rule: without a tap production is forwarded all the same; it is tried again, and whoever takes its
name away gets it back. Counterparts: `listen`, which opens it; `tap`, who comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sidecar.wire.listen import ListenError, open_private
from sidecar.wire.tap import Tap

RETRY_SECONDS: Final = 1.0


class Place:
    """The tap's path.

    Args:
        log: called with an event and its fields.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: Path, tap: Tap, log: Callable[..., None]
    ) -> None:
        self._loop = loop
        self._path = path
        self._tap = tap
        self._log = log
        self._error = ""  # as it was told last
        self._file: tuple[int, int] | None = None  # which the name was given to
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Let observers in, now or as soon as that can be."""
        try:
            listener = open_private(self._path)
        except ListenError as error:
            if str(error) != self._error:
                self._error = str(error)
                self._log("no tap", error=str(error), retry_seconds=RETRY_SECONDS)
            self._timer = self._loop.call_later(RETRY_SECONDS, self.open)
            return
        self._tap.listen(listener)
        self._file = _file_of(self._path)
        self._error = ""
        self._timer = self._loop.call_later(RETRY_SECONDS, self._watch)
        self._log("tap", path=str(self._path))

    def _watch(self) -> None:
        """Open the tap again where its name was taken away: else no observer finds it any more."""
        if self._tap.sessions or _file_of(self._path) == self._file:
            self._timer = self._loop.call_later(RETRY_SECONDS, self._watch)
            return
        self._log("tap gone", path=str(self._path))
        self._tap.deafen()
        self.open()

    def close(self) -> None:
        """Try and look no more."""
        if self._timer is not None:
            self._timer.cancel()


def _file_of(path: Path) -> tuple[int, int] | None:
    """The file that a name means now; None: no file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
