"""Experiments to keep."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from sidecar.log import Log
from sidecar.store.keeper import Keeper
from sidecar.store.kept import Key, Row, Write

KEY = Key("candidate", "1", "7", "rules")
SECOND = 1_000_000_000


def row(number: int = 1, key: Key = KEY, **given: Any) -> Row:
    values: dict[str, Any] = {
        "attempt": 1,
        "sequence": 1,
        "began_unix_ns": 1 * SECOND,
        "seen_unix_ns": 2 * SECOND,
        "calls": 10,
        "state": "WATCHING",
        "reason": "10 of 100 calls",
    }
    return Row(key=key, number=number, **(values | given))


def write(row_: Row, pieces: dict[str, Any] | None = None, count: int | None = None) -> Write:
    pieces = {} if pieces is None else pieces
    return Write(row_, pieces, len(pieces) if count is None else count)


class Opened:
    """A keeper of a folder, and what it logged."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.told = io.StringIO()
        self.now_ns = 10 * SECOND
        self.keeper = Keeper(
            folder, Log("test", self.told), clock=lambda: self.now_ns, **{"patience": 0.0} | given
        )

    def keep(self, *writes: Write) -> None:
        """Hand over, and wait until it was tried."""
        assert self.keeper.put(writes)
        self.wait()

    def wait(self) -> None:
        assert self.keeper.wait(30)
