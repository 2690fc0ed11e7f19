"""Whether one shadow takes one more call now.

A call is asked about twice: with its header, when what it costs is not known, and with its whole
request. Rule: everything is checked before anything is charged, so a refused call uses up no token
and no probe of the breaker; the first check that refuses, in the order of `SkipReason`, gives the
one reason. Counterparts: `admission`, which speaks for the call; `shadow`, which reports to
`breaker`.
"""

from __future__ import annotations

from sidecar.call import SkipReason
from sidecar.tee.breaker import Breaker
from sidecar.tee.limits import RateLimit
from sidecar.tee.settings import ShadowSettings


class Gate:
    """One shadow's ordered checks.

    Raised by nothing and waiting for nothing; after an admitted call, `breaker.epoch` is the one
    to report its outcome with.
    """

    __slots__ = ("_limit", "_max_request_bytes", "_settings", "breaker")

    def __init__(self, settings: ShadowSettings, max_request_bytes: int) -> None:
        self._settings = settings
        self._max_request_bytes = max_request_bytes
        self._limit = RateLimit(settings.rate)
        self.breaker = Breaker(settings.breaker)

    def refusal(
        self,
        *,
        draw: float,
        starting: bool,
        lost: SkipReason | None,
        queued_calls: int,
        now_ns: int,
    ) -> SkipReason | None:
        """Say why a call of any size would be refused, as far as its header tells. Charges nothing.

        Args:
            draw: uniform in [0, 1), compared with the shadow's own fraction.
            starting: the shadow has not been reached yet, and is waited for.
            lost: why no shadow can have the call, although it was chosen; None: they can.
            queued_calls: as for `admit`.
            now_ns: the monotonic clock.
        """
        if draw >= self._settings.fraction:
            return SkipReason.NOT_SAMPLED
        if starting:
            return SkipReason.NO_SHADOW
        if not self._limit.has_call(now_ns):
            return SkipReason.RATE_LIMITED
        if lost is not None:
            return lost
        if not self.breaker.would_admit(now_ns):
            return SkipReason.BREAKER_OPEN
        return SkipReason.QUEUE_FULL if queued_calls >= self._settings.queue.calls else None

    def admit(
        self, *, size: int, queued_calls: int, queued_bytes: int, now_ns: int
    ) -> SkipReason | None:
        """Say why the shadow does not get the call, or None when it is admitted and charged.

        Args:
            size: bytes of all request messages.
            queued_calls: calls waiting for a free place; those that find one are not waiting.
            queued_bytes: bytes of the requests in the queue.
            now_ns: the monotonic clock.
        """
        settings = self._settings
        if not self._limit.has_call(now_ns):
            return SkipReason.RATE_LIMITED
        if not self.breaker.would_admit(now_ns):
            return SkipReason.BREAKER_OPEN
        if queued_calls >= settings.queue.calls:
            return SkipReason.QUEUE_FULL
        if not self._limit.has_bytes(size, now_ns):
            return SkipReason.BYTES_LIMITED
        if size > self._max_request_bytes:
            return SkipReason.REQUEST_TOO_LARGE
        if queued_bytes + size > settings.queue.bytes:
            return SkipReason.QUEUE_BYTES
        self.breaker.admit(now_ns)
        self._limit.take(size, now_ns)
        return None

    def update(self, settings: ShadowSettings) -> None:
        """Take over a new fraction, rate and queue bounds; an unchanged rate keeps its tokens.

        The breaker keeps its state and its settings.
        """
        if settings.rate != self._settings.rate:
            self._limit = RateLimit(settings.rate)
        self._settings = settings
