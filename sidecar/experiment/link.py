"""The observer's way back to the wire: which share to copy, and who should connect again.

Rule: the wire is told what changed and what holds when a session begins; without a session nothing
is lost, for the next one is told. Counterparts: `session`, which it speaks through; `operation`,
which decides the share.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.experiment.session import Session


class WireLink:
    """What the observer asks of the wire."""

    def __init__(self, *, resync: bool = False) -> None:
        """No session yet.

        Args:
            resync: ask each session's wire to make the clients of blind connections reconnect.
        """
        self.attached = asyncio.Event()  # set with the first greeting of a wire, and not cleared
        self.busy = asyncio.Event()  # set with the first connection, and not cleared
        self.fraction = 1.0  # share of new streams that the wire should copy
        self._resync = resync
        self._session: Session | None = None

    def use(self, session: Session | None) -> None:
        """Speak through this session from now on; None when it has ended."""
        self._session = session
        if session is not None:
            session.sample(self.fraction)
            if self._resync:
                session.resync()

    def unreadable(self, conn: int) -> None:
        """This connection cannot be read any more: have the wire count its calls."""
        if self._session is not None:
            self._session.unreadable(conn)

    def copy(self, fraction: float) -> None:
        """Have this share of new streams copied."""
        if fraction == self.fraction:
            return
        self.fraction = fraction
        if self._session is not None:
            self._session.sample(fraction)
