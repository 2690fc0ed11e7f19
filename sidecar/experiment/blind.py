"""Calls that only the wire saw: on connections that are not copied, or whose copy cannot be read.

Rule: what could not be seen must not be taken for agreement. The wire counts every call, so the
books are exact: what it counted on this observer's connections is what was seen here and what was
not. Where the wire was killed with its observer nobody has counted the last moment, and as many
calls are taken for missed as the busiest one lately had. Each is taken for one that was to be
compared, by the chance that the operator gave it; which errs towards lower coverage. Until the wire
has said how many there were, the books are unsettled and nothing passes. Pure. Counterparts: the
records COUNTED, STATS and HELLO of `sidecar.wire.records`; `judging`, whose coverage this is part
of.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from sidecar.call import INELIGIBLE, SkipReason
from sidecar.experiment.ledger import Counts

LATELY = 60  # times that the books were kept, about once a second
UNKEPT = 2  # between two of those and what is on the disk: so many times as much may be unknown
_BLIND = "session_blind_calls"  # in STATS: since the session began, this observer's alone


class BlindCalls:
    """What the wire counted of this observer's connections, and was not seen here."""

    def __init__(self, observers: int = 1) -> None:
        """Nothing has been told yet.

        Args:
            observers: processes that share the wire's connections, each with sessions of its own.
        """
        self._alone = observers == 1
        self.total = 0  # calls that were missed, ever
        self._life: object = None  # the wire's
        self._session: object = None
        self._blind = 0  # as last told, of this session
        self._answered = 0  # seen and missed in this session
        self._resumed = False  # of a process that is gone, and no wire has told yet
        self._lost = False  # a session ended, and nobody has said yet what was in it
        self._unreadable: set[int] = set()  # connections whose calls are not known yet
        self._lately: deque[int] = deque(maxlen=LATELY)  # calls between two times of keeping
        self._at_last = 0  # calls at the last of them
        self._unknown = 0  # if the wire is another: as many calls may have died with it

    @property
    def unsettled(self) -> int:
        """Connections whose calls nobody has counted yet; a whole lost session is one of them."""
        return len(self._unreadable) + self._lost

    def kept(self, in_flight: int) -> list[Any] | None:
        """What another process has to know to go on with the books; None without a session.

        Args:
            in_flight: calls that were seen and whose fate is not known: they are lost with us.
        """
        if self._session is None:
            return None
        return [self._life, self._session, self._answered - in_flight]

    def most_lately(self) -> int:
        """Called whenever books are kept: how many calls nobody would know of after a kill."""
        self._lately.append(max(0, self._answered - self._at_last))
        self._at_last = self._answered
        return UNKEPT * max(self._lately)

    def resume(self, kept: list[Any] | None, *, whole: bool = True, unknown: int = 0) -> None:
        """Go on with the books of a process that is gone: nobody knows yet what came after.

        Args:
            kept: None: it was gone before any books were kept.
            whole: no session after the one of the books has been answered for.
            unknown: `most_lately` of that process; 0: it ended, and was not killed.
        """
        self._unknown = unknown
        self._life, self._session, self._answered = kept or (None, None, 0)
        self._lost, self._resumed = True, whole

    def seen(self, calls: int = 1) -> None:
        """Calls were seen here."""
        self._answered += calls

    def attached(self, hello: Mapping[str, Any]) -> int:
        """A session has begun; how many calls of the one before were missed, and since then.

        Of calls that came before this observer's first session nobody here needs to know.
        """
        missed = unknown = 0
        if self._session is not None or self._resumed:
            missed = int(hello.get("unattended_calls", 0))
            ended = hello.get("ended", {})
            known = 0  # the session that the books are about
            if hello.get("life") == self._life:
                known = int(str(self._session or 0))
                missed += max(0, int(ended.get(str(known), 0)) - self._answered)
            elif self._resumed:
                unknown = self._unknown
            if self._resumed:
                # Processes in between were killed before they had kept any books, in a moment. Of
                # several observers these may be others' sessions, which they count themselves: of
                # a day, and not of a moment.
                later = (ended, hello.get("unattended", {}))
                most = math.inf if self._alone else self._unknown
                missed += int(
                    sum(
                        min(int(n), most) for had in later for s, n in had.items() if int(s) > known
                    )
                )
        self._life, self._session = hello.get("life"), hello.get("session")
        self._blind = self._answered = self._at_last = self._unknown = 0
        self._lost = self._resumed = False
        return self._missed(missed) + unknown

    def detached(self) -> None:
        """The session has ended; the next wire's greeting says what was in it."""
        self._lost = self._session is not None
        self._unreadable.clear()

    def unreadable(self, conn: int) -> None:
        """A connection's copy cannot be read any more; the wire has been asked."""
        self._unreadable.add(conn)

    def counted(self, conn: int, calls: int, seen: int) -> int:
        """The wire copied so many calls of a connection, and so many were seen: the difference."""
        self._unreadable.discard(conn)
        missed = max(0, calls - seen)
        self._answered += missed
        self._at_last += missed  # accounted for in this moment, however long it took
        return self._missed(missed)

    def since_last(self, figures: Mapping[str, Any]) -> int:
        """How many calls came since the last figures on connections that are not copied."""
        now = int(figures.get(_BLIND, 0))
        more = max(0, now - self._blind)
        self._blind = max(now, self._blind)
        self._answered += more
        return self._missed(more)

    def _missed(self, calls: int) -> int:
        self.total += calls
        return calls


def chance(counts: Counts, fraction: float) -> float:
    """The chance that a call was to be compared: sampled, and within the rate limit.

    Args:
        counts: what became of a shadow's calls so far.
        fraction: the share of calls that sampling leaves.
    """
    chosen = sum(counts.skipped[reason] for reason in INELIGIBLE)
    eligible = counts.seen - counts.in_flight - chosen
    limited = counts.skipped[SkipReason.RATE_LIMITED]
    return fraction * (eligible / (eligible + limited) if limited else 1.0)
